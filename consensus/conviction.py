"""How sure a member may be that another one lied."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, TypeAlias

from consensus.private_messages import Item, Vote


class Certainty(IntEnum):
    """Of a lie that somebody is named for. The last two are reason to evict."""

    SUSPECTED = 0
    """More than e liars could make it up against somebody honest; or only we were told, and cannot say how it came."""
    WITNESSED = 1
    """It follows from what was decided or shown in a round that we took part in, as long as no more than max(t, e)
    members lie: then decisions are unique. Nobody outside that round can check it."""
    PROVED = 2
    """The culprit's own signatures show it to anybody who knows the terms of the round and what was decided in it."""


Proof: TypeAlias = tuple[Item | Vote, ...]
"""What a culprit signed."""


def located(values: int, degree: int, found: int, bound: int) -> Certainty:
    """Of liars that decoding found: `found` of `values` signed values are not on one polynomial of `degree`.

    The right polynomial, were it another one, would agree with the found one in `degree` places at most, so that
    values − found − degree holders at least would have lied. More than `bound` of them do not.
    """
    return Certainty.WITNESSED if values - found - degree > bound else Certainty.SUSPECTED


class Name(Protocol):
    """Names a culprit, by its place in the roster."""

    def __call__(self, culprit: int, reason: str, proof: Proof, certainty: Certainty | None = None, /) -> None:
        """Without a `certainty` it is proved where there is a `proof`, and suspected where there is none."""
