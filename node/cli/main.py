"""The `grapevine` command: one file a command group, errors in two lines on stderr."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from node.cli import console, lab, report, topology
from node.cli import node as node_commands
from node.cli import token as token_commands
from node.errors import UserError
from overlay.topology import TopologyError


class Commands(TyperGroup):
    """The commands, and the one place where an error of the input becomes two lines and exit 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. With --debug the error passes as it is."""
        try:
            return super().invoke(ctx)
        except (UserError, TopologyError) as error:
            problem, remedy = error.problem, error.remedy
            cause: Exception = error
        except OSError as error:
            problem = f"{error.filename or 'a file'}: {error.strerror or error}"
            remedy, cause = "Check the path, its permissions and the space on its disk.", error
        if ctx.params.get("debug"):
            raise cause
        sys.stderr.write(f"grapevine: {problem}\n{remedy}\n")
        raise typer.Exit(2)


app = typer.Typer(
    cls=Commands,
    name="grapevine",
    help="Peer-to-peer gossip learning: every device trains on its own data, neighbours average, nobody serves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lab.app, name="lab")
app.add_typer(node_commands.app, name="node")
app.add_typer(token_commands.app, name="token")
app.add_typer(topology.app, name="topology")
app.command("report")(report.report_command)
app.command("console", epilog="Example: grapevine console --journal runs/plant-8/press-1/journal.jsonl --speed 20")(
    console.console_command
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"grapevine {version('grapevine')}\n")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="A traceback instead of two lines; anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """`Commands` reads it: it stands around all of them."""


def main() -> None:
    """Entry point of the console script. Exit 0 done, 1 fell short, 2 the input was wrong, 130 interrupted."""
    # Before it ends an interpreter looks for garbage among all that was ever imported: for a node a second of work.
    atexit.register(gc.freeze)
    words = sys.argv[1:]
    debug = ["--debug"] if "--debug" in words else []
    try:
        app(args=[*debug, *(word for word in words if word != "--debug")])
    except KeyboardInterrupt:
        sys.stderr.write("grapevine: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
