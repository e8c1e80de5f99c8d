"""A cell of state machines in virtual time: a heap of events, a seeded network with faults, jobs that take a while."""

from __future__ import annotations

import heapq
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from consensus.compute import Compute, Computed
from consensus.effects import Close, Down, Heard, Send, Tick, Up, WakeAt
from consensus.errors import RemoteFault
from crypto.identity import Identity, verify


@dataclass(frozen=True)
class Weather:
    """What the network does. Latency is uniform between 5 ms and `latency_s`."""

    latency_s: float = 0.2
    job_s: float = 0.1
    loss: float = 0.0
    repeat: float = 0.0
    reorder: bool = True
    crashes: dict[int, float] = field(default_factory=dict)
    """Member → when it falls silent for good."""
    outages: tuple[tuple[float, float, int], ...] = ()
    """(from, until, member): its connections are cut, and come back."""
    announced: bool = True
    """Whether the others are told that a member has gone."""


def identities(members, seed=0):
    """Sorted, so that place in the roster and index are the same."""
    rng = random.Random(seed)
    return sorted((Identity.generate(rng.randbytes) for _ in range(members)), key=lambda one: one.peer_id)


class Cell:
    """Runs one machine a member; `tamper(sender, receiver, message)` is what a liar sends instead (None: nothing)."""

    def __init__(
        self,
        members: list[Identity],
        make: Callable[[Identity], object],
        seed: int = 0,
        weather: Weather = Weather(),  # noqa: B008 - frozen
        tamper: Callable[[int, int, object], object] | None = None,
    ) -> None:
        self.weather, self.tamper = weather, tamper
        self.random = random.Random(seed)
        self.peers = [one.peer_id for one in members]
        self.machines = [make(one) for one in members]
        self.outcomes: dict[int, object] = {}
        self.faults: list[tuple[int, RemoteFault]] = []
        self.sent: list[tuple[int, int, object]] = []
        self.closed_at: dict[int, float] = {}
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._wake = [0] * len(members)
        self._out: set[int] = set()
        self._early: dict[int, list[object] | None] = {}
        self._last: dict[tuple[int, int], float] = {}

    def run(self, spread_s: float = 0.3) -> Cell:
        for index in range(len(self.machines)):
            self._at(self.random.uniform(0, spread_s), lambda i=index: self._start(i))
        for index, at in self.weather.crashes.items():
            self._at(at, lambda i=index: self._cut(i, Down))
        for start, end, index in self.weather.outages:
            self._at(start, lambda i=index: self._cut(i, Down))
            self._at(end, lambda i=index: self._cut(i, Up))
        while self._heap:
            self.now, _, act = heapq.heappop(self._heap)
            act()
        return self

    def _start(self, index: int) -> None:
        self._early, early = {**self._early, index: None}, self._early.get(index, [])
        self._do(index, lambda machine: machine.start(self.now))
        for event in early:
            self.tell(index, event)

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._order), act))

    def _gone(self, index: int) -> bool:
        return self.now >= self.weather.crashes.get(index, float("inf"))

    def _cut(self, index: int, event: type) -> None:
        self._out ^= {index}
        if not self.weather.announced:
            return
        for other, peer in enumerate(self.peers):
            if other != index:
                self.tell(other, event(self.peers[index]))
                self.tell(index, event(peer))

    def tell(self, index: int, event: object) -> None:
        if (early := self._early.setdefault(index, [])) is not None:
            early.append(event)  # as the mailbox of a node does
            return
        self._do(index, lambda machine: machine.receive(event, self.now))

    def _do(self, index: int, step: Callable[[object], list]) -> None:
        if self._gone(index):
            return
        try:
            effects = step(self.machines[index])
        except RemoteFault as fault:
            self.faults.append((index, fault))
            self.tell(index, Tick())
            return
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._post(index, self.peers.index(peer), message)
                case WakeAt(time):
                    self._wake[index] += 1
                    self._at(max(time, self.now), lambda w=self._wake[index]: self._ring(index, w))
                case Compute(ticket, job):
                    job = pickle.loads(pickle.dumps(job))  # as to a worker process
                    delay = self.random.uniform(0, self.weather.job_s)
                    self._at(self.now + delay, lambda t=ticket, j=job: self.tell(index, Computed(t, j.run())))
                case Close(outcome):
                    assert index not in self.outcomes
                    self.outcomes[index] = outcome
                    self.closed_at[index] = self.now

    def _ring(self, index: int, wake: int) -> None:
        if wake == self._wake[index]:
            self.tell(index, Tick())

    def _post(self, sender: int, receiver: int, message: object) -> None:
        if self.tamper is not None:
            message = self.tamper(sender, receiver, message)
        if message is None:
            return
        self.sent.append((sender, receiver, message))
        if self._out & {sender, receiver} or self.random.random() < self.weather.loss:
            return
        for _ in range(1 + (self.random.random() < self.weather.repeat)):
            arrival = self.now + self.random.uniform(0.005, self.weather.latency_s)
            if not self.weather.reorder:
                arrival = self._last[sender, receiver] = max(arrival, self._last.get((sender, receiver), 0.0))
            self._at(arrival, lambda: self._arrive(sender, receiver, message))

    def _arrive(self, sender: int, receiver: int, message: object) -> None:
        if not self._out & {sender, receiver}:
            self.tell(receiver, Heard(self.peers[sender], message))


def verifying(peer, message, signature):
    return verify(peer, message, signature)
