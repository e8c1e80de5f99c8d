"""The `grapevine` command: one file a command group, errors in two lines on stderr."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from node.cli import lab, report, topology
from node.cli import node as node_commands
from node.errors import UserError
from overlay.topology import TopologyError

app = typer.Typer(
    name="grapevine",
    help="Peer-to-peer gossip learning: every device trains on its own data, neighbours average, nobody serves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lab.app, name="lab")
app.add_typer(node_commands.app, name="node")
app.add_typer(topology.app, name="topology")
app.command("report")(report.report_command)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback where an error is one of the input.")
    ] = False,
) -> None:
    """Options of every command; `main` reads --debug itself, since it stands around all of them."""


def main() -> None:
    """Entry point of the console script. Exit 0 done, 1 fell short, 2 the input was wrong, 130 interrupted."""
    try:
        app()
    except (UserError, TopologyError) as error:
        if "--debug" in sys.argv:
            raise
        sys.stderr.write(f"grapevine: {error.problem}\n{error.remedy}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("grapevine: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
