"""The open phases of a guarded round: contributions that come before them wait, everything else is `Round`'s."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from consensus.effects import Down, Effect, Heard, Outcome, Send, Tick, Up, WakeAt
from consensus.errors import RemoteFault
from consensus.messages import Contribution, Vector
from consensus.private_outcome import Culprit
from consensus.round import Round
from crypto.identity import PeerId

Phases = Sequence[Mapping[PeerId, float]]
"""The weights of each phase of a plan, by member."""

Then = Callable[[Phases, Vector, Collection[PeerId]], Round]
"""Makes a round from its phases, its vector and who is away."""


class OpenPhases:
    """All phases of the plan `phases` of round `number` but the first."""

    def __init__(self, me: PeerId, number: int, phases: Phases, then: Then) -> None:
        self.faults: list[Culprit] = []
        """Of contributions that came early."""
        self.wake_at = math.inf
        self._me = me
        self._number = number
        self._phases = phases
        self._then = then
        self._early: dict[tuple[PeerId, int], Heard] = {}
        self._round: Round | None = None

    def __len__(self) -> int:
        return len(self._phases) - 1

    @property
    def outcome(self) -> Outcome | None:
        """None until the last of them is over."""
        return None if self._round is None else self._round.outcome

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom they wait for, sorted."""
        return () if self._round is None else self._round.awaited

    def begin(self, vector: Vector, away: Collection[PeerId], now: float) -> list[Send]:
        """Begin on `vector`, (d,), and take what came early."""
        # The first phase is over: one that we are alone in keeps the numbers of the others.
        self._round = self._then([{self._me: 1.0}, *self._phases[1:]], vector, away)
        effects = self._sift(self._round.start(now))
        for heard in self._early.values():
            try:
                effects += self._sift(self._round.receive(heard, now))
            except RemoteFault as fault:
                self.faults.append(Culprit(fault.culprit, fault.reason))
        self._early.clear()
        return effects + self._sift(self._round.receive(Tick(), now))

    def receive(self, event: Up | Down | Tick, now: float) -> list[Send]:
        """What to do about `event`."""
        return [] if self._round is None else self._sift(self._round.receive(event, now))

    def hear(self, heard: Heard, now: float) -> list[Send]:
        """Take a contribution; one a peer and phase waits for the beginning. Raises `RemoteFault`, see `Round`."""
        if self._round is not None:
            return self._sift(self._round.receive(heard, now))
        message = heard.message
        if isinstance(message, Contribution) and message.round == self._number:
            phase = message.phase
            if 0 < phase < len(self._phases) and heard.peer in self._phases[phase]:
                self._early.setdefault((heard.peer, phase), heard)
        return []

    def _sift(self, effects: Sequence[Effect]) -> list[Send]:
        for effect in effects:
            if isinstance(effect, WakeAt):
                self.wake_at = effect.time
        return [effect for effect in effects if isinstance(effect, Send)]
