"""`grapevine report`: the report of a run that is over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def report_command(
    run_dir: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `grapevine lab up` wrote.", show_default=False)
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print report.json on stdout, the summary on stderr.")
    ] = False,
) -> None:
    """Rebuild report.html, report.json and plots/*.png of a finished run from run.json and the journals.

    Exit 0: done. 1: a target of the run was missed, or a node ended early. 2: DIR holds no run.

    Example: grapevine report runs/plant-8
    """
    if publish(run_dir, Console(stderr=as_json), as_json=as_json):
        raise typer.Exit(1)


def publish(run_dir: Path, console: Console, *, as_json: bool) -> list[str]:
    """Write the report of `run_dir` and show its summary. What fell short, which is said on stderr too."""
    # Here and not above: other commands should not wait for the report's imports.
    from node.lab.report import build_report, shortfalls, summary_table, write_report  # noqa: PLC0415

    report = build_report(run_dir)
    write_report(report, run_dir)
    console.print(summary_table(report))
    console.print(f"Report: {run_dir / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    if as_json:
        sys.stdout.write((run_dir / "report.json").read_text(encoding="utf-8"))
    short = shortfalls(report)
    for sentence in short:
        sys.stderr.write(f"grapevine: {sentence}\n")
    return short
