"""`grapevine console`: the node's face on a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from node.errors import UserError
from node.files import read_bounded

DEFAULT_URL: Final = "http://127.0.0.1:8200"
TOKEN_VARIABLE: Final = "GRAPEVINE_TOKEN"  # noqa: S105 - the name of a variable
MOST_TOKEN_BYTES: Final = 4096


def console_command(
    url: Annotated[str | None, typer.Argument(help=f"A node's API. (default: {DEFAULT_URL})")] = None,
    journal: Annotated[Path | None, typer.Option(help="Replay this journal instead.", show_default=False)] = None,
    run: Annotated[Path | None, typer.Option(help="Show all nodes of this run's folder.", show_default=False)] = None,
    speed: Annotated[int, typer.Option(min=1, max=1000, help="Of a replay: seconds a second.")] = 10,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with the token. (default: ${TOKEN_VARIABLE})", show_default=False)
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Certificate that vouches for the node's.", show_default=False)
    ] = None,
) -> None:
    """Seven screens on a node, by number key: overview, model, peers, modules, logs, swarm, help.

    q closes the console and nothing else: the node goes on.
    """
    if sum(one is not None for one in (url, journal, run)) > 1:
        raise UserError("a URL, --journal and --run exclude each other", "Give one of them.")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError("the console needs a terminal", "Run it in one; `grapevine node status` prints one screen.")
    # Here and not above: other commands should not wait for textual.
    from node.console.app import make_app  # noqa: PLC0415
    from node.console.sources.folder_source import FolderSource  # noqa: PLC0415
    from node.console.sources.http_source import HttpSource  # noqa: PLC0415
    from node.console.sources.journal_source import JournalSource  # noqa: PLC0415

    if journal is not None:
        make_app(JournalSource(journal, speed)).run()
    elif run is not None:
        make_app(FolderSource(run)).run()
    else:
        make_app(HttpSource(url or DEFAULT_URL, read_token(token_file), ca)).run()


def read_token(file: Path | None) -> str:
    """From the file, or from the environment. Raises UserError where there is none."""
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
    else:
        token = read_bounded(file, MOST_TOKEN_BYTES).decode("ascii", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        where = f"{file} holds" if file is not None else f"{TOKEN_VARIABLE} holds"
        raise UserError(
            f"{where} no token",
            "Make one with `grapevine token make` on the node, and give it by --token-file or $" + TOKEN_VARIABLE + ".",
        )
    return token
