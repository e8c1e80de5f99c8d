"""The masked round: an exact sum over a chunked all-reduce, of vectors that nobody sees, for members that are trusted.

    HELLO ──► DEALING ──► ROSTER ──► MASKING ──► FRAGMENTS ──► ACCEPTING ──► OPENING ──► CLOSED
    keys to    shares to   who has    the job     fragment k     whose words    one share of each
    all        each        whose                  to member k    count          member to all; sums to all

Who masks with whom (the roster), and whose words count, is decided by a coordinator, in turn. Each fragment of the sum
belongs to one member of the roster: it adds the masked words that it was sent, takes the masks off with the shares of
`threshold` members, and sends the sum to all. Its own masked fragment it also sends to the next in the roster, who
takes over where it fails: 2(m−1)/m + 1/m words a parameter and member, 1.07 of a ring all-reduce at m = 8.

Dropouts: before the roster, a member is left out; between roster and acceptance, its pair key is recovered and its
masks taken off; after acceptance it counts, and its seed is recovered; the fragment that it owned is summed by the
next, to whom all send theirs. What voids a round: the coordinator's loss before it has decided, fewer than `least`
members, and two losses after acceptance of which one was to send and the other to sum the same fragment.

Either or: of each member this one reveals a share of the seed or a share of the pair key, once a round, whatever the
coordinator says later. What holds only for members that follow the protocol: norms are not proved, sums are not checked
(an owner can publish what it likes), and a wrong share voids the round without a name. t colluders learn the sum alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from enum import IntEnum, auto
from typing import TypeVar, cast

import numpy as np

from consensus.compute import Compute, Computed, Job
from consensus.effects import Close, Down, Heard, Send, Tick, Up, WakeAt
from consensus.encrypted_messages import pack_counted, unpack_counted
from consensus.encrypted_round import EncryptedEffect, EncryptedEvent, Signer
from consensus.errors import RemoteFault
from consensus.masked_messages import (
    Dealt,
    Decided,
    Hello,
    Lacking,
    Masked,
    MaskedMessage,
    Report,
    Revealed,
    Stage,
    Summed,
    masked_statement,
)
from consensus.masked_terms import Mask, MaskedTerms, Unmask, mutual
from consensus.messages import Vector
from consensus.private_outcome import Culprit, PrivateOutcome
from crypto.field import Vector as Words
from crypto.identity import PeerId
from crypto.masks import SHARE_BYTES, MaskError, MaskKeys, agree, open_shares, seal_shares, share, split

_Signed = TypeVar("_Signed", Hello, Report, Decided, Masked, Revealed, Summed, Lacking)


class _State(IntEnum):
    NEW = auto()
    HELLO = auto()
    DEALING = auto()
    ROSTER = auto()
    MASKING = auto()
    FRAGMENTS = auto()
    ACCEPTING = auto()
    OPENING = auto()
    CLOSED = auto()


_WAVES: Mapping[_State, int] = {
    _State.HELLO: 1,
    _State.DEALING: 2,
    _State.ROSTER: 4,  # the coordinator decides at 3 at the latest
    _State.MASKING: 9,
    _State.FRAGMENTS: 5,
    _State.ACCEPTING: 7,  # and at 6
    _State.OPENING: 9,
}
"""How many deadlines after the start a state ends at the latest."""
_DECISIONS = {Stage.DEALT: 3, Stage.MASKED: 6}
_RESCUE = 8
"""When a fragment of the sum that is still missing is left to its owner no longer."""


class MaskedRound:
    """The part of member `me` in one round, with its vector float32 (d,). `absent` are not waited for.

    Raises `ValueError` for a vector that the encoding cannot carry.
    """

    def __init__(
        self, me: PeerId, terms: MaskedTerms, vector: Vector, signer: Signer, absent: Collection[PeerId] = ()
    ) -> None:
        if me not in terms.cell or vector.shape != (terms.size,) or vector.dtype != np.float32:
            shape = f"{vector.dtype} {vector.shape}"
            raise ValueError(f"round {terms.number}: {me} has {shape}, not float32 ({terms.size},)")
        self.number = terms.number
        self.outcome: PrivateOutcome | None = None
        self._me, self._terms, self._signer = me, terms, signer
        self._words = terms.encode(me, vector, signer.randbytes(32))
        self._keys = MaskKeys.generate(signer.randbytes)
        self._state = _State.NEW
        self._started_at = math.nan
        self._away = set(absent)
        self._culprits: dict[PeerId, str] = {}
        self._others = tuple(peer for peer in terms.cell if peer != me)
        self._said: dict[PeerId, list[MaskedMessage]] = {peer: [] for peer in self._others}
        self._jobs: dict[int, Callable[[object], list[EncryptedEffect]]] = {}
        self._publics: dict[PeerId, bytes] = {me: self._keys.public}
        self._boxes: dict[PeerId, Dealt] = {}
        self._held: dict[PeerId, tuple[bytes, bytes]] = {}
        """Our share of the seed, and of the pair key, of each member."""
        self._reports: dict[Stage, dict[PeerId, tuple[PeerId, ...]]] = {Stage.DEALT: {}, Stage.MASKED: {}}
        self._decisions: dict[Stage, tuple[PeerId, ...]] = {}
        self._mine: tuple[bytes, ...] = ()
        """Our masked fragments."""
        self._fragments: dict[tuple[int, PeerId], bytes] = {}
        """Masked fragments that we were sent, by number and sender."""
        self._early: list[tuple[PeerId, MaskedMessage]] = []
        """What was about a decision that we had not heard."""
        self._revealed: dict[PeerId, dict[PeerId, bytes]] = {}
        """Shares of each member, by who revealed them."""
        self._asked: set[int] = set()
        """Fragments that we are summing, or have."""
        self._left: set[int] = set()
        """Fragments that were left to their takers."""
        self._sums: dict[int, Summed] = {}
        self._exposed = False
        self._tickets = 0
        self._wave = 0

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom the present state waits for, sorted."""
        match self._state:
            case _State.HELLO:
                awaited = set(self._others) - self._publics.keys()
            case _State.DEALING:
                awaited = self._publics.keys() - self._boxes.keys() - {self._me}
            case _State.FRAGMENTS:
                awaited = set(self._roster) - self._senders(self._roster.index(self._me))
            case _State.ROSTER | _State.ACCEPTING:
                awaited = {self._terms.coordinator} - {self._me}
            case _State.OPENING:
                owners = (self._owner(fragment) for fragment in self._missing())
                awaited = {owner for owner in owners if owner is not None} - {self._me}
            case _:
                return ()
        return tuple(sorted(awaited - self._away - self._culprits.keys()))

    def start(self, now: float) -> list[EncryptedEffect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""
        if self._state is not _State.NEW:
            raise RuntimeError(f"round {self.number} was started before")
        self._state, self._started_at = _State.HELLO, now
        effects = self._say(self._others, Hello(self.number, b"", self._keys.public))
        return [*effects, *self._advance(now), *self._alarm()]

    def receive(self, event: EncryptedEvent, now: float) -> list[EncryptedEffect]:
        """What to do about `event`.

        Raises `RemoteFault` for what no honest member sends; nothing of the culprit is taken from then on. What comes
        before the start is for the caller to keep: `RuntimeError`.
        """
        if self._state is _State.NEW:
            raise RuntimeError(f"round {self.number} has not started: keep {type(event).__name__} until it has")
        effects: list[EncryptedEffect] = []
        match event:
            case Heard(peer, message):
                effects = self._hear(peer, message)
            case Computed(ticket, result):
                job = self._jobs.pop(ticket, None)
                effects = job(result) if job is not None and self._state is not _State.CLOSED else []
            case Up(peer):
                self._away.discard(peer)
                effects = [Send(peer, message) for message in self._said.get(peer, ())]
            case Down(peer):
                self._away.add(peer)
            case Tick():
                pass
        effects += self._advance(now)
        return effects + self._alarm()

    # --- time -----------------------------------------------------------------------------------------------------

    def _at(self, waves: int) -> float:
        return self._started_at + waves * self._terms.deadline_s

    def _alarm(self) -> list[EncryptedEffect]:
        """The next moment at which time alone changes something, if it is another than before."""
        if self._state is _State.CLOSED:
            return []
        wave = _WAVES[self._state]
        if self._me == self._terms.coordinator and self._state in (_State.ROSTER, _State.ACCEPTING):
            wave = _DECISIONS[self._stage]
        if self._state is _State.OPENING and not self._missing() <= self._left:
            wave = _RESCUE
        if wave == self._wave:
            return []
        self._wave = wave
        return [WakeAt(self._at(wave))]

    @property
    def _stage(self) -> Stage:
        """What the coordinator is to decide next."""
        return Stage.MASKED if Stage.DEALT in self._decisions else Stage.DEALT

    def _advance(self, now: float) -> list[EncryptedEffect]:
        """Leave states whose wait is over, one after another."""
        effects: list[EncryptedEffect] = []
        while self._state is not _State.CLOSED:
            before = self._state
            effects += self._step(now, late=now >= self._at(_WAVES[before]))
            if self._state is before:
                break
        return effects

    def _step(self, now: float, *, late: bool) -> list[EncryptedEffect]:
        match self._state:
            case _State.HELLO if late or not self.awaited:
                return self._deal()
            case _State.DEALING if late or not self.awaited:
                return self._report(_State.ROSTER, Stage.DEALT, self._open_boxes())
            case _State.FRAGMENTS if late or not self.awaited:
                return self._report(_State.ACCEPTING, Stage.MASKED, self._senders(self._roster.index(self._me)))
            case _State.ROSTER | _State.ACCEPTING:
                if self._me == self._terms.coordinator:
                    return self._decide(now)
                if late or self._terms.coordinator in self._culprits:
                    return self._void(f"no decision on who {self._stage.name.lower()}")
            case _State.OPENING:
                return self._open(now, late=late)
            case _ if late:
                return self._void(f"{self._state.name.lower()} took until the deadline")
        return []

    # --- hearing --------------------------------------------------------------------------------------------------

    def _hear(self, peer: PeerId, message: object) -> list[EncryptedEffect]:
        if not isinstance(message, MaskedMessage) or message.round != self.number:
            return []  # of another round or kind of round
        if peer not in self._said or peer in self._culprits:
            return []
        if self._state is _State.CLOSED:
            return self._answer(peer, message) if isinstance(message, Lacking) else []
        if isinstance(message, Dealt):
            self._boxes.setdefault(peer, message)
            return []
        if not isinstance(message, Summed) and not self._wrote(peer, message):
            raise self._fault(peer, message, "is not signed by its sender for this round")
        return self._take_in(peer, message)

    def _wrote(self, peer: PeerId, message: Hello | Report | Decided | Masked | Revealed | Summed | Lacking) -> bool:
        return self._signer.verify(peer, masked_statement(self._terms.context, message), message.signature)

    def _take_in(self, peer: PeerId, message: MaskedMessage) -> list[EncryptedEffect]:
        match message:
            case Hello():
                return self._hear_hello(peer, message)
            case Report() if self._me == self._terms.coordinator:
                self._reports[Stage(message.stage)].setdefault(peer, self._unpack(peer, message))
            case Decided() if peer == self._terms.coordinator:
                return self._hear_decided(message)
            case Masked() | Revealed() | Summed():
                return self._hear_part(peer, message)
            case Lacking():
                return self._answer(peer, message)
        return []

    def _fault(self, peer: PeerId, message: MaskedMessage, reason: str) -> RemoteFault:
        self._culprits[peer] = f"{type(message).__name__}: {reason}"
        return RemoteFault(peer, f"round {self.number} {type(message).__name__}: {reason}")

    def _unpack(self, peer: PeerId, message: Report | Decided | Masked | Revealed | Summed) -> tuple[PeerId, ...]:
        members = unpack_counted(self._terms.cell, message.members)
        if members is None:
            raise self._fault(peer, message, "names members that the cell does not have")
        return members

    def _hear_hello(self, peer: PeerId, message: Hello) -> list[EncryptedEffect]:
        public = bytes(message.body)
        try:
            boxes, masks, _ = split(public)
            agree(self._keys.boxes, boxes, "box", self._terms.context)
            agree(self._keys.masks, masks, "mask", self._terms.context)
        except MaskError as error:
            raise self._fault(peer, message, str(error)) from error
        if self._publics.get(peer, public) != public:
            raise self._fault(peer, message, "a second set of keys that differs from the first")
        if self._state is _State.HELLO:
            self._publics[peer] = public
        return []

    def _hear_decided(self, message: Decided) -> list[EncryptedEffect]:
        peer, stage = self._terms.coordinator, Stage(message.stage)
        members = self._unpack(peer, message)
        if (known := self._decisions.get(stage)) is not None:
            if known != members:  # one decision, or shares of both kinds could be had from us
                raise self._fault(peer, message, "a second decision that differs from the first")
            return []
        if not members:
            return self._void("the coordinator found too few members")
        known = self._decisions.get(Stage.DEALT, self._terms.cell)
        if stage is Stage.MASKED and Stage.DEALT not in self._decisions:
            self._early.append((peer, message))
            return []
        if len(members) < (least := self._terms.least) or not set(members) <= set(known):
            raise self._fault(peer, message, f"{len(members)} members, expected {least} or more of those known")
        return self._take(stage, members)

    def _take(self, stage: Stage, members: tuple[PeerId, ...]) -> list[EncryptedEffect]:
        self._decisions[stage] = members
        effects = self._mask() if stage is Stage.DEALT else self._reveal()
        early, self._early = self._early, []
        for peer, message in early:
            if peer not in self._culprits and self._state is not _State.CLOSED:
                hear = self._hear_decided(message) if isinstance(message, Decided) else self._hear_part(peer, message)
                effects += hear
        return effects

    def _hear_part(self, peer: PeerId, message: MaskedMessage) -> list[EncryptedEffect]:
        """Words and shares: about a decision, which we may not have heard yet."""
        stage = Stage.DEALT if isinstance(message, Masked) else Stage.MASKED
        if stage not in self._decisions:
            if sum(other == peer for other, _ in self._early) < 2 * len(self._terms.cell):
                self._early.append((peer, message))
            return []
        if self._unpack(peer, cast(Masked, message)) != self._decisions[stage] or peer not in self._roster:
            return []  # about another decision: of no use
        match message:
            case Masked():
                self._hear_masked(peer, message)
            case Revealed():
                self._hear_revealed(peer, message)
            case Summed():
                self._hear_summed(peer, message)
        return []

    def _hear_masked(self, peer: PeerId, message: Masked) -> None:
        self._require_words(peer, message)
        self._fragments.setdefault((message.fragment, peer), bytes(message.body))

    def _hear_revealed(self, peer: PeerId, message: Revealed) -> None:
        if len(message.body) != SHARE_BYTES * len(self._roster):
            raise self._fault(peer, message, f"{len(message.body)} bytes, expected {SHARE_BYTES} a member")
        for place, member in enumerate(self._roster):
            start = SHARE_BYTES * place
            self._revealed.setdefault(member, {}).setdefault(peer, bytes(message.body[start : start + SHARE_BYTES]))

    def _hear_summed(self, peer: PeerId, message: Summed) -> None:
        self._require_words(peer, message)
        owner, taker = self._owner(message.fragment), self._taker(message.fragment)
        if not any(self._wrote(author, message) for author in (owner, taker) if author is not None):
            raise self._fault(peer, message, "is not signed by a member whose fragment it is")
        self._sums.setdefault(message.fragment, message)

    def _require_words(self, peer: PeerId, message: Masked | Summed) -> None:
        if message.fragment >= len(self._roster):
            raise self._fault(peer, message, f"fragment {message.fragment} of {len(self._roster)}")
        start, end = self._terms.edges(len(self._roster))[message.fragment]
        if len(message.body) != 4 * (end - start):
            raise self._fault(peer, message, f"{len(message.body)} bytes, expected {4 * (end - start)}")

    def _answer(self, peer: PeerId, message: Lacking) -> list[EncryptedEffect]:
        """What we have of what `peer` lacks, as it was signed."""
        lacked = unpack_counted(self._terms.cell, message.members) or ()
        known = (self._sums.get(self._roster.index(owner)) for owner in lacked if owner in self._roster)
        return [Send(peer, summed) for summed in known if summed is not None]

    # --- doing ----------------------------------------------------------------------------------------------------

    @property
    def _roster(self) -> tuple[PeerId, ...]:
        return self._decisions.get(Stage.DEALT, ())

    @property
    def _counted(self) -> tuple[PeerId, ...]:
        return self._decisions.get(Stage.MASKED, ())

    def _owner(self, fragment: int) -> PeerId | None:
        """Who sums a fragment."""
        owner = self._roster[fragment]
        return owner if owner in self._counted else self._taker(fragment)

    def _taker(self, fragment: int) -> PeerId | None:
        """Who sums it if its owner does not: the next that counts."""
        if fragment >= len(self._roster):
            return None
        order = (*self._roster[fragment + 1 :], *self._roster[:fragment])
        return next((peer for peer in order if peer in self._counted), None)

    def _senders(self, fragment: int) -> set[PeerId]:
        return {peer for number, peer in self._fragments if number == fragment} | {self._me}

    def _missing(self) -> set[int]:
        return set(range(len(self._roster))) - self._sums.keys()

    def _compute(self, job: Job, then: Callable[[object], list[EncryptedEffect]]) -> list[EncryptedEffect]:
        self._tickets += 1
        ticket = self._tickets
        self._jobs[ticket] = then
        return [Compute(ticket, job)]

    def _box_key(self, sender: PeerId, receiver: PeerId) -> bytes:
        other = receiver if sender == self._me else sender
        return agree(self._keys.boxes, split(self._publics[other])[0], f"box {sender} {receiver}", self._terms.context)

    def _deal(self) -> list[EncryptedEffect]:
        self._state = _State.DEALING
        cell, threshold = self._terms.cell, self._terms.threshold
        seeds = share(self._keys.seed, threshold, len(cell), self._signer.randbytes)
        pairs = share(self._keys.masks, threshold, len(cell), self._signer.randbytes)
        effects: list[EncryptedEffect] = []
        for place, peer in enumerate(cell):
            if peer == self._me:
                self._held[peer] = seeds[place], pairs[place]
            elif peer in self._publics:
                key = self._box_key(self._me, peer)
                box = Dealt(self.number, seal_shares(key, self._terms.context, seeds[place], pairs[place]))
                self._said[peer].append(box)
                effects.append(Send(peer, box))
        return effects

    def _open_boxes(self) -> set[PeerId]:
        """Whose shares we hold. A box that does not open is one that did not come."""
        for peer, message in self._boxes.items():
            if peer in self._publics and peer not in self._culprits:
                try:
                    key = self._box_key(peer, self._me)
                    self._held[peer] = open_shares(key, self._terms.context, bytes(message.body))
                except MaskError as error:
                    self._culprits[peer] = f"Dealt: {error}"
        self._boxes.clear()
        return set(self._held) - self._culprits.keys()

    def _report(self, state: _State, stage: Stage, seen: Collection[PeerId]) -> list[EncryptedEffect]:
        self._state = state
        if self._me == self._terms.coordinator:
            self._reports[stage][self._me] = tuple(sorted(seen))
            return []
        members = pack_counted(self._terms.cell, seen)
        return self._say([self._terms.coordinator], Report(self.number, int(stage), members, b""))

    def _decide(self, now: float) -> list[EncryptedEffect]:
        """As coordinator: all have reported that can, or time is up."""
        stage = self._stage
        reports = self._reports[stage]
        expected = set(self._roster or self._publics) - self._away - self._culprits.keys()
        if expected - reports.keys() and now < self._at(_DECISIONS[stage]):
            return []
        members = mutual({peer: seen for peer, seen in reports.items() if peer in (self._roster or self._publics)})
        if len(members) < self._terms.least:
            members = ()
        packed = pack_counted(self._terms.cell, members)
        effects = self._say(self._others, Decided(self.number, int(stage), packed, b""))
        effects += self._take(stage, members) if members else self._void(f"too few members {stage.name.lower()}")
        return effects

    def _mask(self) -> list[EncryptedEffect]:
        self._reports[Stage.DEALT].clear()
        if self._me not in self._roster:
            self._state = _State.ACCEPTING  # no part of the sum, and yet the mean is for us too
            return []
        if not set(self._roster) <= self._held.keys():
            return self._void("the coordinator counts on members whose shares we do not have")
        self._state = _State.MASKING
        pairs = {
            peer: agree(self._keys.masks, split(self._publics[peer])[1], "mask", self._terms.context)
            for peer in self._roster
            if peer != self._me
        }
        added = (self._keys.seed, *(seed for peer, seed in pairs.items() if peer > self._me))
        subtracted = tuple(seed for peer, seed in pairs.items() if peer < self._me)
        return self._compute(Mask(self._words, self._terms.edges(len(self._roster)), added, subtracted), self._masked)

    def _masked(self, result: object) -> list[EncryptedEffect]:
        if self._state is not _State.MASKING:
            return []  # it was decided without us
        self._mine = cast(tuple[bytes, ...], result)
        self._exposed = True
        effects: list[EncryptedEffect] = []
        for fragment, owner in enumerate(self._roster):
            self._fragments[fragment, self._me] = self._mine[fragment]
            heir = self._roster[(fragment + 1) % len(self._roster)]
            effects += self._send_fragment(fragment, heir if owner == self._me else owner)
        self._state = _State.FRAGMENTS
        return effects

    def _send_fragment(self, fragment: int, peer: PeerId | None) -> list[EncryptedEffect]:
        if peer is None or peer == self._me or not self._mine:
            return []
        members = pack_counted(self._terms.cell, self._roster)
        return self._say([peer], Masked(self.number, fragment, members, b"", self._mine[fragment]))

    def _reveal(self) -> list[EncryptedEffect]:
        """Once a round (`_take` is called once a stage): of each member one share, of one kind."""
        self._state = _State.OPENING
        if self._me not in self._roster:
            return []  # we hold shares of who masks, and need none of it: `threshold` others do
        shares = [self._held[peer][0 if peer in self._counted else 1] for peer in self._roster]
        self._held.clear()  # what was not revealed never will be
        for peer, mine in zip(self._roster, shares, strict=True):
            self._revealed.setdefault(peer, {})[self._me] = mine
        members = pack_counted(self._terms.cell, self._counted)
        others = [peer for peer in self._counted if peer != self._me]
        return self._say(others, Revealed(self.number, members, b"", b"".join(shares)))

    # --- opening --------------------------------------------------------------------------------------------------

    def _open(self, now: float, *, late: bool) -> list[EncryptedEffect]:
        effects: list[EncryptedEffect] = []
        gone_owners = []
        for fragment in sorted(self._missing() - self._left):
            owner = self._owner(fragment)
            # Whose owner is gone, or has had its time, is left to the next; with what it was sent, and ours.
            gone = owner in self._away or owner in self._culprits or now >= self._at(_RESCUE)
            if owner != self._roster[fragment] or gone:
                self._left.add(fragment)
                if gone:
                    gone_owners.append(self._roster[fragment])
                if self._me in self._counted:
                    effects += self._send_fragment(fragment, self._taker(fragment))
        if gone_owners:
            effects += self._say(self._others, Lacking(self.number, pack_counted(self._terms.cell, gone_owners), b""))
        for fragment in sorted(self._missing() - self._asked):
            effects += self._unmask(fragment)
        if not self._missing():
            return effects + self._finish()
        return effects + (self._void("a part of the sum did not come") if late else [])

    def _unmask(self, fragment: int) -> list[EncryptedEffect]:
        terms = self._terms
        if self._me not in (self._owner(fragment), self._taker(fragment)):
            return []
        if not set(self._counted) <= {peer for number, peer in self._fragments if number == fragment}:
            return []
        if min((len(self._revealed.get(peer, ())) for peer in self._roster), default=0) < terms.threshold:
            return []
        self._asked.add(fragment)
        place = {peer: index for index, peer in enumerate(terms.cell)}
        job = Unmask(
            fragment,
            tuple(self._fragments[fragment, peer] for peer in self._counted),
            {place[peer]: self._publics[peer] for peer in self._roster},
            tuple(place[peer] for peer in self._counted),
            {place[p]: {place[by]: one for by, one in self._revealed[p].items()} for p in self._roster},
            terms.threshold,
            terms.context,
        )
        return self._compute(job, lambda result: self._unmasked(fragment, result))

    def _unmasked(self, fragment: int, result: object) -> list[EncryptedEffect]:
        if isinstance(result, str):
            return self._void(f"the masks did not come off: {result}")
        members = pack_counted(self._terms.cell, self._counted)
        summed = self._signed(Summed(self.number, fragment, members, b"", cast(bytes, result)))
        self._sums.setdefault(fragment, summed)
        return self._say(self._others, summed)

    def _finish(self) -> list[EncryptedEffect]:
        parts = [np.frombuffer(self._sums[fragment].body, "<u4") for fragment in range(len(self._roster))]
        total: Words = np.concatenate(parts).astype(np.uint32)
        return self._close(self._terms.decode(total, self._counted), None)

    def _say(self, peers: Collection[PeerId], message: _Signed) -> list[EncryptedEffect]:
        signed = self._signed(message)
        for peer in peers:
            self._said[peer].append(signed)
        return [Send(peer, signed) for peer in sorted(peers)]

    def _signed(self, message: _Signed) -> _Signed:
        return replace(message, signature=self._signer.sign(masked_statement(self._terms.context, message)))

    # --- the end --------------------------------------------------------------------------------------------------

    def _void(self, why: str) -> list[EncryptedEffect]:
        return self._close(None, why)

    def _close(self, mean: Vector | None, void: str | None) -> list[EncryptedEffect]:
        accepted = self._counted if mean is not None else ()
        absent = set(self._others) - set(accepted) if mean is not None else set(self.awaited)
        self._state = _State.CLOSED
        self._held.clear()
        self._fragments.clear()
        self._revealed.clear()
        if mean is not None:
            mean.flags.writeable = False
        self.outcome = PrivateOutcome(
            number=self.number,
            mean=mean,
            accepted=accepted,
            culprits=tuple(Culprit(peer, why, proved=False) for peer, why in sorted(self._culprits.items())),
            absent=tuple(sorted(absent)),
            void=void,
            exposed=self._exposed,
            certificate=(),
            certified=False,
        )
        return [Close(self.outcome)]
