"""The API while the default lab runs: how fast it answers, and whether the rounds feel it.

One run of plant-8 with an API at every node. In its first half every other round is left alone, and in the others a
console's stream and its polls are open at every node. In its second half 10,000 connections and a body of a gigabyte
are thrown at a socket of the benchmark's own, and at two nodes, in turn. A round is compared with the one before it, so
that whatever else the machine does, the attacker's own work too, is on both sides. Answers are timed in the polled
rounds, on a kept connection to the first node.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from node import journal, journal_file
from node.api.endpoint import BACKLOG
from node.lab.folder import RunFolder
from overlay.topology import dumps, load_topology
from overlay.topology_schema import Targets
from tests.benchmarks.machine import BenchmarkError, Figures, show_table
from tests.benchmarks.processes import last_words, started
from tests.ports import free_ports

ROUNDS = 48
CONNECTIONS = 10_000
ASKED = ("/v1/overview", "/v1/peers", "/v1/model", "/metrics")
PAUSE_S = 0.05
"""Between two timed requests."""
POLL_S = 1.0
"""Of a console, at each node."""
BODY_BYTES = 1 << 30
LIMIT_S = 900.0
TARGETS_MS = {"p50": 5.0, "p99": 25.0}
ENDED = (OSError, http.client.HTTPException)
"""What a caller sees when the lab ends before it."""
HALVES = (("calm", "polled"), ("aside", "attacked"))
"""What is done in even and odd rounds: connections that were thrown leave work to the rounds after."""
KINDS = ("calm", "polled", "aside", "attacked")
BEFORE = {"polled": "calm", "attacked": "aside"}
"""Kind → what it is compared with."""


@dataclass(slots=True)
class Seen:
    """What was measured."""

    answers_ms: list[float] = field(default_factory=list)
    fresh_ms: list[float] = field(default_factory=list)
    """Of a connection that was made for the request."""
    pairs: dict[str, list[float]] = field(default_factory=lambda: {"polled": [], "attacked": []})
    """Kind → length of a round of the kind over the one before it."""
    lengths_s: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    opened: int = 0
    """Of the connections of the last attack, those that the kernel took at once."""
    body_taken: int = 0
    """Bytes of the last gigabyte until the connection was cut."""


def run(folder: Path, console: Console) -> Figures:
    """Measure; table on `console`. Raises `BenchmarkError`."""
    figures = Figures("api")
    seen = Seen()
    rounds = int(os.environ.get("GRAPEVINE_ROUNDS", ROUNDS))
    with tempfile.TemporaryDirectory(prefix="grapevine-api-") as temporary:
        _measure(Path(temporary), rounds, seen, lambda text: console.print(text, style="dim", highlight=False))
    if min(len(seen.answers_ms), *map(len, seen.pairs.values())) < 2:
        raise BenchmarkError("too few rounds were closed to compare any; give more with GRAPEVINE_ROUNDS")
    _note(figures, seen)
    show_table(console, "API on loopback, plant-8 at work", ["figure", "measured", "wanted"], _rows(figures, seen))
    return figures


# --- the lab ----------------------------------------------------------------------------------------------------------


def _measure(folder: Path, rounds: int, seen: Seen, say: Callable[[str], None]) -> None:
    topology = load_topology(Path("topologies/plant-8.toml")).with_overrides(rounds=rounds)
    (folder / "lab.toml").write_text(dumps(topology.model_copy(update={"targets": Targets()})), encoding="utf-8")
    out, port = folder / "run", free_ports(len(topology.nodes)).start
    command = [str(Path(sys.executable).parent / "grapevine"), "lab", "up", str(folder / "lab.toml"), "--out", str(out)]
    with started([*command, "--api", f"127.0.0.1:{port}"], log=folder / "lab.log") as lab:
        followers = [journal_file.Follower(RunFolder(out).journal(name)) for name in topology.names]
        ends: dict[int, list[float]] = {}
        begun, deadline = 0, time.monotonic() + LIMIT_S
        task: _Task | None = None
        while lab.poll() is None and begun < rounds:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the lab did not end within {LIMIT_S:g} s: {last_words(folder / 'lab.log')}")
            for follower in followers:
                for event in follower.poll():
                    if isinstance(event, journal.RoundClosed):
                        ends.setdefault(event.round, []).append(event.at)
            if len(ends.get(begun, ())) == len(followers):
                begun += 1
                if task is not None:
                    task.end()
                kind = kind_of(begun, rounds)
                token = RunFolder(out).token.read_text().strip()
                task = _TASKS[kind](port, len(followers), token, seen)
                say(f"round {begun} of {rounds}: {kind}")
            time.sleep(0.02)
        if task is not None:
            task.end()
        if not ends:
            raise BenchmarkError(f"no round was closed: {last_words(folder / 'lab.log')}")
    _pair(ends, len(followers), rounds, seen)


def kind_of(number: int, rounds: int) -> str:
    """What is done in a round of so many."""
    calm, other = HALVES[number >= rounds // 2]
    return other if number % 2 else calm


def _pair(ends: dict[int, list[float]], nodes: int, rounds: int, seen: Seen) -> None:
    """Lengths by kind; the first rounds, in which the swarm still gathers, are left out."""
    done = {number: max(at) for number, at in ends.items() if len(at) == nodes}
    lengths = {number: done[number] - done[number - 1] for number in done if number - 1 in done and number > 2}
    for number, length in lengths.items():
        kind = kind_of(number, rounds)
        seen.lengths_s[kind].append(length)
        if number - 1 in lengths and BEFORE.get(kind) == kind_of(number - 1, rounds):
            seen.pairs[kind].append(length / lengths[number - 1])


# --- what is done in a round ------------------------------------------------------------------------------------------


class _Task:
    """A round left alone; those below do something in it, each in threads of its own."""

    def __init__(self, port: int, nodes: int, token: str, seen: Seen) -> None:
        self._port, self._token, self._seen = port, token, seen
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in self._works(nodes)]
        for thread in self._threads:
            thread.start()

    def _works(self, nodes: int) -> Sequence[Callable[[], None]]:
        return ()

    def end(self) -> None:
        """And wait for it."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _connect(self, node: int) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port + node, timeout=10)

    def _get(self, connection: http.client.HTTPConnection, path: str) -> float:
        """Milliseconds."""
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise BenchmarkError(f"GET {path} was answered with {answer.status}")
        return (time.perf_counter() - began) * 1000


class _Polled(_Task):
    def _works(self, nodes: int) -> Sequence[Callable[[], None]]:
        watching = [lambda node=node: self._watch(node) for node in range(nodes)]
        return [self._time, *watching]

    def _time(self) -> None:
        connection = self._connect(0)
        with suppress(*ENDED):
            while not self._over.is_set():
                for path in ASKED:
                    self._seen.answers_ms.append(self._get(connection, path))
                    self._over.wait(PAUSE_S)
                fresh = self._connect(0)
                self._seen.fresh_ms.append(self._get(fresh, ASKED[0]))
                fresh.close()
        connection.close()

    def _watch(self, node: int) -> None:
        """As a console does: its stream open, a look at the topology now and then."""
        stream, poll = self._connect(node), self._connect(node)
        with suppress(*ENDED):
            stream.request("GET", "/v1/events", headers={"Authorization": f"Bearer {self._token}"})
            while not self._over.is_set():
                self._get(poll, "/v1/topology")
                self._over.wait(POLL_S)
        poll.close()
        stream.close()


class _Attacked(_Task):
    def _works(self, nodes: int) -> Sequence[Callable[[], None]]:
        self._targets = self._port, self._port + 1
        return [self._crowd, self._pour]

    def _crowd(self) -> None:
        """As many connections as asked for, held open and made again where they are closed."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed[1], allowed[1]))
        held: list[socket.socket] = []
        with selectors.DefaultSelector() as selector:
            for _ in range(min(CONNECTIONS, allowed[1] - 200)):
                if self._over.is_set():
                    break
                sock = socket.socket()
                sock.setblocking(False)
                with suppress(OSError):
                    sock.connect(("127.0.0.1", self._targets[0]))
                selector.register(sock, selectors.EVENT_WRITE)
                held.append(sock)
            self._seen.opened = len(selector.select(0.1))
            self._over.wait()
        for sock in held:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)

    def _pour(self) -> None:
        head = f"POST /v1/controls/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._token}\r\n"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._targets[1]), timeout=1) as sock:
            sock.sendall(f"{head}Content-Length: {BODY_BYTES}\r\n\r\n".encode())
            self._seen.body_taken = 0
            while self._seen.body_taken < BODY_BYTES:
                self._seen.body_taken += sock.send(bytes(1 << 16))


class _Aside(_Attacked):
    """The same work for the attacker and the kernel, and none for a node."""

    def _works(self, nodes: int) -> Sequence[Callable[[], None]]:
        works = super()._works(nodes)
        self._deaf = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)  # takes nothing of what comes
        self._targets = (self._deaf.getsockname()[1],) * 2
        return works

    def end(self) -> None:
        super().end()
        self._deaf.close()


_TASKS: dict[str, type[_Task]] = {"calm": _Task, "polled": _Polled, "aside": _Aside, "attacked": _Attacked}


# --- figures ----------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _note(figures: Figures, seen: Seen) -> None:
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        figures.beside(f"answer_ms_{name}", percentile(seen.answers_ms, share), wanted=TARGETS_MS[name])
        figures.beside(
            f"answer_on_a_new_connection_ms_{name}", percentile(seen.fresh_ms, share), wanted=TARGETS_MS[name]
        )
    figures.note("answers", len(seen.answers_ms))
    medians = {kind: statistics.median(lengths) for kind, lengths in seen.lengths_s.items()}
    for kind, ratios in seen.pairs.items():
        figures.beside(f"round_s_{kind}", medians[kind], **{BEFORE[kind]: medians[BEFORE[kind]]})
        low, median, high = statistics.quantiles(ratios, method="inclusive")
        figures.note(f"round_{kind}_over_the_one_before_median", round(median, 4))
        figures.note(f"round_{kind}_over_the_one_before_quartiles", f"{low:.3f} to {high:.3f}")
        figures.note(f"round_{kind}_pairs", len(ratios))
    figures.note("connections_asked_for", CONNECTIONS)
    figures.note("connections_taken_by_the_kernel", seen.opened)
    figures.note("body_bytes_until_cut_off", seen.body_taken)
    figures.note("pairs", json.dumps({kind: [round(x, 3) for x in ratios] for kind, ratios in seen.pairs.items()}))


def _rows(figures: Figures, seen: Seen) -> list[list[str]]:
    rows = [
        [f"answer {name}", f"{figures[f'answer_ms_{name}']} ms", f"≤ {wanted:g} ms"]
        for name, wanted in TARGETS_MS.items()
    ]
    for name in TARGETS_MS:
        rows.append(
            [f"answer on a new connection {name}", f"{figures[f'answer_on_a_new_connection_ms_{name}']} ms", ""]
        )
    for kind, ratios in seen.pairs.items():
        name = f"round_{kind}_over_the_one_before"
        what = f"round {kind} over the one before, median of {len(ratios)}"
        rows.append([what, f"{figures[f'{name}_median']:.3f}", "≤ 1.05"])
        rows.append(["    half of the pairs", f"{figures[f'{name}_quartiles']}", ""])
    return [*rows, ["of a gigabyte, taken until cut off", f"{seen.body_taken / 1e6:.1f} MB", ""]]
