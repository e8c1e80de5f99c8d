"""Vectors as rules see them: how far apart they are, how much each weighs, which is one's own, how many may lie.

Most robust rules need no more of the vectors than their distances, and come to a weighted average of them. So they are
functions from a `Company` to weights, and serve wherever distances are known, be the vectors known or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from consensus.errors import PlanError
from consensus.messages import Vector

Matrix: TypeAlias = npt.NDArray[np.float64]
Row: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.intp]
Chosen: TypeAlias = npt.NDArray[np.bool_]

_BLOCK = 8192
_ABSURD = 1e10
"""Times the usual squared distance. Beyond, double precision could not tell the others apart any more."""
_UNIT = 2.0**-40
"""Weights are whole multiples of this, so that rounding in their making is no difference between two machines."""


@dataclass(frozen=True, eq=False)
class Company:
    """k vectors by their distances."""

    squared: Matrix
    """|x_i − x_j|², (k, k), float64, symmetric, its diagonal 0."""
    weights: Row
    """What each would weigh in a plain average, (k,), ≥ 0, sum 1."""
    byzantine: int
    """f: how many of the k may be anything. The own vector is not one of them."""
    own: int | None = None
    """The place of the own vector; None where there is none."""

    @property
    def size(self) -> int:
        """k."""
        return len(self.weights)

    @cached_property
    def gram(self) -> Matrix:
        """⟨x_i − c, x_j − c⟩ around the mean c, (k, k): all geometry that distances tell (Torgerson 1952)."""
        rows = self.squared.mean(axis=1)
        gram: Matrix = -0.5 * (self.squared - rows[:, None] - rows[None, :] + rows.mean())
        return gram

    def mixed(self, rows: Matrix) -> Company:
        """The company of the averages `rows` (k', k) of the vectors, equally weighted; nobody's own is among them."""
        gram = rows @ self.gram @ rows.T
        norms = np.diag(gram)
        squared = np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0)
        np.fill_diagonal(squared, 0.0)
        count = len(rows)
        return replace(self, squared=squared, weights=np.full(count, 1 / count), own=None)

    def centre_distances(self, weights: Row) -> Row:
        """|x_i − Σ w_j x_j|², (k,), for weights of sum 1."""
        to_each = self.squared @ weights
        distances: Row = np.maximum(to_each - 0.5 * float(weights @ to_each), 0.0)
        return distances

    def of_own(self) -> Row:
        """|x_i − x|, (k,), from the own vector. Raises `PlanError` where there is none."""
        if self.own is None:
            raise PlanError("a self-centred rule is for a node that has a vector of its own among those it averages")
        distances: Row = np.sqrt(self.squared[self.own])
        return distances

    def plausible(self) -> Chosen:
        """Which vectors, (k,), are not absurdly far from half of the others: as far as only liars are, where those are
        fewer than half.
        """
        typical = np.median(self.squared, axis=1)
        usual = float(np.median(typical))
        if not usual > 0:
            usual = float(min(typical[typical > 0], default=0.0))
        near: Chosen = typical <= _ABSURD * usual
        return near

    def only(self, chosen: Chosen) -> Company:
        """The company of the `chosen` (k,): those left out were so many of the liars."""
        if chosen.all():
            return self
        own = None if self.own is None or not chosen[self.own] else int(chosen[: self.own].sum())
        weights = self.weights[chosen]
        gone = int((~chosen).sum())
        return Company(
            self.squared[np.ix_(chosen, chosen)], weights / weights.sum(), max(0, self.byzantine - gone), own
        )

    @classmethod
    def of(cls, vectors: Sequence[Vector], weights: Sequence[float], byzantine: int, own: int | None = None) -> Self:
        """The company of `vectors`, k of shape (d,) float32 and finite."""
        return cls(squared_distances(vectors), np.array(weights, dtype=np.float64), byzantine, own)


def squared_distances(vectors: Sequence[Vector]) -> Matrix:
    """|x_i − x_j|² in float64, (k, k); differences first, since models are close to each other and far from zero."""
    count = len(vectors)
    squared = np.zeros((count, count))
    for start in range(0, vectors[0].size, _BLOCK):
        block = np.stack([vector[start : start + _BLOCK] for vector in vectors]).astype(np.float64)
        for i in range(count - 1):
            difference = block[i + 1 :] - block[i]
            squared[i, i + 1 :] += np.einsum("kd,kd->k", difference, difference)
    return squared + squared.T


def tidied(weights: Row) -> Row:
    """`weights` ≥ 0 without their last bits, which differ between machines, and of sum 1."""
    whole = np.rint(np.maximum(weights, 0.0) / (_UNIT * weights.sum()))
    result: Row = whole / whole.sum()
    return result
