"""The exception tree of a round.

ConsensusError
├── PlanError      a committee plan or a rule that cannot exist (our input is wrong)
└── RemoteFault    a peer misbehaved; names the culprit
"""

from __future__ import annotations

from crypto.identity import PeerId


class ConsensusError(Exception):
    """Base of what this floor raises."""


class PlanError(ConsensusError, ValueError):
    """Committees, weights or a rule that the given graph and sizes do not allow; the message states the bound."""


class RemoteFault(ConsensusError):  # noqa: N818 - a fault of theirs, not an error of ours
    """A peer sent what no honest peer sends. Caught in one place, the node's round loop, and journalled as evidence."""

    def __init__(self, culprit: PeerId, reason: str) -> None:
        super().__init__(f"{culprit}: {reason}")
        self.culprit = culprit
        self.reason = reason
