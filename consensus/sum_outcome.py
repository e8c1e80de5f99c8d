"""How a round that opens a sum ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from consensus.messages import Vector
from consensus.private_outcome import Culprit, PrivateOutcome
from crypto.identity import PeerId


def sum_outcome(
    number: int,
    mean: Vector | None,
    accepted: Sequence[PeerId],
    void: str | None,
    *,
    absent: Collection[PeerId],
    culprits: Mapping[PeerId, str],
    exposed: bool,
) -> PrivateOutcome:
    """The outcome of a round in which nothing is proved and nothing certified; `mean` is made read-only."""
    if mean is not None:
        mean.flags.writeable = False
    return PrivateOutcome(
        number=number,
        mean=mean,
        accepted=tuple(accepted),
        culprits=tuple(Culprit(peer, why) for peer, why in sorted(culprits.items())),
        absent=tuple(sorted(absent)),
        void=void,
        exposed=exposed,
        certificate=(),
        certified=False,
    )
