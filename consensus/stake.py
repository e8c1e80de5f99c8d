"""A member's vectors in a guarded round: what it brings to the cell, what the cell's mean moves, what it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from consensus.base import FARTHEST, Base
from consensus.coordinates import Places
from consensus.messages import Vector
from consensus.sharing import Update


@dataclass(frozen=True, slots=True, eq=False)
class Stake:
    """Of one member in one round, d parameters."""

    trained: Vector
    """x_j, float32 (d,)."""
    base: Base
    """y_j, and v_j."""
    update: Update | None
    """u_j; None where it brings nothing."""
    places: Places | None
    """The coordinates that the round shares; None: all."""

    @property
    def size(self) -> int:
        """How many coordinates are shared."""
        return self.trained.size if self.places is None else self.places.size

    @property
    def brought(self) -> Update | None:
        """The part of the update that is shared."""
        if self.update is None or self.places is None:
            return self.update
        noise = self.update.noise
        return Update(self.update.vector[self.places], None if noise is None else noise[self.places])

    def moved(self, base: Base, mean: Vector, momentum: float) -> Vector:
        """y' = y + momentum · v + mean u, for the mean (k,) of what was shared, within `FARTHEST` of zero."""
        moved = base.vector.copy()
        if base.velocity is not None and momentum > 0:
            moved += np.float32(momentum) * base.velocity
        moved[slice(None) if self.places is None else self.places] += mean
        # Where nobody vouches for a base a liar's may be anywhere: a velocity beyond float32 would never come back.
        return np.clip(moved, -FARTHEST, FARTHEST, out=moved)

    def after(self, vector: Vector) -> Vector:
        """The member's model where the mean made the public vector `vector`: what it did not share stays its own, to
        be shared later. Where noise hides updates nothing stays: that would be learned from twice and charged once.
        """
        if self.places is None or self.update is None or self.update.noise is not None:
            return vector
        model = self.aside(vector)
        model[self.places] = vector[self.places]
        return model

    def aside(self, vector: Vector) -> Vector:
        """The member's model on the public vector `vector` with all that it learned since its base."""
        same = vector == self.base.vector
        model: Vector = np.where(same, self.trained, vector + (self.trained - self.base.vector))
        return model
