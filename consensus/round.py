"""The heart: one round of one node, as a state machine without I/O.

                    settled, or the deadline of the phase,      settled, or the deadline
           start    and phases follow ⟲ next phase              of the last phase
    NEW ──────────► GATHERING ────────────────────────────────► CLOSED
         Send each   │ ▲       Send each member its contribution      Close(outcome)
         member,     │ │       to the next phase, WakeAt its deadline
         WakeAt      └─┘ Heard  take it, or RemoteFault(culprit)
                         Up     Send what it may have missed (in CLOSED too: it may still be in this round)
                         Down   do not wait for it
                         Tick   look at the clock

A phase is settled when nobody is left to wait for and the quorum is there, or when the quorum cannot be reached any
more because too many have moved on. At its deadline it is closed with whoever is there; below the quorum it is void and
the node keeps its vector. Nothing that the network does (lose, repeat, delay, reorder, cut) makes a round fail or wait
beyond its deadlines, and nothing that a peer says does more than make that peer absent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from enum import Enum, auto
from typing import Final

import numpy as np

from consensus.effects import Close, Down, Effect, Event, Heard, Kept, Outcome, Send, Tick, Up, WakeAt
from consensus.messages import Contribution, Vector
from consensus.phase import Mixed, Phase
from consensus.rules import Rule
from consensus.standpoint_rules import Standpoint
from crypto.identity import PeerId

__all__ = ["Outcome", "Round"]

_NOWHERE: Final = Standpoint()


class _State(Enum):
    NEW = auto()
    GATHERING = auto()
    CLOSED = auto()


class Round:
    """Averages `vector` with the committees of round `number`, one phase after another.

    `phases` holds the weights of each phase, `me` included. `quorum` is the share of a committee, the node itself
    counted, that closes a phase. The p-th phase (from 0) ends `deadline_s` × (p + 1) seconds after the start at the
    latest: counted from the start, so that a wait in one phase does not cost the next, and members that started
    together stay together. `absent` are not waited for; `passed` are further on already and will not come. `shunned`
    are waited for and heard, and not averaged. `standpoint` is from where the rule looks. With `keep` the outcome holds
    what was heard. `vector` is copied. Raises `ValueError` for arguments that no plan gives.
    """

    def __init__(
        self,
        me: PeerId,
        number: int,
        phases: Sequence[Mapping[PeerId, float]],
        vector: Vector,
        *,
        rule: Rule,
        quorum: float,
        deadline_s: float,
        absent: Collection[PeerId] = (),
        passed: Collection[PeerId] = (),
        shunned: Collection[PeerId] = (),
        standpoint: Standpoint = _NOWHERE,
        keep: bool = False,
    ) -> None:
        _check(number, len(phases), vector, quorum, deadline_s)
        self.number = number
        self.outcome: Outcome | None = None
        self._state = _State.NEW
        self._phases = [
            Phase(f"round {number} phase {index}", me, weights, vector.size, quorum, shunned)
            for index, weights in enumerate(phases)
        ]
        self._current = 0
        self._vector = vector.copy()
        self._vector.flags.writeable = False
        self._sent: list[Contribution] = []
        self._rule = rule
        self._standpoint = standpoint
        self._review = _Review() if keep else None
        self._deadline_s = deadline_s
        self._started_at = math.nan
        self._phase_at = math.nan
        self._away = set(absent)
        self._tally = _Tally()
        for peer in passed:
            self._pass_by(peer, len(self._phases))

    @property
    def phase_count(self) -> int:
        """How many phases the round has."""
        return len(self._phases)

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom the current phase waits for, sorted; empty before the start and after the end."""
        if self._state is not _State.GATHERING:
            return ()
        return tuple(sorted(self._phases[self._current].awaited(self._away)))

    def start(self, now: float) -> list[Effect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""
        if self._state is not _State.NEW:
            raise RuntimeError(f"round {self.number} was started before")
        self._state = _State.GATHERING
        self._started_at = now
        return self._open_phase(now) + self._advance(now)

    def receive(self, event: Event, now: float) -> list[Effect]:
        """What to do about `event`.

        Raises `RemoteFault` for what no honest member sends. The culprit is absent from that phase from then on; where
        the phase waited for it alone, the next event shows that it is settled: a `Tick` at once saves the wait.
        """
        effects: list[Effect] = []
        match event:
            case Heard(peer, Contribution() as message):
                self._hear(peer, message, now)
            case Heard():
                pass  # of another kind of round
            case Up(peer):
                if not self._tally.missed(peer):  # it had its deadline; from now on only its word counts
                    self._away.discard(peer)
                for phase in self._phases:
                    phase.began_anew(peer)
                effects = self._send_again(peer)
            case Down(peer):
                self._away.add(peer)
            case Tick():
                pass
        return effects + self._advance(now)

    # --- hearing --------------------------------------------------------------------------------------------------

    def _hear(self, peer: PeerId, message: Contribution, now: float) -> None:
        if self._state is _State.CLOSED or message.round < self.number:
            return
        if message.round > self.number:
            self._pass_by(peer, len(self._phases))
        elif self._current <= message.phase < len(self._phases):
            # Before its vector is judged: whatever that is worth, nothing earlier will follow.
            self._pass_by(peer, message.phase)
            if self._phases[message.phase].hear(peer, message.vector):
                self._away.discard(peer)
                if self._state is _State.NEW:  # it may have come up anew since, when there was no round to tell
                    self._phases[message.phase].began_anew(peer)
                if self._review is not None:
                    self._review.heard(peer, message.phase, self._lateness(message.phase, now))

    def _lateness(self, phase: int, now: float) -> float:
        """After the phase began, in deadlines."""
        if self._state is _State.NEW or phase != self._current:
            return 0.0
        return max(0.0, (now - self._phase_at) / self._deadline_s)

    def _pass_by(self, peer: PeerId, phase: int) -> None:
        for earlier in self._phases[self._current : phase]:
            earlier.pass_by(peer)

    # --- phases ---------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._state is _State.GATHERING and (self._settled() or now >= self._deadline()):
            effects += self._close_phase(now)
        return effects

    def _settled(self) -> bool:
        return self._phases[self._current].settled(self._away)

    def _deadline(self) -> float:
        return self._started_at + (self._current + 1) * self._deadline_s

    def _open_phase(self, now: float) -> list[Effect]:
        self._phase_at = now
        contribution = Contribution(self.number, self._current, self._vector)
        self._sent.append(contribution)
        # To those away too: who is merely slow can catch up with it.
        sends = [Send(peer, contribution) for peer in self._phases[self._current].others]
        return [*sends, WakeAt(self._deadline())]

    def _close_phase(self, now: float) -> list[Effect]:
        phase = self._phases[self._current]
        # Settled means nobody is awaited, or nobody's coming would help: those were not waited for.
        missed = set() if phase.settled(self._away) else set(phase.awaited(self._away))
        self._away |= missed  # one deadline is what a silent peer may cost
        mixed = phase.mix(self._vector, self._rule, self._standpoint)
        self._tally.add(phase, missed, mixed)
        if self._review is not None:
            self._review.close(self._current, self._vector, phase.vectors)
        phase.release()
        if mixed is not None:
            self._vector = mixed.vector
        self._current += 1
        return self._open_phase(now) if self._current < len(self._phases) else self._close()

    def _close(self) -> list[Effect]:
        self._state = _State.CLOSED
        kept = () if self._review is None else tuple(self._review.kept)
        self.outcome = self._tally.outcome(self._vector, kept)
        return [Close(self.outcome)]

    def _send_again(self, peer: PeerId) -> list[Effect]:
        members = (phase.others for phase in self._phases)
        return [Send(peer, said) for said, others in zip(self._sent, members, strict=False) if peer in others]


class _Review:
    """What is kept aside."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self._lateness: dict[tuple[PeerId, int], float] = {}

    def heard(self, peer: PeerId, phase: int, lateness: float) -> None:
        self._lateness[peer, phase] = lateness

    def close(self, phase: int, own: Vector, heard: Mapping[PeerId, Vector]) -> None:
        if heard:
            lateness = {peer: self._lateness.get((peer, phase), 0.0) for peer in heard}
            self.kept.append(Kept(own, heard, lateness))


class _Tally:
    """What the phases of a round add up to."""

    def __init__(self) -> None:
        self._present: set[PeerId] = set()
        self._absent: set[PeerId] = set()
        self._missed: set[PeerId] = set()
        self._squared_distances: list[float] = []
        self._lone = True

    def add(self, phase: Phase, missed: Set[PeerId], mixed: Mixed | None) -> None:
        if not phase.others:
            return  # nothing was averaged, nothing was void
        self._lone = False
        self._absent |= phase.missing | (phase.heard - phase.averaged)
        self._missed |= missed
        if mixed is not None:
            self._present |= phase.averaged
            self._squared_distances.append(mixed.squared_distance)

    def missed(self, peer: PeerId) -> bool:
        """Whether a phase waited for `peer` in vain."""
        return peer in self._missed

    def outcome(self, vector: Vector, kept: tuple[Kept, ...]) -> Outcome:
        averaged = self._lone or bool(self._squared_distances)
        return Outcome(
            vector=vector,
            averaged=averaged,
            present=tuple(sorted(self._present)),
            absent=tuple(sorted(self._absent)),
            deadline_missed=tuple(sorted(self._missed)),
            consensus_distance=math.sqrt(math.fsum(self._squared_distances)) if averaged else None,
            kept=kept,
        )


def _check(number: int, phase_count: int, vector: Vector, quorum: float, deadline_s: float) -> None:
    if number < 0 or phase_count < 1:
        raise ValueError(f"a round counts from 0 and has at least one phase: round {number}, {phase_count} phases")
    if not 0.0 <= quorum <= 1.0 or not 0.0 < deadline_s < math.inf:
        raise ValueError(f"a quorum is a share, a deadline finite and > 0: quorum={quorum}, deadline_s={deadline_s}")
    if vector.ndim != 1 or vector.dtype != np.float32 or not np.isfinite(vector).all():
        raise ValueError(f"round {number}: our own vector is not finite float32 of shape (d,): {vector!r}")
