"""The console over a lab that this process runs: a process of its own, on the same terminal.

The lab runs as it does without. Closing the console stops nothing: plain progress takes its place. When all nodes are
done the console stays until it is closed; when the lab is interrupted it is closed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from node.lab.progress import LabProgress, View

CLOSE_S: Final = 3.0
"""What a console that is told to end has for putting the terminal back as it was."""


class WatchedView(View):
    """Shows a lab in a console; in plain progress once that is closed."""

    def __init__(self, console: Console, folder: Path) -> None:
        super().__init__(console)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Open the console while the block runs."""
        # Its own interpreter, as a fork of a process with threads and a fork server behind it would inherit both.
        command = [sys.executable, "-m", "node.cli.main", "console", "--run", str(self._folder)]
        self._process = subprocess.Popen(command)  # noqa: S603 - our own module, no shell
        try:
            yield
            if self._over:
                self._process.wait()
        finally:
            self._close(self._process)

    def show(self, progress: LabProgress) -> None:
        """Leave the terminal to the console while it is there."""
        self._over = progress.over
        if self._process is None or self._process.poll() is not None:
            super().show(progress)

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
