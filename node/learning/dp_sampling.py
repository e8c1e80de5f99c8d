"""Poisson samples: every record takes part by a coin of its own. What the accountant's amplification rests on.

A shuffled epoch cut into batches is not a Poisson sample, and its ε is not the one computed for it. The coins come
from AES-256 in counter mode under a seed that is used once and never shown: whoever knows who took part knows more
than the accountant allows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crypto.randomness import SEED_BYTES, Stream

_WORD = 1 << 32


class PoissonSampler:
    """Draws from `rows` records, each with probability at most `rate` (2⁻³² below it at most), 0 < rate ≤ 1."""

    def __init__(self, rows: int, rate: float) -> None:
        if rows < 1 or not 0 < rate <= 1:
            raise ValueError(f"rows >= 1 and 0 < rate <= 1 are needed, got {rows} and {rate}")
        self._rows = rows
        self._threshold = int(rate * _WORD)

    def draw(self, seed: bytes) -> NDArray[np.int64]:
        """The numbers of the records that take part, ascending, (b,), b ≥ 0; `seed` is 32 secret bytes, used once."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, got {len(seed)}")
        words = Stream(seed, "poisson sample").words(self._rows)
        return np.flatnonzero(words < self._threshold)
