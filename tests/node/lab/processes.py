"""Real labs for tests: a topology file, the real command, its processes and journals."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from node import journal, journal_file
from node.lab.folder import RunFolder

ROOT = Path(__file__).parents[3]
GRAPEVINE = Path(sys.executable).parent / "grapevine"


class Lab:
    """`grapevine lab up` in the background."""

    def __init__(self, process: subprocess.Popen, out: Path) -> None:
        self.process = process
        self.folder = RunFolder(out)

    def events(self, name: str) -> list:
        return list(journal_file.read(self.folder.journal(name))) if self.folder.journal(name).exists() else []

    def rounds(self, name: str) -> list[journal.RoundClosed]:
        return [event for event in self.events(name) if isinstance(event, journal.RoundClosed)]

    def pid(self, name: str) -> int:
        return int((self.folder.state(name) / "lock").read_text())

    def wait(self, within_s: float = 120) -> int:
        return self.process.wait(within_s)


def eventually(condition: Callable[[], bool], within_s: float = 60) -> None:
    """Wait for something that other processes do; fails loudly when they do not."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def lab_up(topology: Path, out: Path, *options: str) -> Iterator[Lab]:
    """Start a lab; whatever the test does, nothing of it is left behind."""
    process = subprocess.Popen(
        [str(GRAPEVINE), "lab", "up", str(topology), "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lab = Lab(process, out)
    try:
        yield lab
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for lock in out.glob("*/state/lock"):
            pid = int(lock.read_text() or 0)
            eventually(lambda pid=pid: not is_alive(pid), within_s=10)
