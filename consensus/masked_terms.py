"""What the members of a cell have agreed on before a masked round begins, and its heavy work.

Either or: of each member this one reveals a share of the seed or a share of the pair key, once a round, whatever the
coordinator says later. What holds only for members that follow the protocol: norms are not proved, sums are not checked
(an owner can publish what it likes), and a wrong share voids the round without a name. t colluders learn the sum alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from consensus.encrypted_messages import COUNTED_BYTES
from consensus.errors import PlanError
from consensus.messages import Vector
from crypto.commitment import digest
from crypto.field import Signed
from crypto.field import Vector as Words
from crypto.fixedpoint import FixedPoint
from crypto.identity import PeerId
from crypto.lattice import lattice_points
from crypto.masks import (
    PUBLIC_BYTES,
    SHARE_BYTES,
    MaskError,
    add_masks,
    agree,
    recover_masks,
    recover_seed,
    split,
    to_words,
)
from crypto.randomness import Stream

MAX_MEMBERS = 8 * COUNTED_BYTES


@dataclass(frozen=True)
class MaskedTerms:
    """The same on all members. Raises PlanError with the bound that does not hold."""

    cell: tuple[PeerId, ...]
    """The sorted roster."""
    number: int
    """Of the round."""
    size: int
    """d."""
    fixed: FixedPoint
    """How vectors are written."""
    tolerated: int
    """t: colluders that learn the sum and nothing else."""
    least_honest: int = 2
    """h: the sum holds at least this many updates beside those of t colluders."""
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)
    epoch: int = 0
    deadline_s: float = 10.0
    """How long each of the nine waves may take."""

    def __post_init__(self) -> None:
        members = len(self.cell)
        if list(self.cell) != sorted(set(self.cell)) or not 3 <= members <= MAX_MEMBERS:
            raise PlanError(f"a masked round needs a sorted roster of 3 to {MAX_MEMBERS}, got {members}")
        if self.tolerated < 0 or self.least_honest < 2 or self.least > members:
            raise PlanError(
                "floor((m + t) / 2) + 1 <= m and t + h <= m, h >= 2, are needed, for no two sets of members to see "
                f"both kinds of shares: m={members}, t={self.tolerated}, h={self.least_honest}"
            )
        if self.number < 0 or self.size < members or not 0 < self.deadline_s < math.inf:
            raise PlanError(
                "round >= 0, d >= m and a finite deadline > 0 are needed: "
                f"{self.number}, {self.size}, {self.deadline_s}"
            )
        if self.fixed.members < members:
            raise PlanError(f"room for a sum of m = {members} is needed, the encoding has it for {self.fixed.members}")

    @property
    def threshold(self) -> int:
        """T = ⌊(m + t) / 2⌋ + 1 shares recover a secret. Two sets of T have more than t members in common, an honest
        one among them; and that one reveals one kind of share alone. So even a coordinator that tells each something
        else gets, with t friends, one of the two secrets of a member.
        """
        return (len(self.cell) + self.tolerated) // 2 + 1

    @property
    def least(self) -> int:
        """Fewest members that count: enough to reveal, and h more than collude."""
        return max(self.threshold, self.tolerated + self.least_honest)

    @property
    def max_body(self) -> int:
        """Bytes of the largest body of a message of the round: what the wire must let through, and no more."""
        return max(PUBLIC_BYTES, SHARE_BYTES * len(self.cell), 4 * (self.size // self.least + 1))

    @property
    def coordinator(self) -> PeerId:
        """Whose turn it is to say who counts."""
        return self.cell[self.number % len(self.cell)]

    def encode(self, vector: Vector, noise: Signed | None, seed: bytes) -> Words:
        """The words (d,) of a member's vector with its noise. Raises `FixedPointError` for one that has none."""
        return to_words(lattice_points(self.fixed, vector, noise, Stream(seed, "masked rounding")))

    def decode(self, total: Words, counted: Collection[PeerId]) -> Vector:
        """The mean float32 (d,) of those `counted`, from the sum of their words."""
        return self.fixed.decode(total.view(np.int32), len(counted))

    def edges(self, fragments: int) -> list[tuple[int, int]]:
        """Where each of so many fragments begins and ends."""
        return list(pairwise(self.size * index // fragments for index in range(fragments + 1)))

    @cached_property
    def context(self) -> bytes:
        """The digest (32 bytes) of all of this: every signature, agreement and box of the round is about it."""
        fixed = self.fixed
        return digest(
            "grapevine masked round v1",
            self.swarm, self.layout, self.epoch, self.number, self.size, self.tolerated, self.least_honest,
            fixed.scale.hex(), fixed.clip.hex(), fixed.members, fixed.noise,
            *self.cell,
        )  # fmt: skip


def mutual(seen: Mapping[PeerId, Collection[PeerId]]) -> tuple[PeerId, ...]:
    """Members that all have each other, sorted: whoever lacks or is lacked most is left out, until nobody is."""
    kept = set(seen)
    while kept:
        lacks = {
            peer: sum((other not in seen[peer]) + (peer not in seen[other]) for other in kept) for peer in sorted(kept)
        }
        worst = max(lacks, key=lambda peer: lacks[peer])
        if not lacks[worst]:
            break
        kept.discard(worst)
    return tuple(sorted(kept))


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A member's first job: all fragments of its words, masked."""

    words: Words
    edges: Sequence[tuple[int, int]]
    added: tuple[bytes, ...] = field(repr=False)
    subtracted: tuple[bytes, ...] = field(repr=False)

    def run(self) -> tuple[bytes, ...]:
        """A body a fragment."""
        return tuple(
            add_masks(self.words[start:end], fragment, self.added, self.subtracted).astype("<u4").tobytes()
            for fragment, (start, end) in enumerate(self.edges)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Unmask:
    """An owner's job: the sum of one fragment. `publics` and `shares` (by place of who revealed) are by place."""

    fragment: int
    bodies: tuple[bytes, ...]
    publics: Mapping[int, bytes]
    counted: tuple[int, ...]
    shares: Mapping[int, Mapping[int, bytes]]
    """Of each member that masked."""
    threshold: int
    context: bytes

    def run(self) -> bytes | str:
        """The words of the sum, or why there are none: shares can be wrong, and nobody knows before they are joined."""
        total: Words = np.zeros(len(self.bodies[0]) // 4, dtype=np.uint32)
        for body in self.bodies:
            total += np.frombuffer(body, "<u4")
        try:
            return add_masks(total, self.fragment, *self._seeds()).astype("<u4").tobytes()
        except MaskError as error:
            return str(error)

    def _seeds(self) -> tuple[list[bytes], list[bytes]]:
        """The seeds whose masks are to be added, and to be subtracted, for the sum to be bare."""
        added: list[bytes] = []
        subtracted: list[bytes] = []
        for place, shares in self.shares.items():
            _, point, promised = split(self.publics[place])
            if place in self.counted:
                subtracted.append(recover_seed(shares, self.threshold, promised))
                continue
            secret = recover_masks(shares, self.threshold, point)
            for other in self.counted:
                pair = agree(secret, split(self.publics[other])[1], "mask", self.context)
                (subtracted if other < place else added).append(pair)
        return added, subtracted
