"""Writes a report to the folder of its run."""

from __future__ import annotations

from pathlib import Path

from node.files import write_atomically
from node.lab.page import render_page
from node.lab.results import Report


def write_report(report: Report, run_dir: Path) -> None:
    """Replace plots/*.png, report.json and report.html in `run_dir`, each atomically, the page last."""
    # Matplotlib takes over a second to import: only who draws pays for it.
    from node.lab.plots import draw_plots  # noqa: PLC0415

    plots = run_dir / "plots"
    plots.mkdir(exist_ok=True)
    for name, png in draw_plots(report).items():
        write_atomically(plots / name, png, durable=False)
    write_atomically(run_dir / "report.json", report.model_dump_json().encode() + b"\n", durable=False)
    write_atomically(run_dir / "report.html", render_page(report).encode(), durable=False)
