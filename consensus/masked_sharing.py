"""Secret phases by pairwise masks: for members that are trusted to follow the protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from consensus.errors import PlanError
from consensus.masked_round import MaskedRound
from consensus.masked_terms import MaskedTerms
from consensus.sharing import Hand, Update
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.identity import PeerId

_ROOM = 2**30 - 2**20
"""Words of a sum: less than half of the integers that an encoding may use, with room for rounding up."""


@dataclass(frozen=True)
class MaskedSharing:
    """What does not change from round to round. Raises PlanError with the bound that does not hold."""

    members: int
    """m: of every cell."""
    tolerated: int
    absentees: int
    clip: float | None = None
    """Largest Euclidean norm of an update; a longer one is shortened. Give this or `encoding`."""
    encoding: FixedPoint | None = None
    """How updates are written where noise decides that (`LatticeGaussian.encoding`); else it follows from `clip`."""
    least_honest: int = 2
    """h: the sum holds at least this many updates beside those of t colluders."""
    deadline_s: float = 10.0
    """How long one wave of a round may wait for members."""
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)

    def __post_init__(self) -> None:
        if (self.clip is None) == (self.encoding is None):
            raise PlanError("sharing needs either a clip, in units of an update, or an encoding")
        terms = self._terms(tuple(PeerId(f"member {place:03}") for place in range(self.members)), 0, 0, self.members)
        if self.members - self.absentees < terms.least:
            raise PlanError(
                f"m - f >= max(floor((m + t) / 2) + 1, t + h) is needed, for the others to open a sum without f: "
                f"m={self.members}, f={self.absentees}, t={self.tolerated}, h={self.least_honest}"
            )

    @property
    def fixed(self) -> FixedPoint:
        """How updates are written."""
        if self.encoding is not None:
            return self.encoding
        clip = self.clip or 0.0
        return FixedPoint(_ROOM / self.members / clip if clip else 0.0, clip, self.members)

    @property
    def vouching(self) -> int:
        """t + 1."""
        return self.tolerated + 1

    def most_bytes(self, size: int) -> int:
        """Of the body of any message of a round on d = `size` parameters."""
        cell = tuple(PeerId(f"member {place:03}") for place in range(self.members))
        return self._terms(cell, 0, 0, max(size, self.members)).max_body

    def round(
        self,
        me: PeerId,
        cell: tuple[PeerId, ...],
        number: int,
        epoch: int,
        size: int,
        update: Update | None,
        hand: Hand,
        channel_keys: Mapping[PeerId, bytes],  # noqa: ARG002 - these rounds make keys of their own
        absent: Collection[PeerId] = (),
        shunned: Collection[PeerId] = (),  # noqa: ARG002 - for members that trust each other
    ) -> MaskedRound:
        """See `Sharing.round`."""
        return MaskedRound(
            me,
            self._terms(cell, number, epoch, size),
            None if update is None else update.vector,
            hand.signer,
            absent,
            None if update is None else update.noise,
        )

    def _terms(self, cell: tuple[PeerId, ...], number: int, epoch: int, size: int) -> MaskedTerms:
        try:
            fixed = self.fixed
        except FixedPointError as error:
            raise PlanError(str(error)) from error
        return MaskedTerms(
            cell=cell,
            number=number,
            size=size,
            fixed=fixed,
            tolerated=self.tolerated,
            least_honest=self.least_honest,
            swarm=self.swarm,
            layout=self.layout,
            epoch=epoch,
            deadline_s=self.deadline_s,
        )
