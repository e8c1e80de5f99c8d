"""`grapevine console`: the node's face on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from node.errors import UserError


def console_command(
    url: Annotated[str | None, typer.Argument(help="A node's API. (default: http://127.0.0.1:8800)")] = None,
    journal: Annotated[Path | None, typer.Option(help="Replay this journal instead.", show_default=False)] = None,
    run: Annotated[Path | None, typer.Option(help="Show all nodes of this run's folder.", show_default=False)] = None,
    speed: Annotated[int, typer.Option(min=1, max=1000, help="Of a replay: seconds a second.")] = 10,
) -> None:
    """Seven screens on a node, by number key: overview, model, peers, modules, logs, swarm, help.

    q closes the console and nothing else: the node goes on.
    """
    if sum(one is not None for one in (url, journal, run)) > 1:
        raise UserError("a URL, --journal and --run exclude each other", "Give one of them.")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("the console needs a terminal", "Run it in one; `grapevine node status` prints one screen.")
    # Here and not above: other commands should not wait for textual.
    from node.console.app import make_app  # noqa: PLC0415
    from node.console.sources.folder_source import FolderSource  # noqa: PLC0415
    from node.console.sources.journal_source import JournalSource  # noqa: PLC0415

    if journal is not None:
        make_app(JournalSource(journal, speed)).run()
    elif run is not None:
        make_app(FolderSource(run)).run()
