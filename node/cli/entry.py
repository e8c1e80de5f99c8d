"""What the `grapevine` script calls: Ctrl-C while the commands are still imported ends it as Ctrl-C does later."""

from __future__ import annotations

import sys


def main() -> None:
    """Import the commands, and run the one that is asked for."""
    try:
        from node.cli.main import main as run  # noqa: PLC0415 - most of a second, in which people press Ctrl-C
    except KeyboardInterrupt:
        sys.stderr.write("grapevine: interrupted\n")
        sys.exit(130)
    run()
