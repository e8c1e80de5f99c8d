"""Guarded rounds of many members in virtual time: a heap of events, a variable for a network, hooks for liars.

`Open` is a secret phase without a secret, quick enough for many rounds of many members: what is to be shown here is
what rounds make of means. `shamir` is the real one.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from consensus.base import Base
from consensus.compute import Compute, Computed
from consensus.effects import Close, Down, Heard, Send, Tick, Up, WakeAt
from consensus.guarded_round import GuardedRound, GuardedTerms
from consensus.private_messages import Sealed
from consensus.private_outcome import PrivateOutcome
from consensus.round import Round
from consensus.rules import mean
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Hand, Update
from consensus.signer import Signer
from consensus.vault import Vault
from crypto.randomness import Stream
from tests.consensus.private_cell import keys, quick_sign, quick_verify

DEADLINE_S = 8.0


@dataclass(frozen=True)
class Open:
    """A sum for which everybody sends all its vector: the mean of those who came by the deadline, if `least` did."""

    members: int
    vouching: int = 2
    least: int = 2
    deadline_s: float = DEADLINE_S
    voids: frozenset[int] = frozenset()
    """Rounds that come to nothing."""

    def most_bytes(self, size):
        return 4 * size

    def round(self, me, cell, number, epoch, size, update, hand, channel_keys, absent=(), shunned=()):
        return OpenSum(self, me, cell, number, size, update, absent)


class OpenSum:
    def __init__(self, terms, me, cell, number, size, update, absent):
        self.number, self.outcome = number, None
        self._terms, self._me, self._cell, self._size = terms, me, cell, size
        self._update, self._away, self._until = update, set(absent), np.inf
        self._heard = {}

    @property
    def awaited(self):
        return tuple(peer for peer in self._cell if peer not in self._heard and peer not in self._away)

    def start(self, now):
        self._until = now + self._terms.deadline_s
        body = b"" if self._update is None else self._update.vector.tobytes()
        self._heard[self._me] = body
        mine = Sealed(self.number, 0, body)
        return [*(Send(peer, mine) for peer in self._cell if peer != self._me), *self._go(now)]

    def receive(self, event, now):
        match event:
            case Heard(peer, Sealed(body=body)):
                self._heard.setdefault(peer, bytes(body))
            case Up(peer):
                self._away.discard(peer)
                return [Send(peer, Sealed(self.number, 0, self._heard[self._me])), *self._go(now)]
            case Down(peer):
                self._away.add(peer)
        return self._go(now)

    def _go(self, now):
        if self.outcome is not None:
            return []
        if self.awaited and now < self._until:
            return [WakeAt(self._until)]
        brought = {peer: body for peer, body in sorted(self._heard.items()) if body}
        total = None
        if len(brought) >= self._terms.least and self.number not in self._terms.voids:
            total = np.mean([np.frombuffer(b, np.float32) for b in brought.values()], axis=0, dtype=np.float32)
        void = None if total is not None else "too few"
        accepted = tuple(brought) if total is not None else ()
        self.outcome = PrivateOutcome(self.number, total, accepted, (), (), void, False, (), False)
        return [Close(self.outcome)]


def shamir(m: int = 6, **options) -> ShamirSharing:
    chosen = {"tolerated": 1, "packed": 2, "liars": 1, "absentees": 1, "clip": 4.0, "deadline_s": DEADLINE_S}
    return ShamirSharing(members=m, **{**chosen, **options})


Lie = Callable[[int, int, object], object]
"""(sender, receiver, message) → what is sent instead, None for nothing"""


@dataclass
class Member:
    index: int
    base: Base
    vector: np.ndarray
    hand: Hand
    rounds: dict[int, GuardedRound] = field(default_factory=dict)
    alive: bool = True
    keys: Mapping[str, bytes] = field(default_factory=dict)
    """Channel keys that it knows."""
    vault: Vault = field(default_factory=Vault)


class GuardedSwarm:
    """`n` members, d = `size`; `plan(index, number)` gives a member's phases by index."""

    def __init__(
        self,
        n: int,
        plan: Callable[[int, int], list[dict[int, float]]],
        sharing=None,
        *,
        size: int = 6,
        momentum: float = 0.0,
        loss: float = 0.0,
        seed: int = 0,
        rule=mean,
    ) -> None:
        self.plan, self.size, self.momentum, self.loss, self.rule = plan, size, momentum, loss, rule
        self.sharing = sharing or Open(n)
        self.random = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.pairs = keys(n)
        self.order = [one.peer_id for one, _ in self.pairs]
        self.place = {peer: place for place, peer in enumerate(self.order)}
        self.now = self._began = 0.0
        self.took_s = 0.0
        """Until the last member had closed the last round."""
        self.lie: Lie = lambda _sender, _receiver, message: message
        self.sent: list[tuple[int, int, object]] = []
        self.learned: dict[int, np.ndarray] = {}
        self._heap: list = []
        self._ticket = count()
        self._arrived: dict[tuple[int, int], float] = {}
        self._wakes: dict[tuple[int, int], int] = {}
        known = {one.peer_id: channel.public for one, channel in self.pairs}
        kept = Vault(getattr(self.sharing, "keep_rounds", 0))
        self.members = [
            Member(place, self.first(), np.zeros(size, np.float32), self.hand(place, seed), keys=known, vault=kept)
            for place in range(n)
        ]

    def first(self) -> Base:
        zero = np.zeros(self.size, np.float32)
        return Base(zero, 0, zero.copy() if self.momentum else None)

    def hand(self, place: int, seed: int) -> Hand:
        one, channel = self.pairs[place]
        stream = Stream(hashlib.sha256(f"{seed} {place}".encode()).digest(), "member")
        return Hand(Signer(quick_sign(one), quick_verify, stream.take_bytes), channel)

    def make(self, member: Member, number: int, trained: np.ndarray, **options) -> GuardedRound:
        phases = [{self.order[p]: w for p, w in phase.items()} for phase in self.plan(member.index, number)]

        def then(phases, vector, away):
            me = self.order[member.index]
            return Round(me, number, phases, vector, rule=mean, quorum=0.4, deadline_s=DEADLINE_S, absent=away)

        options.setdefault("update", Update(trained - member.base.vector))
        options.setdefault("absent", {self.order[m.index] for m in self.members if not m.alive})
        return GuardedRound(
            self.order[member.index],
            number,
            GuardedTerms(self.sharing, replace(member.hand, vault=member.vault), self.rule, self.momentum),
            phases,
            trained,
            base=member.base,
            channel_keys=member.keys,
            then=then,
            **options,
        )

    def play(
        self, number: int, late: Mapping[int, float] | None = None, options: Mapping[int, dict] | None = None, **common
    ) -> GuardedSwarm:
        """All that are alive learn something and play one round; `late` says by how many seconds somebody begins late,
        `options` what is special about somebody's round.
        """
        playing = [member for member in self.members if member.alive]
        self._began, self.took_s = self.now, 0.0
        for member in playing:
            step = (self.rng.standard_normal(self.size) * 0.3).astype(np.float32)
            self.learned[member.index] = step
            trained = member.vector + step
            member.rounds[number] = self.make(
                member, number, trained, **{**common, **(options or {}).get(member.index, {})}
            )
            start = self.now + self.random.uniform(0, 0.05) + (late or {}).get(member.index, 0.0)
            self.at(start, lambda member=member: self.do(member, number, lambda: member.rounds[number].start(self.now)))
        limit = self.now + 100 * DEADLINE_S
        while self._heap and self.now < limit:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        for member in playing:
            round_ = member.rounds[number]
            if member.alive:
                assert round_.outcome is not None, (number, member.index)
                member.base, member.vector, member.vault = round_.base, round_.outcome.vector, round_.vault
        return self

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, next(self._ticket), what))

    def do(self, member: Member, number: int, act: Callable[[], list]) -> None:
        if not member.alive:
            return
        slot = member.index, number
        for effect in act():
            match effect:
                case Send(peer, message):
                    self.post(member.index, self.place[peer], message)
                case WakeAt(time):
                    self._wakes[slot] = wake = next(self._ticket)
                    self.at(max(time, self.now), lambda wake=wake: self._tick(member, number, wake))
                case Compute(ticket, job):
                    done = Computed(ticket, job.run())
                    self.at(self.now + 0.01, lambda done=done: self._hand(member, number, done))
                case Close():
                    self._wakes[slot] = -1
                    self.took_s = max(self.took_s, self.now - self._began)

    def _hand(self, member: Member, number: int, event: object) -> None:
        self.do(member, number, lambda: member.rounds[number].receive(event, self.now))

    def _tick(self, member: Member, number: int, wake: int) -> None:
        if self._wakes.get((member.index, number)) == wake:
            self._hand(member, number, Tick())

    def post(self, sender: int, receiver: int, message: object) -> None:
        message = self.lie(sender, receiver, message)
        if message is None or self.random.random() < self.loss:
            return
        self.sent.append((sender, receiver, message))
        arrival = max(self.now + self.random.uniform(0.001, 0.05), self._arrived.get((sender, receiver), 0.0))
        self._arrived[sender, receiver] = arrival
        to = self.members[receiver]
        if message.round in to.rounds:
            self.at(arrival, lambda: self._hand(to, message.round, Heard(self.order[sender], message)))

    def turn(self, event: type[Up] | type[Down], who: int, number: int) -> None:
        """All others in round `number` learn that `who` came or went."""
        for member in self.members:
            if member.index != who and number in member.rounds:
                self._hand(member, number, event(self.order[who]))

    @property
    def digests(self) -> set[bytes]:
        return {member.base.digest for member in self.members if member.alive}

    def outcomes(self, number: int) -> list:
        return [member.rounds[number].outcome for member in self.members if member.alive]


def one_cell(n: int):
    return lambda _index, _number: [dict.fromkeys(range(n), 1 / n)]
