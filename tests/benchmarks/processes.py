"""Processes under measurement: in a session and, where allowed, on a loopback of their own; none is left behind."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.machine import BenchmarkError

TICK_S = 0.01
TICKS_PER_CPU_SAMPLE = 20  # walking /proc costs milliseconds, one counter file does not
PATIENCE_S = 8.0
"""How long a process may take to end after SIGTERM."""


@dataclass(slots=True)
class Watched:
    """What was seen of one command and all processes that it started. Times are seconds on the wall clock."""

    began_at: float
    ended_at: float = 0.0
    cpu_s: float = 0.0
    """User and system time of the whole session, as of the last look: up to 0.2 s before its end."""
    seen_at: list[float] = field(default_factory=list)
    loopback_bytes: list[int] = field(default_factory=list)
    """Counter of the loopback interface at `seen_at`; each packet counts once, with its headers."""

    def bytes_at(self, at: float) -> float:
        """The loopback counter at a moment, between two looks in proportion."""
        times, counts = self.seen_at, self.loopback_bytes
        if not times:
            raise BenchmarkError("the loopback counter could not be read; this benchmark needs Linux")
        i = bisect_left(times, at)
        if i in (0, len(times)):
            return counts[min(i, len(times) - 1)]
        share = (at - times[i - 1]) / (times[i] - times[i - 1])
        return counts[i - 1] + share * (counts[i] - counts[i - 1])


def watch(
    command: Sequence[str],
    *,
    log: Path,
    limit_s: float,
    tick: Callable[[], None] = lambda: None,
    private_loopback: bool = False,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Watched:
    """Run `command` to its end with its output in `log`; `tick` is called often and may raise to give up.

    Raises `BenchmarkError` where it fails or takes longer than `limit_s`.
    """
    prefix = isolation() if private_loopback else ()
    with started([*prefix, *command], log=log, folder=folder, environment=environment) as process:
        watched = Watched(began_at=time.time())
        ticks = 0
        while process.poll() is None:
            _look(process.pid, watched, with_cpu=ticks % TICKS_PER_CPU_SAMPLE == 0)
            tick()
            if time.time() - watched.began_at > limit_s:
                raise BenchmarkError(f"{command[0]} did not end within {limit_s:g} s; its output is in {log}")
            ticks += 1
            time.sleep(TICK_S)
        watched.ended_at = time.time()
        if process.returncode != 0:
            raise BenchmarkError(f"{command[0]} ended with {process.returncode}: {last_words(log)}\nAll of it: {log}")
    return watched


@contextmanager
def started(
    command: Sequence[str],
    *,
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own. On leaving, the whole session is ended, whatever happened."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def last_words(log: Path, lines: int = 3) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in text[-lines:]) or "it said nothing"


@functools.cache
def isolation() -> tuple[str, ...]:
    """Command prefix that gives a process a loopback interface which nobody else uses; empty where not allowed."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return ()
    for namespace in (("--net",), ("--net", "--map-root-user")):
        prefix = ("unshare", *namespace, "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    return ()


def _look(pid: int, watched: Watched, *, with_cpu: bool) -> None:
    with suppress(OSError, ValueError):  # it has ended meanwhile, or there is no /proc
        count = loopback_counter(Path(f"/proc/{pid}/net/dev").read_text(encoding="ascii"))
        watched.seen_at.append(time.time())
        watched.loopback_bytes.append(count)
    if with_cpu:
        watched.cpu_s = max(watched.cpu_s, sum(member.cpu_s for member in session(pid)))


def loopback_counter(net_dev: str) -> int:
    """Bytes sent over `lo`, from the text of /proc/net/dev. Each is received there too, and counted once here."""
    for line in net_dev.splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise ValueError("no interface lo")


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a session."""

    pid: int
    session: int
    cpu_s: float
    """Its own, and that of its children that have ended and been waited for."""


def parse_stat(text: str) -> Member:
    """A line of /proc/PID/stat. The command name stands in parentheses and may hold anything, parentheses too."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(")")[2].split()  # from the third field of proc(5) on
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return Member(int(pid), int(fields[3]), ticks / os.sysconf("SC_CLK_TCK"))


def session(leader: int) -> list[Member]:
    """The processes of the session that `leader` began, orphans too; empty where there is no /proc."""
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # it has ended between two reads
            member = parse_stat(path.read_text(encoding="utf-8", errors="replace"))
            if member.session == leader:
                members.append(member)
    return members


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the leader to end, then end whoever of its session is left."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
    if process.poll() is None:
        process.kill()
        process.wait()
    for member in session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)
