"""The console under load: keys to paint, and memory, while a journal grows by 1,000 events a second.

The real command on a real pseudo-terminal of 160 × 50, following the folder of a run. A key that opens another screen
is sent, and the time is taken until the first word that only that screen has comes out of the terminal: first with
nothing going on, then for a minute (GRAPEVINE_SECONDS) under load. Memory is the resident set of the process.
The processor time of a switch is what the process uses with keys above what it uses without: other work on the machine
makes little difference to it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from node import journal, journal_file
from tests.benchmarks.machine import BenchmarkError, Figures, show_table

EVENTS_A_SECOND = 1000
SECONDS = 60.0
IDLE_KEYS = 30
KEY_EVERY_S = 0.4
QUIET_S = 3.0
"""For how long it is watched without keys."""
PATIENCE_S = 30.0
COLUMNS, ROWS = 160, 50
LIMIT_MS = 100.0
SCREENS = (
    (b"2", " Standing "), (b"3", " Peer "), (b"4", " Detection "), (b"5", "info and above"), (b"6", " Nodes "),
    (b"1", " Accuracy "),
)  # fmt: skip
"""Key, and a word that only the screen it opens has."""
PEERS = tuple(f"press-{number}" for number in range(2, 10))


class Load:
    """Writes a journal: a round with all its figures every hundredth event, evidence and connections between."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        self._book = journal_file.Journal.open(path)
        self._number = 0
        self.late = 0
        """Batches that came more than a tenth of a second late: the machine did not keep up with the load."""
        self._book.write(
            journal.Started(
                at=time.time(),
                name="press-1",
                peer_id="12D3KooWbench",
                address="/ip4/127.0.0.1/tcp/1",
                neighbours={peer: f"12D3KooW{peer}" for peer in PEERS},
                parameters=4810,
                round=0,
                rounds=100_000,
                resumed=False,
                champion_version=0,
            )
        )

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set, in batches of ten milliseconds."""
        due = time.monotonic()
        while not stop.is_set():
            for _ in range(EVENTS_A_SECOND // 100):
                self._book.write(self._event())
            due += 0.01
            wait = due - time.monotonic()
            self.late += wait < -0.1
            stop.wait(max(0.0, wait))

    @property
    def written(self) -> int:
        """Events so far."""
        return self._number

    def _event(self) -> journal.Event:
        self._number += 1
        number, now = self._number, time.time()
        peer = PEERS[number % len(PEERS)]
        if number % 100 == 0:
            return self._round(number // 100, now)
        if number % 3 == 0:
            reason = f"its update is {number % 17}.3 deviations from the others"
            return journal.Evidence(
                at=now, round=number // 100, peer=peer, kind="distance", severity="medium", reason=reason
            )
        return journal.Charged(at=now, round=number // 100, epsilon=number / 1e6)

    def _round(self, number: int, now: float) -> journal.RoundClosed:
        return journal.RoundClosed(
            at=now,
            round=number,
            outcome="averaged",
            present=PEERS,
            absent=(),
            train_s=0.01,
            exchange_s=0.02,
            round_s=0.1,
            loss=1 / (1 + number),
            holdout_loss=1 / (1 + number),
            holdout_accuracy=number % 100 / 100,
            consensus_distance=1 / (1 + number),
            bytes_sent=1000,
            bytes_received=1000,
            champion_version=number,
            reputation=dict.fromkeys(PEERS, 50.0 + number % 50),
            latency_ms=dict.fromkeys(PEERS, 1.5),
            peer_bytes=dict.fromkeys(PEERS, (100, 100)),
        )


class Terminal:
    """The console on a pseudo-terminal; everything that it prints is taken at once, as a terminal does."""

    def __init__(self, folder: Path) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
            os.execv(sys.executable, [sys.executable, "-m", "node.cli.main", "console", "--run", str(folder)])
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def wait_for(self, word: str) -> float:
        """Seconds until `word` is printed. Raises BenchmarkError where it never is."""
        began, printed, wanted = time.monotonic(), b"", word.encode()
        while wanted not in printed:
            if time.monotonic() - began > PATIENCE_S:
                raise BenchmarkError(f"the console has not shown {word!r} within {PATIENCE_S:.0f} s; run it by hand")
            printed = printed[-len(wanted) :] + self._read(0.5)
        return time.monotonic() - began

    def key_to_paint_ms(self, key: bytes, word: str) -> float:
        """Milliseconds from `key` to `word`."""
        os.write(self._file, key)
        return 1000 * self.wait_for(word)

    def rest(self, seconds: float) -> None:
        """Take what it prints for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._read(left)

    def resident_mb(self) -> float:
        """Of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1000

    def cpu_s(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def share(self) -> float:
        """Of a processor that it uses while nobody presses a key."""
        began, used = time.monotonic(), self.cpu_s()
        self.rest(QUIET_S)
        return (self.cpu_s() - used) / (time.monotonic() - began)

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._file)

    def _read(self, patience_s: float) -> bytes:
        ready, _, _ = select.select([self._file], [], [], patience_s)
        try:
            return os.read(self._file, 1 << 16) if ready else b""
        except OSError as error:
            raise BenchmarkError(f"the console has ended ({error}); run it by hand to see why") from error


@contextmanager
def _terminal(folder: Path) -> Iterator[Terminal]:
    terminal = Terminal(folder)
    try:
        yield terminal
    finally:
        terminal.close()


def run(folder: Path, console: Console) -> Figures:
    """Measure; nothing is kept in `folder` but the figures."""
    del folder
    seconds = float(os.environ.get("GRAPEVINE_SECONDS", SECONDS))
    figures = Figures("console")
    with tempfile.TemporaryDirectory() as place:
        load = Load(Path(place) / "press-1" / "journal.jsonl")
        with _terminal(Path(place)) as terminal:
            terminal.wait_for("GATHERING")
            idle = Keys(terminal)
            while len(idle.took_ms) < IDLE_KEYS:
                idle.press()
            busy, early_mb, late_mb, cpu = _under_load(terminal, load, seconds)
    figures.note("events", load.written)
    figures.note("events_per_second", round(load.written / seconds))
    figures.note("batches_late", load.late)
    figures.note("keys_under_load", len(busy.took_ms))
    for name, share in (("p50", 50), ("p95", 95)):
        figures.compare(f"key_to_paint_{name}", "ms", idle=idle.percentile(share), loaded=busy.percentile(share))
    figures.compare("processor_a_switch", "ms", idle=idle.processor_ms, loaded=busy.processor_ms)
    figures.compare("resident", "mb", after_a_third=early_mb, at_the_end=late_mb)
    figures.note("console_cpu_share", round(cpu / seconds, 3))
    figures.note("p95_below_100_ms", busy.percentile(95) < LIMIT_MS)
    show_table(
        console, "Console at 1,000 events a second", ["", "idle", "loaded"], _table(idle, busy, early_mb, late_mb)
    )
    return figures


class Keys:
    """Keys pressed one after the other, and what they took."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal, self._share = terminal, terminal.share()
        self._began, self._cpu_s = time.monotonic(), terminal.cpu_s()
        self.took_ms: list[float] = []
        self.processor_ms = 0.0
        """Of one switch, on average."""

    def press(self) -> None:
        """The next."""
        self.took_ms.append(self._terminal.key_to_paint_ms(*SCREENS[len(self.took_ms) % len(SCREENS)]))
        self._terminal.rest(KEY_EVERY_S)
        used = self._terminal.cpu_s() - self._cpu_s - self._share * (time.monotonic() - self._began)
        self.processor_ms = round(1000 * max(0.0, used) / len(self.took_ms), 1)

    def percentile(self, share: int) -> float:
        """Milliseconds from key to paint."""
        return statistics.quantiles(self.took_ms, n=100, method="inclusive")[share - 1]


def _under_load(terminal: Terminal, load: Load, seconds: float) -> tuple[Keys, float, float, float]:
    """Keys, resident MB after a third and at the end, processor seconds of the console."""
    stop = threading.Event()
    writer = threading.Thread(target=load.run, args=(stop,))
    began, cpu = time.monotonic(), terminal.cpu_s()
    writer.start()
    early: float | None = None
    try:
        found = Keys(terminal)
        while (passed := time.monotonic() - began) < seconds:
            found.press()
            if early is None and passed > seconds / 3:
                early = terminal.resident_mb()
    finally:
        stop.set()
        writer.join()
    return found, early or terminal.resident_mb(), terminal.resident_mb(), terminal.cpu_s() - cpu


def _table(idle: Keys, busy: Keys, early_mb: float, late_mb: float) -> list[list[str]]:
    rows = [
        [f"key to paint, {name}", f"{idle.percentile(share):.0f} ms", f"{busy.percentile(share):.0f} ms"]
        for name, share in (("p50", 50), ("p95", 95))
    ]
    rows.append(["processor time of a switch", f"{idle.processor_ms:.0f} ms", f"{busy.processor_ms:.0f} ms"])
    return [*rows, ["resident, a third in and at the end", f"{early_mb:.1f} MB", f"{late_mb:.1f} MB"]]
