"""Secret phases by homomorphic sums: for members that follow the protocol, where keeper and relay do not collude."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from consensus.encrypted_round import EncryptedRound
from consensus.encrypted_terms import MIN_CIPHERTEXTS, EncryptedTerms
from consensus.errors import PlanError
from consensus.messages import Vector
from consensus.sharing import Hand, Update
from crypto.bfv import PLAIN_MODULUS, Bfv
from crypto.ckks import LIMIT, Ckks
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.homomorphic import Scheme
from crypto.homomorphic_errors import HomomorphicError
from crypto.identity import PeerId


@dataclass(frozen=True)
class EncryptedSharing:
    """What does not change from round to round. Raises PlanError with the bound that does not hold."""

    members: int
    """m: of every cell."""
    absentees: int
    kind: Literal["ckks", "bfv"]
    clip: float | None = None
    """Largest Euclidean norm of an update; a longer one is shortened. Give this or `encoding`."""
    encoding: FixedPoint | None = None
    """How updates are written where noise decides that (`LatticeGaussian.encoding`); else it follows from `clip`."""
    least: int = MIN_CIPHERTEXTS
    """Fewest updates, beside that of the keeper, in a sum that the keeper reads."""
    deadline_s: float = 30.0
    """How long one wave of a round may take, encryption included."""
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)

    def __post_init__(self) -> None:
        if (self.clip is None) == (self.encoding is None):
            raise PlanError("sharing needs either a clip, in units of an update, or an encoding")
        self._terms(tuple(PeerId(f"member {place:03}") for place in range(self.members)), 0, 0, 1)
        if self.members - 1 - self.absentees < self.least:
            raise PlanError(
                "m - 1 - f >= least is needed, for the keeper to read a sum of as many without f of them: "
                f"m={self.members}, f={self.absentees}, least={self.least}"
            )

    @cached_property
    def scheme(self) -> Scheme:
        """How vectors are encrypted. Raises HomomorphicError or FixedPointError."""
        if self.kind == "bfv":
            return Bfv(self.encoding or self._lattice(PLAIN_MODULUS // 2))
        if self.clip is not None and self.clip > LIMIT:
            raise HomomorphicError(f"clip <= {LIMIT} is needed for a sum not to wrap, got {self.clip}")
        return Ckks(self.encoding)

    def _lattice(self, room: int) -> FixedPoint:
        clip = self.clip or 0.0
        scale = (room / self.members - 2) / clip if clip else 0.0
        return FixedPoint(scale, clip, self.members)

    @property
    def vouching(self) -> int:
        """Two: a single member may be the one that lies."""
        return 2

    def most_bytes(self, size: int) -> int:
        """Of the body of any message of a round on d = `size` parameters."""
        return self._terms(tuple(PeerId(f"member {place:03}") for place in range(self.members)), 0, 0, size).max_body

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
    ) -> EncryptedRound:
        """See `Sharing.round`."""
        return EncryptedRound(
            me,
            self._terms(cell, number, epoch, size),
            None if update is None else self._shortened(update.vector),
            hand.signer,
            absent,
            None if update is None else update.noise,
        )

    def _shortened(self, vector: Vector) -> Vector:
        """A lattice shortens by itself; approximate sums have none."""
        if self.clip is None or self.scheme.fixed is not None:
            return vector
        norm = float(np.linalg.norm(vector.astype(np.float64)))
        return vector if norm <= self.clip else (vector * (self.clip / norm)).astype(np.float32)

    def _terms(self, cell: tuple[PeerId, ...], number: int, epoch: int, size: int) -> EncryptedTerms:
        try:
            scheme = self.scheme
        except (FixedPointError, HomomorphicError) as error:
            raise PlanError(str(error)) from error
        return EncryptedTerms(
            cell=cell,
            number=number,
            size=size,
            scheme=scheme,
            swarm=self.swarm,
            layout=self.layout,
            epoch=epoch,
            deadline_s=self.deadline_s,
            least=self.least,
        )
