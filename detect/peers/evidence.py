"""One observed fact about a peer, and how much it weighs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from crypto.identity import PeerId

MAX_REASON = 200
"""Characters: what a peer did is told, not what it wrote."""


FAULT = "fault"
"""The kind of what no honest peer does, however its data and its network are: seen over a channel that proves who
speaks. It is no matter of degree. One is enough for a quarantine, even where nothing proves it to others."""


class Severity(StrEnum):
    """How much a fact says. A low one may be an honest peer's bad luck."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    WITNESSED = "witnessed"
    """Follows from what was decided in a round that we took part in: as long as no more members lie than are tolerated,
    no honest node comes by it, so it evicts. Nobody else's word for it does.
    """
    PROVED = "proved"
    """Shown by what the peer itself signed: no honest node can come by it, so it evicts."""


EVICTS: Final = (Severity.WITNESSED, Severity.PROVED)


SHARE_OF_PENALTY = {
    Severity.LOW: 0.12,
    Severity.MEDIUM: 0.4,
    Severity.HIGH: 1.0,
    Severity.WITNESSED: 4.0,
    Severity.PROVED: 4.0,
}
"""Reputation that a fact costs, as a share of the penalty in the topology file."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What `peer` did in `round`. `kind` is a short word that counts and screens go by."""

    peer: PeerId
    round: int
    kind: str
    severity: Severity
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", self.reason[:MAX_REASON])
