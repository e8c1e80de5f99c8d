"""Updates of float32 as integers that a field can add up, and back."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from crypto.field import BLOCK, PRIME, Signed
from crypto.randomness import Stream

Update: TypeAlias = npt.NDArray[np.float32]

_ROUND = 1.5 * 2**52  # added to |v| < 2**51 leaves the nearest integer of v in the low bits of the mantissa


class FixedPointError(ValueError):
    """An encoding whose sums could wrap around, or an update that has no encoding."""


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """How the members of a cell write their updates as lattice points.

    A wrap is silent, so the room for a sum of all members is checked when the encoding is made: FixedPointError unless
    members · (clip · scale + 1 + noise) ≤ (p − 1) / 2.
    """

    scale: float
    """Lattice units in 1.0 of an update."""
    clip: float
    """Largest Euclidean norm of an update; a longer one is shortened to it."""
    members: int
    """How many encodings may be added."""
    noise: int = 0
    """Largest noise that a member adds to a coordinate after encoding, in lattice units."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.clip) and self.clip > 0):
            raise FixedPointError(f"scale and clip must be positive and finite, got {self.scale} and {self.clip}")
        if self.members < 1 or self.noise < 0:
            raise FixedPointError(f"members >= 1 and noise >= 0 are needed, got {self.members} and {self.noise}")
        room = PRIME // 2
        if self.members * self.bound > room:
            raise FixedPointError(
                f"a sum could wrap: members * (clip * scale + 1 + noise) <= (p - 1) / 2 is needed: "
                f"{self.members} * {self.bound} > {room}; "
                f"use a scale of at most {(room / self.members - 2 - self.noise) / self.clip:.6g}"
            )

    @property
    def bound(self) -> int:
        """Largest absolute value of a coordinate, noise included, in lattice units."""
        return math.ceil(self.clip * self.scale) + 1 + self.noise

    def encode(self, update: Update, stream: Stream, out: Signed | None = None) -> Signed:
        """Clip, scale and round `update` (d,) to the lattice; gives int32 (d,), `out` if that is given.

        Rounding is stochastic: v becomes ⌊v⌋ + 1 with probability v − ⌊v⌋, so that errors cancel in a sum (up to 2⁻³²
        of that probability, and up to the last place of a double for |v| > 2²⁰). Raises FixedPointError for values
        that are not finite.
        """
        factor = self.scale * self._shortening(update)
        encoded = np.empty(update.size, dtype=np.int32) if out is None else out
        wide, scratch = np.empty((2, min(BLOCK, update.size)))
        for start in range(0, update.size, BLOCK):
            part = update[start : start + BLOCK]
            values, offsets = wide[: part.size], scratch[: part.size]
            np.copyto(offsets, stream.octets((4 * part.size,)).view("<i4"))
            offsets *= 2.0**-32  # uniform in [−1/2, 1/2)
            np.copyto(values, part)
            values *= factor
            values += offsets
            values += _ROUND
            np.copyto(encoded[start : start + BLOCK].view(np.uint32), values.view(np.uint64), casting="unsafe")
        return encoded

    def decode(self, total: Signed, members: int = 1) -> Update:
        """The float32 mean of `members` updates from the lattice sum `total` (d,)."""
        if not 1 <= members <= self.members:
            raise FixedPointError(f"a sum holds 1 to {self.members} members, got {members}")
        decoded = np.empty(total.size, dtype=np.float32)
        scratch, unit = np.empty(min(BLOCK, total.size)), 1.0 / (self.scale * members)
        for start in range(0, total.size, BLOCK):
            part = total[start : start + BLOCK]
            decoded[start : start + BLOCK] = np.multiply(part, unit, out=scratch[: part.size])
        return decoded

    def _shortening(self, update: Update) -> float:
        square, scratch = 0.0, np.empty(min(BLOCK, update.size))
        for start in range(0, update.size, BLOCK):
            part = update[start : start + BLOCK]
            wide = scratch[: part.size]
            np.copyto(wide, part)
            square += float(np.dot(wide, wide))
        if not math.isfinite(square):
            raise FixedPointError("the update has values that are not finite: refuse the training step that made it")
        norm = math.sqrt(square)
        return self.clip / norm if norm > self.clip else 1.0
