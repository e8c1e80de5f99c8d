"""Mixing matrices: W[i, j] is the weight that node i gives the vector of node j, so one exchange is X ← W X.

All are doubly stochastic: every row and every column sums to one, so the average of the swarm stays where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from consensus.adjacency import Adjacency, Edges
from consensus.errors import PlanError
from consensus.messages import Vector

Matrix = NDArray[np.float64]

_GAP_NOISE = 1e-12
"""A gap below this is rounding: the path of 4096 nodes, the worst graph we admit, still has 4e-7 / 2."""

_BLOCK = 8192
"""Coordinates at a time: 64 KiB of float64, which stays in the nearest cache and below the size that BLAS threads."""


def metropolis_hastings(n: int, edges: Edges) -> Matrix:
    """The matrix of Metropolis–Hastings weights, shape (n, n), symmetric.

    w_ij = 1 / (1 + max(deg i, deg j)) on an edge, w_ii what is left. Xiao, Boyd & Lall, "Distributed average consensus
    with time-varying Metropolis weights" (2006), section 2. Raises `PlanError` for edges that are none.
    """
    graph = Adjacency(n, edges)
    W = np.zeros((n, n))
    W[graph.sources, graph.targets] = _edge_weights(graph.degrees[graph.sources], graph.degrees[graph.targets])
    np.fill_diagonal(W, 1.0 - W.sum(axis=1))
    return W


def metropolis_hastings_row(graph: Adjacency, member: int) -> dict[int, float]:
    """One row of that matrix in O(degree): weight by node, `member` included, zeros left out."""
    neighbours = graph.of(member)
    weights = _edge_weights(graph.degrees[member], graph.degrees[neighbours]).tolist()
    # fsum: the same on every machine, whatever order or width a vectorised sum would take
    return {member: 1.0 - math.fsum(weights), **dict(zip(neighbours.tolist(), weights, strict=True))}


def _edge_weights(degree_i: NDArray[np.int64], degree_j: NDArray[np.int64]) -> Matrix:
    return np.asarray(1.0 / (1.0 + np.maximum(degree_i, degree_j)), dtype=np.float64)


def compose(phases: Sequence[Matrix]) -> Matrix:
    """The matrix of a whole round whose phases follow each other: the first phase acts first. Needs at least one."""
    return reduce(lambda done, phase: phase @ done, phases)


def spectral_gap(W: Matrix) -> float:
    """1 − ‖W − 11ᵀ/n‖₂, in [0, 1]: the share of disagreement that one exchange removes for certain.

    For a symmetric W this is 1 − max(|λ₂|, |λₙ|). 1 is the exact average, 0 a graph that falls apart.
    Raises `PlanError` where W is not doubly stochastic.
    """
    gap = 1.0 - _norm(_deviation(W))
    return gap if gap > _GAP_NOISE else 0.0


def rounds_to_consensus(schedule: Matrix | Sequence[Matrix], ratio: float = 1e-3) -> int | None:
    """After how many rounds any disagreement has shrunk to `ratio` of what it was; None if it never does.

    `schedule` is one matrix used every round, or several used in turn, one a round (`compose` makes one of the phases
    of a round). The bound holds for the worst initial vectors; most get there sooner.
    Raises `PlanError` for an empty schedule, a ratio <= 0, or a matrix that is not doubly stochastic.
    """
    matrices = [schedule] if isinstance(schedule, np.ndarray) else list(schedule)
    if not matrices or ratio <= 0.0:
        raise PlanError(f"rounds to consensus needs a matrix and a ratio > 0: {len(matrices)} matrices, ratio={ratio}")
    steps = [_deviation(W) for W in matrices]
    if ratio >= 1.0:
        return 0
    if len(steps) == 1 and _symmetric(steps[0]):
        gap = spectral_gap(matrices[0])
        return None if gap == 0.0 else _ceil_log(ratio, 1.0 - gap)
    return _first_below(steps, ratio)


def _first_below(steps: list[Matrix], ratio: float) -> int | None:
    turn = compose(steps)
    if np.abs(np.linalg.eigvals(turn)).max() > 1.0 - _GAP_NOISE:
        return None
    # The norm of a product of contractions never grows, so: double whole turns of the schedule until they suffice,
    # walk back to the last turn that does not, then step.
    doubled = [turn]
    while _norm(doubled[-1]) > ratio:
        doubled.append(doubled[-1] @ doubled[-1])
    done, rounds = np.eye(len(turn)), 0
    for power in reversed(range(len(doubled))):
        further = doubled[power] @ done
        if _norm(further) > ratio:
            done, rounds = further, rounds + len(steps) * 2**power
    for step in steps:
        done, rounds = step @ done, rounds + 1
        if _norm(done) <= ratio:
            break
    return rounds


def _ceil_log(ratio: float, factor: float) -> int:
    # A quotient that rounding lifts over an integer (0.5 ** 10 is one) must not cost a round.
    return 1 if factor <= ratio else math.ceil(math.log(ratio) / math.log(factor) - 1e-9)


def _deviation(W: Matrix) -> Matrix:
    """W − 11ᵀ/n; products of deviations are deviations of products, which is why all of this works."""
    n = len(W)
    if W.ndim != 2 or W.shape != (n, n) or n == 0:
        raise PlanError(f"a mixing matrix is square: shape={W.shape}")
    sums = np.concatenate([W.sum(axis=0), W.sum(axis=1)])
    if not np.allclose(sums, 1.0, rtol=0.0, atol=1e-9) or W.min() < -1e-9:
        raise PlanError("a mixing matrix has no negative weight and rows and columns that sum to 1: scale this one")
    return W - 1.0 / n


def _symmetric(A: Matrix) -> bool:
    return bool(np.allclose(A, A.T, rtol=0.0, atol=1e-12))


def _norm(A: Matrix) -> float:
    if _symmetric(A):  # several times cheaper than singular values
        return float(np.abs(np.linalg.eigvalsh(A)).max())
    return float(np.linalg.norm(A, 2))


def squared_distance(mine: Vector, others: Sequence[Vector], weights: Sequence[float]) -> float:
    """Σ_j w_j |x_j − x|² with `mine` x and `others` x_j of shape (d,), in float64, block by block."""
    total = 0.0
    for start in range(0, mine.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        own = mine[block].astype(np.float64)
        for vector, weight in zip(others, weights, strict=True):
            difference = vector[block] - own
            total += weight * float(difference @ difference)
    return total
