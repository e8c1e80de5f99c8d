"""What peers have of this node's model, where a change too small to be worth its bytes is not sent.

    x̂_i   what was sent last        x_i   what the node holds        x_i ← Σ_j w_ij x̂_j + (x_i − x̂_i)

The node averages what all have of it, as they do, and keeps the difference: nothing that it learned is lost, it is sent
once it has grown, and the mean over all nodes moves as if everything had been sent. Event-triggered gossip: Singh et
al., "SPARQ-SGD" (2019), without its quantisation.
"""

from __future__ import annotations

import numpy as np

from consensus.messages import Vector


class PublicCopy:
    """Of one node. `threshold` is a share of the model's Euclidean norm."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._public: Vector | None = None
        self._kept: Vector | None = None

    def offer(self, own: Vector) -> Vector:
        """What the node brings to a round that holds `own` (d,): that, or what it brought last."""
        if self._public is None or not self._near(own, self._public):
            self._public = own
        self._kept = own - self._public
        return self._public

    def after(self, outcome: Vector) -> Vector:
        """What a round that came to `outcome` (d,) makes of the node's model."""
        return outcome if self._kept is None or not self._kept.any() else outcome + self._kept

    def _near(self, own: Vector, public: Vector) -> bool:
        change, size = (float(np.linalg.norm(one.astype(np.float64))) for one in (own - public, own))
        return change < self._threshold * size
