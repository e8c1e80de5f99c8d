"""A swarm of rounds in virtual time: a heap of events, a seeded network with faults, and checks at every step.

Nothing here is asynchronous: each member is `Round` + `Mailbox` + `Liveness`, driven as a node drives them.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from consensus.committee import Plan
from consensus.effects import Close, Down, Effect, Heard, Outcome, Send, Tick, Up, WakeAt
from consensus.errors import RemoteFault
from consensus.mailbox import Mailbox
from consensus.messages import Contribution, Vector
from consensus.round import Round
from consensus.rules import mean
from consensus.standpoint_rules import Standpoint
from crypto.identity import PeerId
from overlay.liveness import Liveness

DEADLINE_S = 10.0
SIZE = 6


@dataclass(frozen=True)
class Weather:
    """What the network does. Latency is uniform between 5 ms and `latency_s`."""

    latency_s: float = 0.2
    loss: float = 0.0
    repeat: float = 0.0
    reorder: bool = False
    """Beyond what a transport promises; harmless all the same."""
    partitions: tuple[tuple[float, float, frozenset[int]], ...] = ()
    """(from, until, nodes cut off from the others)"""
    crashes: tuple[tuple[float, float, int], ...] = ()
    """(at, back at, node); it comes back with its last checkpoint and nothing else."""
    hangs: tuple[tuple[float, float, int], ...] = ()
    """(from, until, node): connections stay, nothing is done; as SIGSTOP does."""


@dataclass(frozen=True)
class Closed:
    """One closed round of one node."""

    at: float
    node: int
    round: int
    outcome: Outcome
    took_s: float


@dataclass
class Member:
    """One node: what survives a crash is `number` and `vector`."""

    index: int
    peer: PeerId
    target: Vector
    vector: Vector
    mailbox: Mailbox
    liveness: Liveness
    number: int = 0
    round: Round | None = None
    started_at: float = 0.0
    wake: int = 0
    life: int = 0
    alive: bool = True
    hung_until: float = 0.0
    up: set[PeerId] = field(default_factory=set)


class Swarm:
    """Runs `rounds` rounds of `plan`; `tamper(index, contribution, target)` is what a liar sends instead."""

    def __init__(
        self,
        plan: Plan,
        rounds: int,
        seed: int,
        weather: Weather,
        *,
        quorum: float = 0.5,
        tamper: Callable[[int, Contribution, int], Contribution] | None = None,
        learning: float = 0.1,
    ) -> None:
        self.plan, self.rounds, self.weather, self.quorum, self.tamper = plan, rounds, weather, quorum, tamper
        self.learning = learning
        self.random = random.Random(seed)
        self.now = 0.0
        self.closed: list[Closed] = []
        self.faults: list[RemoteFault] = []
        self.messages = 0
        self.bounds: dict[int, tuple[Vector, Vector]] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._arrived: dict[tuple[int, int], float] = {}
        self._cut: set[int] = set()
        names = [f"peer-{number:02}" for number in range(plan.n)]
        self.random.shuffle(names)  # so that the order of PeerIds is not the order of nodes
        self.index = {PeerId(name): index for index, name in enumerate(names)}
        targets = np.random.default_rng(seed).normal(size=(plan.n, SIZE)).astype(np.float32)
        self.members = [
            Member(i, PeerId(name), targets[i], targets[i].copy(), self._mailbox(i), Liveness(self._others(i)))
            for i, name in enumerate(names)
        ]

    def _others(self, index: int) -> list[PeerId]:
        return [peer for peer, other in self.index.items() if other != index]

    def _mailbox(self, index: int) -> Mailbox:
        committee = len(self.plan.committee_of(index, 0))
        return Mailbox(self._others(index), rounds=self.rounds, committee=committee)

    # --- time -----------------------------------------------------------------------------------------------------

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, next(self._order), what))

    def run(self, until_s: float = 1e6) -> Swarm:
        for start, end, nodes in self.weather.partitions:
            self.at(start, lambda nodes=nodes: self._partition(nodes))
            self.at(end, lambda: self._partition(frozenset()))
        for start, end, node in self.weather.crashes:
            self.at(start, lambda node=node: self._crash(self.members[node]))
            self.at(end, lambda node=node: self._restart(self.members[node]))
        for start, end, node in self.weather.hangs:
            self.at(start, lambda node=node, end=end: setattr(self.members[node], "hung_until", end))
        self._reconnect()
        for member in self.members:
            self._begin(member)
        while self._heap and self.now < until_s:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        return self

    def _soon(self, member: Member, delay: float, what: Callable[[], None]) -> None:
        """Let `member` do something, unless it has crashed by then; once it no longer hangs."""
        life = member.life

        def act() -> None:
            if member.life != life:
                return
            if self.now < member.hung_until:
                self.at(member.hung_until, act)
            else:
                what()

        self.at(self.now + delay, act)

    # --- the network ----------------------------------------------------------------------------------------------

    def _linked(self, a: Member, b: Member) -> bool:
        return a.alive and b.alive and (a.index in self._cut) == (b.index in self._cut)

    def _reconnect(self) -> None:
        for a in self.members:
            for b in self.members:
                linked = a is not b and self._linked(a, b)
                if linked and b.peer not in a.up:
                    a.up.add(b.peer)
                    self._soon(a, 0.0, lambda a=a, b=b: self._tell(a, Up(b.peer)))
                elif not linked and b.peer in a.up:
                    a.up.discard(b.peer)
                    self._soon(a, 0.0, lambda a=a, b=b: self._tell(a, Down(b.peer)))

    def _partition(self, nodes: frozenset[int]) -> None:
        self._cut = set(nodes)
        self._reconnect()

    def _crash(self, member: Member) -> None:
        member.alive, member.life, member.round = False, member.life + 1, None
        self._reconnect()
        member.up.clear()

    def _restart(self, member: Member) -> None:
        member.alive = True
        member.mailbox, member.liveness = self._mailbox(member.index), Liveness(self._others(member.index))
        self._reconnect()
        self._begin(member)

    def _post(self, sender: Member, effect: Send) -> None:
        receiver = self.members[self.index[effect.peer]]
        message = effect.message
        if self.tamper is not None:
            message = self.tamper(sender.index, message, receiver.index)
        self._note_bounds(message)
        if receiver.peer not in sender.up or self.random.random() < self.weather.loss:
            return
        for _ in range(1 + (self.random.random() < self.weather.repeat)):
            arrival = self.now + self.random.uniform(0.005, self.weather.latency_s)
            if not self.weather.reorder:
                arrival = max(arrival, self._arrived.get((sender.index, receiver.index), 0.0))
                self._arrived[sender.index, receiver.index] = arrival
            self._soon(
                receiver,
                arrival - self.now,
                lambda: sender.peer in receiver.up and self._hear(receiver, sender, message),
            )

    # --- a node ---------------------------------------------------------------------------------------------------

    def _begin(self, member: Member) -> None:
        member.number = self._target(member)
        if member.number < self.rounds:
            self._soon(member, self.random.uniform(0.5, 1.0), lambda: self._exchange(member))

    def _target(self, member: Member) -> int:
        return member.mailbox.target_round(member.number, member.up)

    def _exchange(self, member: Member) -> None:
        vector = (1 - self.learning) * member.vector + self.learning * member.target
        others = [peer.peer for peer in self.members]
        weights = self.plan.phases_of(member.index, member.number)
        round_ = Round(
            member.peer,
            member.number,
            [{others[i]: weight for i, weight in phase.items()} for phase in weights],
            vector.astype(np.float32),
            rule=self._checked_mean,
            quorum=self.quorum,
            deadline_s=DEADLINE_S,
            absent=set(others) - {member.peer} - member.liveness.waited_for(),
            passed=member.mailbox.passed(member.number),
        )
        member.round, member.started_at = round_, self.now
        # As the node's loop does: what came early first, or a round that all have passed by is void at once.
        for phase in range(round_.phase_count):
            for peer, early in member.mailbox.take(round_.number, phase).items():
                self._tell(member, Heard(peer, early))
        self._perform(member, round_.start(self.now))

    def _hear(self, member: Member, sender: Member, message: Contribution) -> None:
        self.messages += 1
        if message.round >= member.number:
            member.liveness.heard(sender.peer, self.now)
        member.mailbox.offer(sender.peer, message)
        self._tell(member, Heard(sender.peer, message))
        round_ = member.round
        if round_ is not None and round_.outcome is None and self._target(member) > member.number:
            member.round, member.wake = None, member.wake + 1  # the committee is elsewhere: drop this one
            self._begin(member)

    def _tell(self, member: Member, event: Heard | Up | Down | Tick) -> None:
        match event:
            case Up(peer):
                member.liveness.up(peer, self.now)
            case Down(peer):
                member.liveness.down(peer, self.now)
        if member.round is None:
            return
        try:
            self._perform(member, member.round.receive(event, self.now))
        except RemoteFault as fault:
            self.faults.append(fault)
            self._perform(member, member.round.receive(Tick(), self.now))

    def _perform(self, member: Member, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._post(member, effect)
                case WakeAt(time):
                    member.wake += 1
                    self._soon(member, max(0.0, time - self.now), lambda wake=member.wake: self._tick(member, wake))
                case Close(outcome):
                    self._close(member, outcome)

    def _tick(self, member: Member, wake: int) -> None:
        if wake == member.wake:
            self._tell(member, Tick())

    def _close(self, member: Member, outcome: Outcome) -> None:
        assert member.round is not None
        assert member.round.outcome is outcome
        low, high = self.bounds[member.number]
        assert (outcome.vector >= low).all()
        assert (outcome.vector <= high).all()
        assert set(outcome.deadline_missed) <= set(outcome.absent)
        took_s = self.now - member.started_at
        assert member.hung_until > member.started_at or took_s <= member.round.phase_count * DEADLINE_S + 1e-9
        self.closed.append(Closed(self.now, member.index, member.number, outcome, took_s))
        for peer in outcome.deadline_missed:
            member.liveness.missed(peer, self.now)
        member.vector, member.number, member.wake = outcome.vector, member.number + 1, member.wake + 1
        self._begin(member)

    # --- checks ---------------------------------------------------------------------------------------------------

    def _note_bounds(self, message: Contribution) -> None:
        vector = message.vector
        if vector.shape == (SIZE,) and np.isfinite(vector).all():
            low, high = self.bounds.get(message.round, (vector, vector))
            self.bounds[message.round] = np.minimum(low, vector), np.maximum(high, vector)

    @staticmethod
    def _checked_mean(vectors: Sequence[Vector], weights: Sequence[float], standpoint: Standpoint) -> Vector:
        assert standpoint.own is not None
        assert abs(sum(weights) - 1.0) < 1e-12
        assert min(weights) >= 0.0
        return mean(vectors, weights)

    def history(self) -> str:
        digest = hashlib.sha256()
        for closed in self.closed:
            out = closed.outcome
            digest.update(repr((closed.at, closed.node, closed.round, out.averaged, out.present, out.absent)).encode())
            digest.update(repr((out.deadline_missed, out.consensus_distance)).encode() + out.vector.tobytes())
        return digest.hexdigest()

    def rounds_of(self, node: int) -> list[Closed]:
        return [closed for closed in self.closed if closed.node == node]
