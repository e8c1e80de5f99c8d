"""A cell of private rounds in virtual time: a heap of events, a variable for a network, and hooks for liars.

`Member.tamper(message, receiver)` is what a liar sends instead: a message, None, or a list of them.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count

import numpy as np

from consensus.effects import Close, Heard, Send, Tick, WakeAt
from consensus.private_outcome import PrivateOutcome
from consensus.private_round import PrivateRound
from consensus.private_terms import PrivateTerms
from crypto import identity
from crypto.fixedpoint import FixedPoint
from crypto.identity import Identity
from crypto.norm_proof import ProofParameters
from crypto.randomness import Stream
from crypto.sealing import ChannelKey
from crypto.shamir import Packing

SIZE = 60
DEADLINE_S = 10.0
SIX = Packing(6, 1, 2, 1, 1)


@cache
def keys(m: int) -> tuple[tuple[Identity, ChannelKey], ...]:
    def bytes_of(label: str) -> bytes:
        return Stream(hashlib.sha256(label.encode()).digest(), "keys").take_bytes(96)

    made = [(Identity.from_seed(bytes_of(f"i{i}")[:32]), ChannelKey(bytes_of(f"c{i}"))) for i in range(m)]
    return tuple(sorted(made, key=lambda pair: pair[0].peer_id))


def terms_of(packing: Packing, *, rows: int = 32, size: int = SIZE, number: int = 3, **others) -> PrivateTerms:
    proof = others.pop("proof", None) or ProofParameters(packing, rows=rows)
    fixed = others.pop("fixed", None) or FixedPoint(scale=proof.honest_norm, clip=1.0, members=packing.members)
    pairs = keys(packing.members)
    return PrivateTerms(
        cell=tuple(one.peer_id for one, _ in pairs),
        number=number,
        size=size,
        proof=proof,
        fixed=fixed,
        channel_keys={one.peer_id: channel.public for one, channel in pairs},
        swarm=b"s" * 32,
        beacon=b"b" * 32,
        deadline_s=DEADLINE_S,
        **others,
    )


@cache
def _public(peer: str) -> bytes:
    return identity.public_key_of(peer)  # type: ignore[arg-type]


def quick_sign(one: Identity) -> Callable[[bytes], bytes]:
    return lambda statement: hashlib.sha512(one.public_key + statement).digest()


def quick_verify(peer: str, statement: bytes, signature: bytes) -> bool:
    """Signatures that the liars of these tests do not forge, for speed."""
    return hashlib.sha512(_public(peer) + statement).digest() == signature


Tamper = Callable[[object, int], object]


@dataclass
class Member:
    index: int
    round: PrivateRound
    lattice: np.ndarray
    tamper: Tamper | None = None
    dead: Callable[[object], bool] | None = None
    """Called with each message before it is sent; True from then on: crashed."""
    alive: bool = True
    wake: int = 0
    outcome: PrivateOutcome | None = None
    closed_at: float = 0.0
    sent: list = field(default_factory=list)


class Cell:
    """Runs one round. `late` lists members that never start."""

    def __init__(
        self,
        terms: PrivateTerms,
        *,
        seed: int = 0,
        loss: float = 0.0,
        repeat: float = 0.0,
        reorder: bool = False,
        latency_s: float = 0.05,
        real_signatures: bool = False,
        norms: dict[int, float] | None = None,
        build: Callable[[int, dict], PrivateRound] | None = None,
    ) -> None:
        self.terms, self.loss, self.repeat, self.reorder, self.latency_s = terms, loss, repeat, reorder, latency_s
        self.random = random.Random(seed)
        self.now = 0.0
        self._heap: list = []
        self._order = count()
        self._arrived: dict[tuple[int, int], float] = {}
        self.sends = 0
        self.members = []
        rng = np.random.default_rng(seed)
        for index, (one, channel) in enumerate(keys(terms.packing.members)):
            update = rng.standard_normal(terms.size)
            update = (update / np.linalg.norm(update) * (norms or {}).get(index, 0.9)).astype(np.float32)
            stream = Stream(hashlib.sha256(f"{seed} {index}".encode()).digest(), "member")
            arguments = {
                "me": one.peer_id,
                "terms": terms,
                "update": update,
                "sign": one.sign if real_signatures else quick_sign(one),
                "verify": identity.verify if real_signatures else quick_verify,
                "channel_key": channel,
                "randbytes": stream.take_bytes,
            }
            round_ = build(index, arguments) if build else None
            round_ = round_ or PrivateRound(**arguments)
            self.members.append(Member(index, round_, round_._dealer.lattice.reshape(-1)[: terms.size].copy()))
        self.index = {peer: place for place, peer in enumerate(terms.cell)}

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, next(self._order), what))

    def run(self, until_s: float = 5000.0) -> Cell:
        for member in self.members:
            start = self.random.uniform(0.0, 0.05)
            self.at(start, lambda member=member: self._do(member, lambda: member.round.start(self.now)))
        while self._heap and self.now < until_s:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        return self

    def _do(self, member: Member, act: Callable[[], list]) -> None:
        if not member.alive:
            return
        for effect in act():
            match effect:
                case Send(peer, message):
                    self._post(member, self.index[peer], message)
                case WakeAt(time):
                    member.wake += 1
                    wake = member.wake
                    self.at(max(time, self.now), lambda wake=wake: self._tick(member, wake))
                case Close(outcome):
                    assert member.outcome is None
                    member.outcome, member.closed_at = outcome, self.now
                    member.wake += 1

    def _tick(self, member: Member, wake: int) -> None:
        if wake == member.wake:
            self._do(member, lambda: member.round.receive(Tick(), self.now))

    def _post(self, member: Member, receiver: int, message: object) -> None:
        if member.alive and member.dead is not None and member.dead(message):
            member.alive = False
        if not member.alive:
            return
        told = [message]
        if member.tamper is not None:
            changed = member.tamper(message, receiver)
            told = [] if changed is None else changed if isinstance(changed, list) else [changed]
        for one in told:
            self.send(member.index, receiver, one)

    def send(self, sender: int, receiver: int, message: object) -> None:
        self.sends += 1
        if self.random.random() < self.loss:
            return
        for _ in range(1 + (self.random.random() < self.repeat)):
            arrival = self.now + self.random.uniform(0.001, self.latency_s)
            if not self.reorder:
                arrival = max(arrival, self._arrived.get((sender, receiver), 0.0))
                self._arrived[sender, receiver] = arrival
            to, peer = self.members[receiver], self.terms.cell[sender]
            heard = Heard(peer, message)
            self.at(arrival, lambda to=to, heard=heard: self._do(to, lambda: to.round.receive(heard, self.now)))

    @property
    def took_s(self) -> float:
        return max(member.closed_at for member in self.members)

    # --- what must hold -------------------------------------------------------------------------------------------

    def outcomes(self, but: tuple[int, ...] = ()) -> list[PrivateOutcome]:
        chosen = [member for member in self.members if member.index not in but]
        assert all(member.outcome is not None for member in chosen), [m.round._stage for m in chosen]
        return [member.outcome for member in chosen]

    def exact_mean(self, accepted: tuple) -> np.ndarray:
        """The mean of what the accepted dealt, from the plain integers."""
        total = sum(self.members[self.index[peer]].lattice.astype(np.int64) for peer in accepted)
        return self.terms.fixed.decode(total.astype(np.int32), len(accepted))

    def check(self, but: tuple[int, ...] = ()) -> set:
        """All honest outcomes are void or exact, for one accepted set; gives the accepted sets' places."""
        found = set()
        for outcome in self.outcomes(but):
            if outcome.mean is not None:
                assert np.array_equal(outcome.mean, self.exact_mean(outcome.accepted))
                found.add(tuple(self.index[peer] for peer in outcome.accepted))
        assert len(found) <= 1
        return found

    def named(self, but: tuple[int, ...] = ()) -> list[set[int]]:
        return [{self.index[c.peer] for c in outcome.culprits} for outcome in self.outcomes(but)]
