"""How the private rounds of a swarm are run, and the base that updates are differences from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from consensus.errors import PlanError
from consensus.messages import Vector
from consensus.private_messages import Body, BodyError
from consensus.private_terms import PrivateTerms
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.identity import PeerId
from crypto.norm_proof import ProofError, ProofParameters
from crypto.shamir import Packing, PackingError

_WORD = np.dtype("<f4")
# A fine lattice, so that what rounding adds stays far below what training changes: clip / 115,200 a step. The bits a
# proof leaves out grow by as much as C does against its default, so its error probabilities stay what they are.
_CLIP, _BOUND_BITS, _SHIFT = 128_000, 20, 9
_BOX_BYTES = 4096
"""More than all of a box that is not shares or bits."""


@dataclass(frozen=True, eq=False)
class Base:
    """What the members of a cell have in common: their public vector y and, with momentum, its velocity v."""

    vector: Vector
    """float32 (d,), read-only."""
    opened: int
    """One more than the round that made it; 0 for the initial vector."""
    velocity: Vector | None = None
    """float32 (d,), read-only: by how much y moved last. None where there is no momentum."""

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that stand for y and v."""
        return hashlib.sha256(self.body).digest()

    @property
    def body(self) -> bytes:
        """y ‖ v as they travel: little-endian float32."""
        parts = [self.vector] if self.velocity is None else [self.vector, self.velocity]
        return b"".join(part.astype(_WORD, copy=False).tobytes() for part in parts)

    @classmethod
    def parse(cls, body: Body, size: int, opened: int, *, velocity: bool) -> Self:
        """The base of d = `size` in `body`. Raises BodyError for what is none."""
        words = size * (2 if velocity else 1)
        if len(body) != 4 * words:
            raise BodyError(f"a base of {4 * words} bytes expected, it has {len(body)}")
        values = np.frombuffer(bytes(body), _WORD).astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise BodyError("a base has values that are not finite")
        values.flags.writeable = False
        return cls(values[:size], opened, values[size:] if velocity else None)

    def after(self, mean: Vector, number: int) -> Base:
        """The base that round `number` leaves, whose mean of updates is `mean`."""
        vector = self.vector + mean
        vector.flags.writeable = False
        return Base(vector, number + 1)


@dataclass(frozen=True, slots=True)
class GuardTerms:
    """What does not change from round to round. Raises PlanError with the bound that does not hold."""

    members: int
    """m: of every cell."""
    tolerated: int
    packed: int
    liars: int
    absentees: int
    clip: float
    """Largest Euclidean norm of an update; a longer one is shortened."""
    deadline_s: float = 30.0
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)

    def __post_init__(self) -> None:
        cell = tuple(PeerId(f"member {place:03}") for place in range(self.members))
        self.round(cell, 0, 1, bytes(32), dict.fromkeys(cell, b""))

    @property
    def proof(self) -> ProofParameters:
        """What is proved of an update."""
        try:
            packing = Packing(self.members, self.tolerated, self.packed, self.liars, self.absentees)
            return ProofParameters(packing, clip=_CLIP, bound_bits=_BOUND_BITS, shift=_SHIFT)
        except (PackingError, ProofError) as error:
            raise PlanError(str(error)) from error

    def round(
        self, cell: tuple[PeerId, ...], number: int, size: int, base: bytes, channel_keys: Mapping[PeerId, bytes]
    ) -> PrivateTerms:
        """The terms of one round of the sorted `cell`. The digest of the base is part of what all statements are
        about: members on another base cannot be taken for members of this round.
        """
        proof = self.proof
        try:
            fixed = FixedPoint(proof.honest_norm / self.clip, self.clip, self.members)
        except FixedPointError as error:
            raise PlanError(str(error)) from error
        return PrivateTerms(
            cell=cell,
            number=number,
            size=size,
            proof=proof,
            fixed=fixed,
            channel_keys=channel_keys,
            swarm=self.swarm,
            layout=self.layout,
            beacon=base,
            deadline_s=self.deadline_s,
        )

    @property
    def vouching(self) -> int:
        """So many members saying one thing are not all liars or colluders."""
        return max(self.tolerated, self.liars) + 1

    @property
    def least_heard(self) -> int:
        """m − f − e."""
        return self.members - self.absentees - self.liars

    def most_bytes(self, size: int) -> int:
        """Of the body of any message of a round on d = `size` parameters: a dispute about all boxes of all dealers."""
        proof = self.proof
        bits = proof.rows * proof.bits + proof.slack_bits
        box = 4 * (proof.packing.columns(size) + bits) + _BOX_BYTES
        return max(4 * size, self.members * self.members * box)
