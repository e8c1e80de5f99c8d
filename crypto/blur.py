"""Noise on the distances between members' updates, dealt by all of them together: nobody knows it, nobody can skew it
far.

Each dealer draws a number for every pair of members and shares its bits; that they are bits is proved with the rest of
its bits (`crypto.norm_proof`), so that whatever a dealer says, its part of the noise of a pair lies in [−A, A]. An
honest one draws it from a Gaussian of deviation A / 3, rounded, and cut off at A (one draw in 370). The noise of a pair
is the sum of the parts of all accepted dealers: of at least h honest ones whom no colluder knows.

A liar may choose its parts, and so bring any distance up or down by A: 3 / √h deviations of the whole noise. That is
why the cut is so near; a figure of ε, which nobody claims of these distances, would need one further out, or count it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from crypto.field import PRIME, Signed, Vector
from crypto.randomness import Stream

DEVIATIONS = 3
"""A, in deviations of an honest part."""


class BlurError(ValueError):
    """Noise that the field has no room for, or that is none."""


@dataclass(frozen=True)
class Blur:
    """The noise of one round, by what all members know."""

    members: int
    """m."""
    reach: int
    """A: in the unit of the distances, (top bits of a row of the sketch)²."""

    def __post_init__(self) -> None:
        if self.members < 2 or not DEVIATIONS <= self.reach < PRIME // 8:
            raise BlurError(f"m >= 2 and {DEVIATIONS} <= A < p / 8 are needed: m={self.members}, A={self.reach}")

    @classmethod
    def of(cls, members: int, deviation: float, shares: int) -> Blur:
        """The blur whose sum over `shares` honest members has this deviation."""
        if not (math.isfinite(deviation) and deviation > 0) or shares < 1:
            raise BlurError(f"a deviation > 0 from one member or more is needed: {deviation}, {shares}")
        return cls(members, max(DEVIATIONS, math.ceil(DEVIATIONS * deviation / math.sqrt(shares))))

    @property
    def sigma(self) -> float:
        """Deviation of an honest part."""
        return self.reach / DEVIATIONS

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Of members i < j, in order."""
        return tuple(combinations(range(self.members), 2))

    @property
    def bits(self) -> int:
        """Of the part of one pair."""
        return (2 * self.reach).bit_length()

    @property
    def words(self) -> int:
        """Bits of all pairs."""
        return len(self.pairs) * self.bits

    @property
    def coefficients(self) -> npt.NDArray[np.uint64]:
        """What the bits stand for (bits,): powers of two, and last what is left of 2A. So all bits together spell 2A,
        and each number from 0 on has a spelling.
        """
        powers: npt.NDArray[np.uint64] = np.uint64(1) << np.arange(self.bits, dtype=np.uint64)
        powers[-1] = 2 * self.reach - ((1 << (self.bits - 1)) - 1)
        return powers

    def draw(self, stream: Stream) -> npt.NDArray[np.int64]:
        """Our part of the noise of each pair (pairs,).

        A rounded Gaussian of a generator that is cryptographic. Rounding costs no privacy: the distances are integers,
        so that it is done to the noised distance. That doubles have 53 bits does not show in what is rounded to units.
        """
        words = stream.octets((2 * len(self.pairs), 8)).reshape(-1).view("<u8") >> np.uint64(11)
        uniform = (words.astype(np.float64) + 1) * 2.0**-53  # in (0, 1]
        radius, angle = np.split(uniform, 2)
        normal = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)  # Box and Muller 1958
        noise: npt.NDArray[np.int64] = np.rint(normal * self.sigma).astype(np.int64)
        return noise.clip(-self.reach, self.reach)

    def spell(self, noise: npt.NDArray[np.int64]) -> Vector:
        """The bits (pairs · bits,) of noise + A."""
        values = noise + self.reach
        low = (1 << (self.bits - 1)) - 1
        top = values > low
        rest = values - np.where(top, int(self.coefficients[-1]), 0)
        spelled = (rest[:, None] >> np.arange(self.bits)) & 1
        spelled[:, -1] = top
        return spelled.reshape(-1).astype(np.uint32)

    def combine(self, bits: Vector) -> Vector:
        """Shares (pairs,) of the noise, from shares (pairs · bits,) of its bits."""
        # Coefficients are below 2²⁸ and words below 2³¹: a product is reduced before the next is added.
        products = bits.reshape(-1, self.bits).astype(np.uint64) * self.coefficients % np.uint64(PRIME)
        total = products.sum(axis=1) + np.uint64(PRIME - self.reach)
        shares: Vector = (total % np.uint64(PRIME)).astype(np.uint32)
        return shares

    def places(self, chosen: list[int]) -> npt.NDArray[np.intp]:
        """Where the pairs of `chosen` members are among all, in their order."""
        wanted = set(chosen)
        kept = [place for place, (i, j) in enumerate(self.pairs) if i in wanted and j in wanted]
        return np.array(kept, dtype=np.intp)


def signed(values: list[int]) -> Signed:
    """Elements of the field as the integers nearest to 0."""
    return np.array([value - PRIME if value > PRIME // 2 else value for value in values], dtype=np.int32)
