"""How fast a node trains: slower while it runs away from the others, and as fast as before once it does not.

A round's distance is that from what a node trained to what the round came to, of length d each: its own share of the
consensus distance. Where rows are uneven each node pulls towards its own; a node whose distance is `_APART` times the
median of its last `_ROUNDS` rounds halves its learning rate, and wins it back by a quarter a round.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

_ROUNDS: Final = 16
_LEAST_ROUNDS: Final = 4
"""Before it there is nothing to compare with."""
_APART: Final = 1.5
_SLOWER: Final = 0.5
_FASTER: Final = 1.25
_SLOWEST: Final = 1 / 8


class Pace:
    """Of one node. `factor`, in [1/8, 1], is what the learning rate is multiplied by."""

    def __init__(self, distances: Sequence[float] = (), factor: float = 1.0) -> None:
        """As `state` gave it. Raises `ValueError` for what no node comes to."""
        sound = all(math.isfinite(one) and one >= 0 for one in distances) and len(distances) <= _ROUNDS
        if not (sound and _SLOWEST <= factor <= 1):
            raise ValueError(f"no pace: {len(distances)} distances, {factor}")
        self.factor = factor
        self._distances = deque(distances, maxlen=_ROUNDS)

    @property
    def state(self) -> tuple[float, ...]:
        """The factor and the distances that it goes by."""
        return self.factor, *self._distances

    def see(self, distance: float) -> None:
        """A round is over. One whose distance is not finite says nothing: it is rolled back."""
        if not math.isfinite(distance):
            return
        usual = float(np.median(self._distances)) if len(self._distances) >= _LEAST_ROUNDS else math.inf
        apart = distance > _APART * usual
        self.factor = max(_SLOWEST, self.factor * _SLOWER) if apart else min(1.0, self.factor * _FASTER)
        self._distances.append(distance)
