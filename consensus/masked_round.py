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
next, to whom all send theirs. What voids a round: the coordinator's loss before it has decided (not waited for where it
was gone before the round), fewer than `least` members, and two losses after acceptance of which one was to send and the
other to sum the same fragment.
See `masked_terms` for who is trusted with what.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import cast

import numpy as np

from consensus.compute import Computed, Jobs, SecretEffect, SecretEvent
from consensus.effects import Close, Down, Heard, Tick, Up, WakeAt
from consensus.encrypted_messages import pack_counted, unpack_counted
from consensus.errors import PlanError, RemoteFault
from consensus.masked_clock import Clock
from consensus.masked_coordinator import Coordinator
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
)
from consensus.masked_opening import Opening, Part
from consensus.masked_publishing import Publishing
from consensus.masked_secrets import Secrets
from consensus.masked_states import State
from consensus.masked_terms import Mask, MaskedTerms
from consensus.masked_voice import Voice
from consensus.messages import Vector
from consensus.private_outcome import PrivateOutcome
from consensus.signer import Signer
from consensus.sum_outcome import sum_outcome
from crypto.field import Signed
from crypto.identity import PeerId
from crypto.masks import MaskError


class MaskedRound:
    """The part of member `me` in one round, with its vector float32 (d,). `absent` are not waited for.

    `noise`, int32 (d,) in lattice units, is added after encoding. With `vector` None the member brings nothing: it
    masks nothing and holds no shares, decides where it is its turn, and learns the mean. Raises PlanError for a member
    that is none, and `ValueError` for a vector or noise that the encoding cannot carry.
    """

    def __init__(
        self,
        me: PeerId,
        terms: MaskedTerms,
        vector: Vector | None,
        signer: Signer,
        absent: Collection[PeerId] = (),
        noise: Signed | None = None,
    ) -> None:
        if me not in terms.cell:
            raise PlanError(f"round {terms.number}: {me} is not in the cell")
        if vector is not None and (vector.shape != (terms.size,) or vector.dtype != np.float32):
            shape = f"{vector.dtype} {vector.shape}"
            raise ValueError(f"round {terms.number}: {me} has {shape}, not float32 ({terms.size},)")
        self.number = terms.number
        self.outcome: PrivateOutcome | None = None
        self._me, self._terms, self._signer = me, terms, signer
        self._words = None if vector is None else terms.encode(vector, noise, signer.randbytes(32))
        self._secrets = Secrets(me, terms, signer.randbytes, brings=vector is not None)
        self._opening = Opening(me, terms)
        self._state = State.NEW
        self._clock = Clock(terms.deadline_s)
        self._away = set(absent)
        self._hopeless = set(absent)  # who goes later may come back in time
        self._culprits: dict[PeerId, str] = {}
        self._others = tuple(peer for peer in terms.cell if peer != me)
        self._voice = Voice(signer, terms.context, self._others)
        self._jobs = Jobs()
        self._coordinator = Coordinator(terms)
        self._early: list[tuple[PeerId, MaskedMessage]] = []
        """What was about a decision that we had not heard."""
        self._exposed = False
        self._publishing = Publishing(
            me, terms, self._opening, self._voice, self._jobs, self._clock, self._secrets.publics
        )

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom the present state waits for, sorted."""
        match self._state:
            case State.HELLO:
                awaited = set(self._others) - self._secrets.publics.keys() - self._secrets.idle
            case State.DEALING:
                awaited = self._secrets.publics.keys() - self._secrets.boxes.keys() - {self._me}
            case State.FRAGMENTS:
                awaited = set(self._roster) - self._senders()
            case State.ROSTER | State.ACCEPTING:
                awaited = {self._terms.coordinator} - {self._me}
            case State.OPENING:
                owners = (self._opening.owner(fragment) for fragment in self._opening.missing)
                awaited = {owner for owner in owners if owner is not None} - {self._me}
            case _:
                return ()
        return tuple(sorted(awaited - self._away - self._culprits.keys()))

    def start(self, now: float) -> list[SecretEffect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""
        if self._state is not State.NEW:
            raise RuntimeError(f"round {self.number} was started before")
        self._state = State.HELLO
        self._clock.start(now)
        effects = self._voice.say(self._others, Hello(self.number, b"", self._secrets.publics.get(self._me, b"")))
        return [*effects, *self._advance(now), *self._alarm()]

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """What to do about `event`.

        Raises `RemoteFault` for what no honest member sends; nothing of the culprit is taken from then on. What comes
        before the start is for the caller to keep: `RuntimeError`.
        """
        if self._state is State.NEW:
            raise RuntimeError(f"round {self.number} has not started: keep {type(event).__name__} until it has")
        effects: list[SecretEffect] = []
        match event:
            case Heard(peer, message):
                effects = self._hear(peer, message)
            case Computed(ticket, result):
                effects = self._jobs.done(ticket, result)
            case Up(peer):
                self._away.discard(peer)
                self._hopeless.discard(peer)
                effects = [*self._voice.again(peer)]
            case Down(peer):
                self._away.add(peer)
            case Tick():
                pass
        effects += self._advance(now)
        return effects + self._alarm()

    # --- time -----------------------------------------------------------------------------------------------------

    def _alarm(self) -> list[SecretEffect]:
        decides = self._coordinator.stage if self._me == self._terms.coordinator else None
        at = self._clock.alarm(self._state, decides, rescued=self._publishing.last_call)
        return [] if at is None else [WakeAt(at)]

    def _advance(self, now: float) -> list[SecretEffect]:
        """Leave states whose wait is over, one after another."""
        effects: list[SecretEffect] = []
        while self._state is not State.CLOSED:
            before = self._state
            effects += self._step(now, late=self._clock.late(before, now))
            if self._state is before:
                break
        return effects

    def _step(self, now: float, *, late: bool) -> list[SecretEffect]:
        match self._state:
            case State.HELLO if late or not self.awaited:
                return self._deal()
            case State.DEALING if late or not self.awaited:
                return self._report(State.ROSTER, Stage.DEALT, self._open_boxes())
            case State.FRAGMENTS if late or not self.awaited:
                return self._report(State.ACCEPTING, Stage.MASKED, self._senders())
            case State.ROSTER | State.ACCEPTING:
                if self._me == self._terms.coordinator:
                    return self._decide(now)
                if late or self._terms.coordinator in self._culprits.keys() | self._hopeless:
                    return self._close(None, f"no decision on who {self._coordinator.stage.name.lower()}")
            case State.OPENING:
                return self._open(now, late=late)
            case _ if late:
                return self._close(None, f"{self._state.name.lower()} took until the deadline")
        return []

    # --- hearing --------------------------------------------------------------------------------------------------

    def _hear(self, peer: PeerId, message: object) -> list[SecretEffect]:
        if not isinstance(message, MaskedMessage) or message.round != self.number:
            return []  # of another round or kind of round
        if peer not in self._others or peer in self._culprits:
            return []
        self._hopeless.discard(peer)
        if self._state is State.CLOSED:
            return self._publishing.answer(peer, message) if isinstance(message, Lacking) else []
        if isinstance(message, Dealt):
            self._secrets.boxes.setdefault(peer, bytes(message.body))
            return []
        if not isinstance(message, Summed) and not self._voice.wrote(peer, message):
            raise self._fault(peer, message, "is not signed by its sender for this round")
        return self._take_in(peer, message)

    def _take_in(self, peer: PeerId, message: MaskedMessage) -> list[SecretEffect]:
        match message:
            case Hello():
                return self._hear_hello(peer, message)
            case Report() if self._me == self._terms.coordinator:
                self._coordinator.hear(Stage(message.stage), peer, self._unpack(peer, message))
            case Decided() if peer == self._terms.coordinator:
                return self._hear_decided(message)
            case Masked() | Revealed() | Summed():
                return self._hear_part(peer, message)
            case Lacking():
                return self._publishing.answer(peer, message)
        return []

    def _fault(self, peer: PeerId, message: MaskedMessage, reason: str) -> RemoteFault:
        self._culprits[peer] = f"{type(message).__name__}: {reason}"
        return RemoteFault(peer, f"round {self.number} {type(message).__name__}: {reason}")

    def _unpack(self, peer: PeerId, message: Report | Decided | Masked | Revealed | Summed) -> tuple[PeerId, ...]:
        members = unpack_counted(self._terms.cell, message.members)
        if members is None:
            raise self._fault(peer, message, "names members that the cell does not have")
        return members

    def _hear_hello(self, peer: PeerId, message: Hello) -> list[SecretEffect]:
        try:
            self._secrets.meet(peer, bytes(message.body), late=self._state is not State.HELLO)
        except MaskError as error:
            raise self._fault(peer, message, str(error)) from error
        return []

    def _hear_decided(self, message: Decided) -> list[SecretEffect]:
        peer, stage = self._terms.coordinator, Stage(message.stage)
        members = self._unpack(peer, message)
        if stage > self._coordinator.stage:
            if sum(isinstance(early, Decided) for _, early in self._early) < 2:  # two that differ convict
                self._early.append((peer, message))
            return []
        if (reason := self._coordinator.judge(stage, members)) is not None:
            raise self._fault(peer, message, reason)
        if stage in self._coordinator.decisions:
            return []
        return self._take(stage, members) if members else self._close(None, "the coordinator found too few members")

    def _take(self, stage: Stage, members: tuple[PeerId, ...]) -> list[SecretEffect]:
        self._coordinator.decisions[stage] = members
        if stage is Stage.DEALT:
            self._opening.roster = members
            effects = self._mask()
        else:
            self._opening.counted = members
            effects = self._reveal()
        early, self._early = self._early, []
        for peer, message in early:
            if peer not in self._culprits and self._state is not State.CLOSED:
                # A fault of an earlier message must not swallow what this one has us do: the outcome names the culprit.
                with suppress(RemoteFault):
                    effects += self._take_in(peer, message)
        return effects

    def _hear_part(self, peer: PeerId, message: Part) -> list[SecretEffect]:
        """Words and shares: about a decision, which we may not have heard yet."""
        stage = Stage.DEALT if isinstance(message, Masked) else Stage.MASKED
        if stage not in self._coordinator.decisions:
            if sum(other == peer for other, _ in self._early) < 2 * len(self._terms.cell):
                self._early.append((peer, message))
            return []
        if self._unpack(peer, message) != self._coordinator.decisions[stage] or peer not in self._roster:
            return []  # about another decision: of no use
        if (reason := self._opening.take(peer, message, self._voice.wrote)) is not None:
            raise self._fault(peer, message, reason)
        return []

    @property
    def _roster(self) -> tuple[PeerId, ...]:
        return self._opening.roster

    @property
    def _counted(self) -> tuple[PeerId, ...]:
        return self._opening.counted

    def _senders(self) -> set[PeerId]:
        return self._opening.senders(self._roster.index(self._me))

    def _deal(self) -> list[SecretEffect]:
        if self._words is None:
            self._state = State.ROSTER
            return []
        self._state = State.DEALING
        boxes = self._secrets.deal().items()
        return [send for peer, box in boxes for send in self._voice.say([peer], Dealt(self.number, box))]

    def _open_boxes(self) -> set[PeerId]:
        """Whose shares we hold. A box that does not open is one that did not come."""
        self._culprits.update({peer: f"Dealt: {why}" for peer, why in self._secrets.open().items()})
        return set(self._secrets.held) - self._culprits.keys()

    def _report(self, state: State, stage: Stage, seen: Collection[PeerId]) -> list[SecretEffect]:
        self._state = state
        if self._me == self._terms.coordinator:
            self._coordinator.hear(stage, self._me, seen)
            return []
        members = pack_counted(self._terms.cell, seen)
        return self._voice.say([self._terms.coordinator], Report(self.number, int(stage), members, b""))

    def _decide(self, now: float) -> list[SecretEffect]:
        """As coordinator: all have reported that can, or time is up."""
        stage = self._coordinator.stage
        known, due = set(self._roster or self._secrets.publics), self._clock.decides(stage, now)
        members = self._coordinator.decide(known, known - self._away - self._culprits.keys(), due=due)
        if members is None:
            return []
        packed = pack_counted(self._terms.cell, members)
        effects = self._voice.say(self._others, Decided(self.number, int(stage), packed, b""))
        effects += self._take(stage, members) if members else self._close(None, f"too few members {stage.name.lower()}")
        return effects

    def _mask(self) -> list[SecretEffect]:
        if self._words is None or self._me not in self._roster:
            self._state = State.ACCEPTING  # no part of the sum, and yet the mean is for us too
            return []
        if not set(self._roster) <= set(self._secrets.held):
            return self._close(None, "the coordinator counts on members whose shares we do not have")
        self._state = State.MASKING
        job = Mask(self._words, self._terms.edges(len(self._roster)), *self._secrets.seeds(self._roster))
        return self._jobs.ask(job, self._masked)

    def _masked(self, result: object) -> list[SecretEffect]:
        if self._state is not State.MASKING:
            return []  # it was decided without us
        self._exposed = True
        self._state = State.FRAGMENTS
        return self._publishing.hand_out(cast(tuple[bytes, ...], result))

    def _reveal(self) -> list[SecretEffect]:
        """Once a round (`_take` is called once a stage): of each member one share, of one kind."""
        self._state = State.OPENING
        if self._words is None or self._me not in self._roster:
            # Of who brings nothing a coordinator may say what it likes: it masks nothing, and holds no shares. Who was
            # left out holds shares, and need tell none: `threshold` others do.
            return []
        return self._publishing.reveal(self._secrets.reveal(self._roster, self._counted))

    def _open(self, now: float, *, late: bool) -> list[SecretEffect]:
        if self._publishing.failed is not None:
            return self._close(None, self._publishing.failed)
        effects = self._publishing.advance(now, self._away | self._culprits.keys())
        if not self._opening.missing:
            return effects + self._close(self._terms.decode(self._opening.total(), self._counted), None)
        return effects + (self._close(None, "a part of the sum did not come") if late else [])

    def _close(self, mean: Vector | None, void: str | None) -> list[SecretEffect]:
        accepted = self._counted if mean is not None else ()
        absent = set(self._others) - set(accepted) if mean is not None else set(self.awaited)
        self._state = State.CLOSED
        self._secrets.forget()
        self._opening.forget()
        self._jobs.forget()
        self.outcome = sum_outcome(
            self.number, mean, accepted, void, absent=absent, culprits=self._culprits, exposed=self._exposed
        )
        return [Close(self.outcome)]
