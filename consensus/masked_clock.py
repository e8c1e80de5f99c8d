"""When a member of a masked round wakes up by itself."""

from __future__ import annotations

import math

from consensus.masked_messages import Stage
from consensus.masked_states import DECISIONS, RESCUE, WAVES, State


class Clock:
    """Counts in deadlines from the start of the round."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._started_at = math.nan
        self._told = 0

    def start(self, now: float) -> None:
        """The round begins."""
        self._started_at = now

    def at(self, waves: int) -> float:
        """When so many deadlines are over."""
        return self._started_at + waves * self._deadline_s

    def late(self, state: State, now: float) -> bool:
        """Whether a state has had its time."""
        return now >= self.at(WAVES[state])

    def decides(self, stage: Stage, now: float) -> bool:
        """Whether the coordinator waits for reports no longer."""
        return now >= self.at(DECISIONS[stage])

    def rescues(self, now: float) -> bool:
        """Whether a missing fragment is left to its owner no longer."""
        return now >= self.at(RESCUE)

    def alarm(self, state: State, stage: Stage | None, *, rescued: bool) -> float | None:
        """The next moment at which time alone changes something, if it is another than the one given before. `stage` is
        what it is for us to decide, if anything.
        """
        if state is State.CLOSED:
            return None
        wave = WAVES[state]
        if stage is not None and state in (State.ROSTER, State.ACCEPTING):
            wave = DECISIONS[stage]
        if state is State.OPENING and not rescued:
            wave = RESCUE
        if wave == self._told:
            return None
        self._told = wave
        return self.at(wave)
