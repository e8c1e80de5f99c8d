"""The frozen message types of a round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""A model or an update below `node/learning`: float32, shape (d,), contiguous."""


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """A member's vector for one phase of one round of the open mode.

    `vector` has shape (d,) and is read-only: it may be a view of a receive buffer.
    """

    round: int
    phase: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class Unchanged:
    """In place of a `Contribution` to the first phase: the vector is the one that you were sent last."""

    round: int
    digest: bytes
    """SHA-256 of the vector as it travels."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """That vector never came, or is another: send the contribution itself."""

    round: int
