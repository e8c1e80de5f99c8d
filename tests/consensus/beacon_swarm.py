"""A swarm of beacons in virtual time: rounds by the clock, a heap of deliveries, and hooks for liars."""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from consensus.adjacency import Adjacency
from consensus.beacon import Beacon
from consensus.signer import Signer
from tests.consensus.private_cell import keys, quick_sign, quick_verify

SWARM = b"s" * 32
EPOCH = 8
DEADLINE_S = 4.0
ROUND_S = 1.0


def ring(n):
    return [(i, (i + 1) % n) for i in range(n)]


def complete(n):
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


@dataclass
class Weather:
    latency_s: float = 0.05
    loss: float = 0.0
    down: dict[int, tuple[float, float]] = field(default_factory=dict)
    """node → from when until when its process is dead"""


class Swarm:
    """`lie(swarm, liar, to, message)` gives what a liar sends instead: a list of messages."""

    def __init__(self, n, edges, seed=0, weather=None, liars=(), lie=None, deadline_s=DEADLINE_S) -> None:
        self.n, self.random, self.weather = n, random.Random(seed), weather or Weather()
        self.graph = Adjacency(n, edges)
        self.identities = [identity for identity, _ in keys(n)]
        self.order = tuple(identity.peer_id for identity in self.identities)
        self.liars, self.lie, self.deadline_s = frozenset(liars), lie, deadline_s
        self.now, self.heap, self.tie = 0.0, [], count()
        self.learned: list[dict] = [{} for _ in range(n)]
        self.failed: list[list] = [[] for _ in range(n)]
        self.blamed: set = set()
        self.sent = 0
        self.beacons = [self.beacon(node) for node in range(n)]
        self.born = [0.0] * n
        self.waking = [math.inf] * n
        for node in range(n):
            self.at(self.random.uniform(0, 0.3), self.round, node, 0, 0.0)
        for node, (_, until) in self.weather.down.items():
            if until < math.inf:
                self.at(until, self.rise, node)

    def signer(self, node):
        return Signer(quick_sign(self.identities[node]), quick_verify, self.random.randbytes)

    def beacon(self, node, first_round=0):
        return Beacon(
            node,
            self.order,
            self.graph,
            self.signer(node),
            swarm=SWARM,
            epoch_rounds=EPOCH,
            deadline_s=self.deadline_s,
            first_round=first_round,
        )

    # --- time -------------------------------------------------------------------------------------------------------

    def at(self, time, do: Callable, *arguments):
        heapq.heappush(self.heap, (time, next(self.tie), do, arguments))

    def run(self, until_s):
        while self.heap and self.heap[0][0] <= until_s:
            self.now, _, do, arguments = heapq.heappop(self.heap)
            do(*arguments)
        return self

    def dead(self, node):
        since, until = self.weather.down.get(node, (math.inf, math.inf))
        return since <= self.now < until

    def round(self, node, number, born):
        if self.dead(node) or born != self.born[node]:
            return
        self.post(node, self.beacons[node].reach(number, self.now))
        self.at(self.now + ROUND_S, self.round, node, number + 1, born)

    def rise(self, node):
        """As after kill -9 and a new start, at the round that the others play."""
        number = int(self.now / ROUND_S)
        self.born[node] = self.now
        self.beacons[node], self.learned[node] = self.beacon(node, number), {}
        for other in self.graph.of(node).tolist():
            self.post(other, self.beacons[other].up(self.order[node], self.now))
            self.post(node, self.beacons[node].up(self.order[other], self.now))
        self.round(node, number, self.now)

    def wake(self, node, due):
        if due == self.waking[node]:
            self.waking[node] = math.inf
            if not self.dead(node):
                self.post(node, self.beacons[node].advance(self.now))

    def post(self, node, postings):
        beacon = self.beacons[node]
        for peer, message in postings:
            to = self.order.index(peer)
            assert to in self.graph.of(node).tolist()
            for said in self.lie(self, node, to, message) if node in self.liars and self.lie else [message]:
                self.send(node, to, said)
        for drawn in beacon.learned:
            assert drawn.epoch not in self.learned[node]
            self.learned[node][drawn.epoch] = (drawn, self.now)
        self.failed[node] += beacon.failed
        self.blamed |= {self.order.index(peer) for peer, _ in beacon.blamed} if node not in self.liars else set()
        for told in (beacon.learned, beacon.failed, beacon.blamed):
            told.clear()
        due = beacon.wake_at(self.now)
        if due < self.waking[node]:
            self.waking[node] = due
            self.at(max(due, self.now + 1e-6), self.wake, node, due)

    def send(self, node, to, message):
        self.sent += 1
        if self.random.random() >= self.weather.loss:
            delay = self.random.uniform(0.1, 1.0) * self.weather.latency_s
            self.at(self.now + delay, self.deliver, node, to, message)

    def deliver(self, node, to, message):
        if not self.dead(to):
            self.post(to, self.beacons[to].hear(self.order[node], message, self.now))

    # --- what is asked ----------------------------------------------------------------------------------------------

    @property
    def honest(self):
        return [node for node in range(self.n) if node not in self.liars]

    def seeds(self, epoch):
        """What honest nodes hold for the seed of `epoch`, each once."""
        return {self.learned[node][epoch][0] for node in self.honest if epoch in self.learned[node]}

    def knowing(self, epoch):
        return {node for node in self.honest if epoch in self.learned[node]}
