"""Rules that look at one coordinate at a time, in any order of the members the same to the bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from consensus.errors import PlanError
from consensus.messages import Vector

_BLOCK = 8192


def median(vectors: Sequence[Vector], byzantine: int) -> Vector:
    """The coordinate-wise median, the mean of the middle two where n is even: Yin et al. 2018, definition 1."""
    if len(vectors) < 2 * byzantine + 1:
        raise PlanError(f"cannot tolerate 2f >= n: f={byzantine}, n={len(vectors)}")
    return _middle(vectors, (len(vectors) - 1) // 2)


def trimmed_mean(vectors: Sequence[Vector], byzantine: int) -> Vector:
    """The mean of each coordinate without its f lowest and f highest: Yin et al. 2018, definition 2."""
    if len(vectors) < 2 * byzantine + 1:
        raise PlanError(f"the trimmed mean needs n >= 2f + 1: f={byzantine}, n={len(vectors)}")
    return _middle(vectors, byzantine)


def _middle(vectors: Sequence[Vector], trimmed: int) -> Vector:
    result = np.empty_like(vectors[0])
    for start in range(0, result.size, _BLOCK):
        block = np.sort(np.stack([vector[start : start + _BLOCK] for vector in vectors]), axis=0)
        kept = block[trimmed : len(vectors) - trimmed]
        # Sorted columns are summed from the lowest to the highest: the same sum whoever sent what.
        result[start : start + _BLOCK] = kept.sum(axis=0, dtype=np.float64) / len(kept)
    return result
