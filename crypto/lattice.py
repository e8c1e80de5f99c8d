"""An update as it enters a sum: lattice points, with the noise that protects them."""

from __future__ import annotations

import numpy as np

from crypto.field import Signed
from crypto.fixedpoint import FixedPoint, FixedPointError, Update
from crypto.randomness import Stream


def lattice_points(fixed: FixedPoint, update: Update, noise: Signed | None, stream: Stream) -> Signed:
    """`update` (d,) float32 encoded by `fixed`, plus `noise` (d,) int32 in its units where there is any; int32 (d,).

    Raises FixedPointError for an update without an encoding, and for noise that `fixed` has no room for: it would wrap.
    """
    points = fixed.encode(update, stream)
    if noise is None:
        return points
    if noise.shape != points.shape or noise.dtype != np.int32:
        raise FixedPointError(f"noise is int32 {points.shape}, got {noise.dtype} {noise.shape}")
    if noise.size and max(-int(noise.min()), int(noise.max())) > fixed.noise:
        raise FixedPointError(f"noise of more than {fixed.noise} lattice units, for which the encoding has no room")
    points += noise
    return points
