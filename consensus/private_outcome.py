"""What a closed private round leaves."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.messages import Vector
from consensus.private_messages import Item
from crypto.identity import PeerId


@dataclass(frozen=True, slots=True)
class Culprit:
    """A member that did what no honest member does."""

    peer: PeerId
    reason: str
    proved: bool
    """Whether it is shown by what the culprit signed alone. Otherwise it holds while no more than e members lie: reason
    to distrust, not to evict."""
    proof: tuple[Item, ...] = ()
    """Signed items of the culprit that bear it out, where there are any."""


@dataclass(frozen=True, slots=True, eq=False)
class PrivateOutcome:
    """The end of a private round."""

    number: int
    mean: Vector | None
    """float32 (d,), read-only: the mean of the accepted updates; None in a void round."""
    accepted: tuple[PeerId, ...]
    """Whose updates the mean is of; the same for all honest members that have one."""
    culprits: tuple[Culprit, ...]
    absent: tuple[PeerId, ...]
    """Members that were waited for in vain, or not waited for, at the end."""
    void: str | None
    """Why there is no mean."""
    exposed: bool
    """Whether our update may be in a sum that somebody opened. False only if that is certain."""
    certificate: tuple[tuple[PeerId, bytes], ...]
    """Signatures of members under the digest of the sum."""
    certified: bool
    """Whether those are of a quorum: whoever trusts m, b and the roster needs no more."""
