"""The states of an encrypted round, and how long each may last: counted in deadlines from the start of the round."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where a member is; see `EncryptedRound`."""

    NEW = auto()
    KEYING = auto()
    AWAITING_KEY = auto()
    ENCRYPTING = auto()
    GATHERING = auto()
    ADDING = auto()
    AWAITING_TOTAL = auto()
    DECRYPTING = auto()
    AWAITING_MEAN = auto()
    CLOSED = auto()


WAVES: Final[Mapping[State, int]] = {
    State.KEYING: 1,
    State.AWAITING_KEY: 2,  # a late key is a key, as long as the relay gathers
    State.ENCRYPTING: 4,
    State.GATHERING: 2,
    State.ADDING: 4,
    State.AWAITING_TOTAL: 3,
    State.DECRYPTING: 4,
    State.AWAITING_MEAN: 4,
}
"""When a state ends at the latest."""
