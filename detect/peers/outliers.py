"""Who differs from the others of a round: robust z-scores across peers.

z = 0.6745 (x − median) / MAD, of variance 1 where x is normal: Iglewicz & Hoaglin 1993, section 3.3. A feature in which
most are alike to the last bit has a MAD of 0, and the smallest honest difference would be infinite; so the scale never
falls below a share of the median's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

_TO_SIGMA = 0.6745
LEAST_PEERS = 4
"""Of fewer, none is out of the ordinary."""
_LEAST_SCALE = 0.02
_FURTHEST = 1e9


def robust_z(values: Values) -> Values:
    """z-scores of the values (k,) of one feature. What is not finite is infinitely far out; of fewer than 4, all 0."""
    finite = np.isfinite(values)
    scores = np.zeros(len(values))
    if int(finite.sum()) >= LEAST_PEERS:
        median = float(np.median(values[finite]))
        scale = float(np.median(np.abs(values[finite] - median))) / _TO_SIGMA
        scale = max(scale, _LEAST_SCALE * abs(median), np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            scores[finite] = np.clip((values[finite] - median) / scale, -_FURTHEST, _FURTHEST)
    scores[~finite] = np.inf
    return scores


def outliers(features: Mapping[str, Sequence[float]], limit: float) -> list[dict[str, float]]:
    """For each of k peers the features in which it is out by more than `limit`, with its z.

    `features` holds k values each. Features have directions only where one is harmless: `HARMLESS_LOW` names those in
    which a small value says nothing.
    """
    count = len(next(iter(features.values()), ()))
    found: list[dict[str, float]] = [{} for _ in range(count)]
    for name, values in features.items():
        for place, z in enumerate(robust_z(np.asarray(values, dtype=np.float64))):
            out = float(z) if name in HARMLESS_LOW else abs(float(z))
            out = -float(z) if name in HARMLESS_HIGH else out
            if out > limit:
                found[place][name] = float(z)
    return found


HARMLESS_LOW = frozenset({"distance", "loss_change", "lateness"})
HARMLESS_HIGH = frozenset({"cosine"})
