"""Which coordinates of an update a round shares, where it shares some of them: public, random, the same on all members.

What is left out stays at the node and is part of what it shares later (error feedback: Stich, Cordonnier & Jaggi,
"Sparsified SGD with memory", 2018), so that nothing that was learned is lost, and a round sends ⌈share · d⌉ numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consensus.errors import PlanError
from crypto.commitment import digest
from crypto.randomness import Stream

Places = NDArray[np.int64]
"""Indices of coordinates, shape (k,), sorted."""

_WORD = np.dtype("<u8")


@dataclass(frozen=True, slots=True)
class Coordinates:
    """`share` of the coordinates of a model of d = `size`, in the swarm with the digest `swarm`. Raises PlanError."""

    share: float
    size: int
    swarm: bytes

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise PlanError(f"a share of coordinates is above 0 and at most 1, got {self.share}")

    @property
    def count(self) -> int:
        """k = ⌈share · d⌉."""
        return min(self.size, math.ceil(round(self.share * self.size, 6)))

    def of(self, number: int, epoch: int, beacon: bytes) -> Places | None:
        """Those of round `number`; None for all of them. `beacon` is the epoch's public randomness."""
        if self.count == self.size:
            return None
        seed = digest("grapevine coordinates v1", self.swarm, epoch, beacon, number, self.size)
        # The k coordinates with the smallest of d random words: a uniform subset, but for ties of 64 bits.
        words = np.frombuffer(Stream(seed, "coordinates").take_bytes(8 * self.size), _WORD)
        last = np.partition(words, self.count - 1)[self.count - 1]
        smaller = np.flatnonzero(words < last)
        ties = np.flatnonzero(words == last)[: self.count - smaller.size]
        places: Places = np.sort(np.concatenate([smaller, ties])).astype(np.int64, copy=False)
        return places
