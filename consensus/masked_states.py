"""The states of a masked round, and how long each may last: counted in deadlines from the start of the round."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, auto
from typing import Final

from consensus.masked_messages import Stage


class State(IntEnum):
    """Where a member is; see `MaskedRound`."""

    NEW = auto()
    HELLO = auto()
    DEALING = auto()
    ROSTER = auto()
    MASKING = auto()
    FRAGMENTS = auto()
    ACCEPTING = auto()
    OPENING = auto()
    CLOSED = auto()


WAVES: Final[Mapping[State, int]] = {
    State.HELLO: 1,
    State.DEALING: 2,
    State.ROSTER: 4,  # the coordinator decides at 3 at the latest
    State.MASKING: 9,
    State.FRAGMENTS: 5,
    State.ACCEPTING: 7,  # and at 6
    State.OPENING: 9,
}
"""When a state ends at the latest."""
DECISIONS: Final[Mapping[Stage, int]] = {Stage.DEALT: 3, Stage.MASKED: 6}
"""When the coordinator decides at the latest."""
RESCUE: Final = 8
"""When a fragment of the sum that is still missing is left to its owner no longer."""
