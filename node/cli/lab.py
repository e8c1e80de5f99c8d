"""`grapevine lab`: a whole testbed on this machine."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from node.api.endpoint import parse_endpoint
from node.cli.report import publish
from node.console.watch import WatchedView
from node.errors import UserError
from node.lab.progress import View
from overlay.topology import load_topology
from overlay.topology_schema import Targets

app = typer.Typer(help="Run a whole testbed on this machine.", no_args_is_help=True)


@app.command("up", epilog="Example: grapevine lab up topologies/ring-8.toml --rounds 10 --json")
def up(
    file: Annotated[Path, typer.Argument(help="Topology file.", show_default=False)],
    rounds: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Instead of the file's count.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Instead of the file's seed.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Instead of the file's: digits, adult:DIR, csv:FILE …")] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for the run. (default: runs/NAME-TIME)")] = None,
    api: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of loopback: node i answers at PORT + i, to the token in OUT/token."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json on stdout; progress on stderr.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Open the console over all nodes; q gives it back.")] = False,
) -> None:
    """Start every node of FILE as its own process, follow them, and leave a report.

    With --watch the console is on the terminal until q: the lab goes on without it, and Ctrl-C then ends the lab.

    Exit 0: done. 1: a target of the file was missed, or a node ended early. 2: the input was wrong. 130: interrupted.
    """
    endpoint = None if api is None else parse_endpoint(api)
    if watch and not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UserError(
            "--watch needs a terminal",
            "Leave it out: progress is printed, and `grapevine console --run` looks at the run from another terminal.",
        )
    written = load_topology(file)
    topology = written.with_overrides(rounds=rounds, seed=seed, dataset=dataset)
    if topology.rounds.count < written.rounds.count and topology.targets != Targets():
        sys.stderr.write(f"grapevine: the targets of {file} are for {written.rounds.count} rounds; not judged\n")
        topology = topology.model_copy(update={"targets": Targets()})
    folder = out or Path("runs") / f"{topology.name}-{datetime.now().astimezone():%Y%m%dT%H%M%S}"
    # Here and not above: `--help` and the checks of the file should not wait for the lab's imports.
    from node.lab.runner import run_lab  # noqa: PLC0415

    console = Console(stderr=as_json)
    run = run_lab(topology, folder, WatchedView(console, folder) if watch else View(console), endpoint)
    short = publish(folder, console, as_json=as_json)
    if run.note is not None:
        sys.stderr.write(f"grapevine: {run.note}\n")
    if run.interrupted:
        raise typer.Exit(130)
    if short:
        raise typer.Exit(1)
