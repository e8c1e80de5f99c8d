"""A round whose first phase is private: a meeting, a private round on updates, then the open phases.

    meeting      everybody says which base its update is against; who has another than the cell's fetches that
    private      the mean of trained − base over the cell, by `consensus.private_round`
    open         the phases between cells, by `consensus.round`, on base + mean

The **base** is base + mean of the last private round that opened: all who have that mean have the same one, whatever
their own learner did since. A node that was away, or whose round was void, has an older one; averages of updates
against different bases would leave the members apart. So it takes the cell's base: the one with the latest round that
at least max(t, e) + 1 members vouch for, and where there is none the initial vector, which all can work out. Of the
copies asked for, the digest picks the right one. What this gives away is what every member of the cell knows already:
base + mean is the round's public result. A member's update against a new base is still its own secret.

A base that liars tell differently to different members costs the round and nothing else: the base is part of the
private round's context, so that members on different ones cannot open anything together.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from consensus.effects import Close, Down, Effect, Event, Heard, Outcome, Send, Up, WakeAt
from consensus.errors import RemoteFault
from consensus.guarded_terms import Base, GuardTerms
from consensus.meeting_messages import BaseCopy, BaseWanted, Standing
from consensus.messages import Contribution, Vector
from consensus.private_dealer import Randbytes
from consensus.private_outcome import Culprit, PrivateOutcome
from consensus.private_round import PrivateRound
from consensus.round import Round
from crypto.identity import PeerId
from crypto.sealing import PUBLIC_BYTES, ChannelKey, SealingError, parse_public

_EARLY = 64
"""Messages of one member that wait for the private round to begin."""
_COPIES = 2
"""How often a member is sent a base in one round."""
_PATIENCE = 2
"""Deadlines that a meeting lasts at most, while too few have come."""


@dataclass(frozen=True, slots=True)
class Member:
    """What a node keeps to itself: its hand, its channel key, its chance."""

    sign: Callable[[bytes], bytes]
    channel_key: ChannelKey
    randbytes: Randbytes


class GuardedRound:
    """One round of `me` on the vector `trained`, float32 (d,). `phases` are those of the plan; the first is the cell.

    `channel_keys` holds the public keys of peers that published one; the others are absent. `absent` are not waited
    for. `then` makes the round of the open phases from its phases, its vector and who is away.
    """

    def __init__(
        self,
        me: PeerId,
        number: int,
        terms: GuardTerms,
        member: Member,
        phases: Sequence[Mapping[PeerId, float]],
        trained: Vector,
        *,
        base: Base,
        initial: Base,
        channel_keys: Mapping[PeerId, bytes],
        then: Callable[[Sequence[Mapping[PeerId, float]], Vector, Collection[PeerId]], Round],
        absent: Collection[PeerId] = (),
    ) -> None:
        self.number = number
        self.outcome: Outcome | None = None
        self.faults: list[Culprit] = []
        """Of the private round, and of contributions that came before their phase; complete once closed."""
        self.base = base
        """The cell's, as far as this node knows it: that of the next round once this one is closed."""
        self._me = me
        self._terms = terms
        self._member = member
        self._phases = phases
        self._cell = tuple(sorted(phases[0]))
        self._others = tuple(peer for peer in self._cell if peer != me)
        self._trained = trained.copy()
        self._initial = initial
        self._played = base
        """What this round's updates are against."""
        self._channel_keys = channel_keys
        self._then = then
        self._away = set(absent)
        self._standings: dict[PeerId, Standing] = {}
        self._copies: Counter[PeerId] = Counter()
        self._early: dict[PeerId, list[Heard]] = {}
        self._contributions: dict[tuple[PeerId, int], Heard] = {}
        self._present: set[PeerId] = set()
        self._began = math.nan
        self._retry_at = math.inf
        self._wanted: tuple[int, bytes] | None = None
        self._asked: set[PeerId] = set()
        self._private: PrivateRound | None = None
        self._private_outcome: PrivateOutcome | None = None
        self._open: Round | None = None

    @property
    def phase_count(self) -> int:
        """How many phases the plan has, the private one included."""
        return len(self._phases)

    def start(self, now: float) -> list[Effect]:
        """Begin. Raises `RuntimeError` the second time."""
        if not math.isnan(self._began):
            raise RuntimeError(f"round {self.number} was started before")
        self._began = now
        self._retry_at = now + self._terms.deadline_s / 4
        return [*self._tell(self._others), *self._meet(now)]

    def receive(self, event: Event, now: float) -> list[Effect]:
        """What to do about `event`. Raises `RemoteFault` for what no honest member says in an open phase."""
        effects: list[Effect] = []
        match event:
            case Heard(_, Contribution()):
                return self._hear_open(event, now)
            case Heard(peer, _) if peer not in self._others:
                return []
            case Heard(peer, _):
                self._present.add(peer)
                effects += self._hear(peer, event)
            case Up(peer):
                self._away.discard(peer)
                effects += self._tell([peer]) if peer in self._others else []
            case Down(peer):
                self._away.add(peer)
            case _:
                pass
        if math.isnan(self._began):
            return effects
        if self._private is None:
            return effects + self._meet(now)
        effects += self._sift(self._private.receive(event, now), now)
        if self._open is not None and not isinstance(event, Heard):
            effects += self._end(self._open.receive(event, now))
        return effects

    # --- the meeting ----------------------------------------------------------------------------------------------

    def _tell(self, peers: Sequence[PeerId]) -> list[Effect]:
        if math.isnan(self._began):
            return []
        return [Send(peer, Standing(self.number, self._played.digest, self._played.opened)) for peer in peers]

    def _hear(self, peer: PeerId, heard: Heard) -> list[Effect]:
        match heard.message:
            case Standing() as standing if standing.round == self.number:
                self._away.discard(peer)
                self._standings[peer] = standing
            case BaseWanted() as wanted if wanted.round == self.number:
                return self._lend(peer, wanted.base)
            case BaseCopy() as copy if copy.round == self.number:
                self._borrow(copy)
            case _ if self._private is None:
                kept = self._early.setdefault(peer, [])
                if len(kept) < _EARLY:
                    kept.append(heard)
            case _:
                pass
        return []

    def _meet(self, now: float) -> list[Effect]:
        if self.outcome is not None:
            return []
        missing = set(self._others) - self._away - self._standings.keys()
        enough = len(self._standings) + 1 >= self._terms.least_heard
        waves = _PATIENCE if missing and not enough else 1
        if self._wanted is None and (not missing or now >= self._began + waves * self._terms.deadline_s):
            if not enough:
                return self._close(None)
            self._wanted = self._cells_base()
            if self._wanted[1] == self._initial.digest:
                self._played = self._initial
        if self._wanted is not None and self._wanted[1] == self._played.digest:
            self.base = self._played
            return self._begin(now)
        if self._wanted is not None:
            waves += 1
        end = self._began + waves * self._terms.deadline_s
        return self._close(None) if now >= end else [*self._insist(missing, now), WakeAt(min(self._retry_at, end))]

    def _insist(self, missing: Collection[PeerId], now: float) -> list[Effect]:
        """Say again what may have been lost, and ask for the base."""
        effects: list[Effect] = []
        if now >= self._retry_at:
            self._retry_at = now + self._terms.deadline_s / 4
            self._asked.clear()
            effects += self._tell(sorted(missing))
        return effects if self._wanted is None else effects + self._ask(*self._wanted)

    def _cells_base(self) -> tuple[int, bytes]:
        said = Counter((one.opened, one.base) for one in self._standings.values())
        said[self._played.opened, self._played.digest] += 1
        vouched = [one for one, count in said.items() if count >= self._terms.vouching]
        return max(vouched) if vouched else (0, self._initial.digest)

    def _ask(self, opened: int, wanted: bytes) -> list[Effect]:
        """Of as many that vouch for the base as surely have an honest one among them."""
        said = (opened, wanted)
        holders = [peer for peer, one in sorted(self._standings.items()) if (one.opened, one.base) == said]
        due = [peer for peer in holders[: self._terms.vouching] if peer not in self._asked]
        self._asked.update(due)
        return [Send(peer, BaseWanted(self.number, wanted)) for peer in due]

    def _lend(self, peer: PeerId, wanted: bytes) -> list[Effect]:
        known = next((base for base in (self._played, self.base) if base.digest == wanted), None)
        if known is None or self._copies[peer] >= _COPIES:
            return []
        self._copies[peer] += 1
        return [Send(peer, BaseCopy(self.number, known.body))]

    def _borrow(self, copy: BaseCopy) -> None:
        if self._private is not None or self._wanted is None:
            return
        opened, digest = self._wanted
        if hashlib.sha256(copy.body).digest() != digest:
            return
        vector = np.frombuffer(bytes(copy.body), "<f4").astype(np.float32)
        if vector.shape != self._trained.shape or not np.isfinite(vector).all():
            return  # vouched for by liars alone
        vector.flags.writeable = False
        self._played = Base(vector, opened)

    # --- the private phase ----------------------------------------------------------------------------------------

    def _begin(self, now: float) -> list[Effect]:
        mine = self._member.channel_key.public
        # Who has published no key gets boxes that nobody can open, and is absent.
        keys = {peer: self._channel_keys.get(peer, mine) for peer in self._cell} | {self._me: mine}
        keyless = {peer for peer in self._others if peer not in self._channel_keys}
        private = PrivateRound(
            self._me,
            self._terms.round(self._cell, self.number, self._trained.size, self._played.digest, keys),
            self._trained - self._played.vector,
            sign=self._member.sign,
            channel_key=self._member.channel_key,
            randbytes=self._member.randbytes,
            absent=(set(self._others) - self._standings.keys()) | self._away | keyless,
        )
        self._private = private
        effects: list[Effect] = []
        for peer in self._others:
            for heard in self._early.pop(peer, ()):
                effects += private.receive(heard, now)
        return self._sift([*effects, *private.start(now)], now)

    def _sift(self, effects: Sequence[Effect], now: float) -> list[Effect]:
        sifted: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Close) and isinstance(effect.outcome, PrivateOutcome):
                sifted += self._opened(effect.outcome, now)
            else:
                sifted.append(effect)
        return sifted

    def _opened(self, outcome: PrivateOutcome, now: float) -> list[Effect]:
        self._private_outcome = outcome
        self.faults += outcome.culprits
        if outcome.mean is not None:
            self.base = self._played.after(outcome.mean, self.number)
        if len(self._phases) == 1:
            return self._close(outcome)
        alone = {self._me: 1.0}
        vector = self._trained if outcome.mean is None else self.base.vector
        self._open = self._then([alone, *self._phases[1:]], vector, self._away)
        effects = self._open.start(now)
        for heard in self._contributions.values():
            try:
                effects += self._open.receive(heard, now)
            except RemoteFault as fault:
                self.faults.append(Culprit(fault.culprit, fault.reason, proved=False))
        self._contributions.clear()
        return self._end(effects)

    # --- the open phases and the end --------------------------------------------------------------------------------

    def _hear_open(self, heard: Heard, now: float) -> list[Effect]:
        if self._open is not None:
            return self._end(self._open.receive(heard, now))
        message = heard.message
        if not isinstance(message, Contribution) or message.round != self.number:
            return []
        if 0 < message.phase < len(self._phases) and heard.peer in self._phases[message.phase]:
            self._contributions.setdefault((heard.peer, message.phase), heard)
        return []

    def _end(self, effects: Sequence[Effect]) -> list[Effect]:
        if self._open is None or self._open.outcome is None or self.outcome is not None:
            return list(effects)
        return [*(one for one in effects if not isinstance(one, Close)), *self._close(self._private_outcome)]

    def _close(self, private: PrivateOutcome | None) -> list[Effect]:
        accepted = set() if private is None else set(private.accepted)
        mean = None if private is None else private.mean
        vector = self._trained if mean is None else self.base.vector
        vector.flags.writeable = False
        absent = set(self._others) - accepted
        self.outcome = Outcome(
            vector=vector,
            averaged=mean is not None,
            present=tuple(sorted(accepted - {self._me})),
            absent=tuple(sorted(absent)),
            deadline_missed=tuple(sorted(set(self._others) - self._present - self._away)),
            consensus_distance=None,
        )
        if self._open is not None and self._open.outcome is not None:
            self.outcome = _joined(self.outcome, self._open.outcome)
        return [Close(self.outcome)]


def _joined(private: Outcome, between: Outcome) -> Outcome:
    return replace(
        between,
        averaged=private.averaged or between.averaged,
        present=tuple(sorted({*private.present, *between.present})),
        absent=tuple(sorted({*private.absent, *between.absent})),
        deadline_missed=tuple(sorted({*private.deadline_missed, *between.deadline_missed})),
    )


def check_key(public: bytes) -> str | None:
    """What is wrong with a published channel key; None where it can be sealed to."""
    if len(public) != PUBLIC_BYTES:
        return f"a channel key of {len(public)} bytes"
    try:
        parse_public(public)
    except SealingError as error:
        return str(error)
    return None
