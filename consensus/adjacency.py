"""An undirected graph on 0 … n−1, as the committees need it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from consensus.errors import PlanError

Indices = NDArray[np.int64]

Edges = Sequence[tuple[int, int]] | Indices
"""Pairs of nodes in any order, or an array of shape (edges, 2)."""


class Adjacency:
    """Who may talk with whom. Neighbours ascend; an edge given twice or both ways counts once.

    Compressed rows (`sources[k]` – `targets[k]` is the k-th directed edge), so that memory follows the edges and the
    complete graph of 4096 nodes is two arrays rather than sixteen million objects.
    """

    def __init__(self, n: int, edges: Edges) -> None:
        """Raises `PlanError` for n < 1, an edge that leaves 0 … n−1, or an edge from a node to itself."""
        if n < 1:
            raise PlanError(f"a graph needs n >= 1 nodes: n={n}")
        pairs = _pairs(edges)
        _check(n, pairs)
        codes = np.concatenate([pairs[:, 0] * n + pairs[:, 1], pairs[:, 1] * n + pairs[:, 0]])
        codes.sort()  # not np.unique, which hashes: sixty times slower on the complete graph
        codes = codes[np.diff(codes, prepend=-1) > 0]
        self.n = n
        self.sources: Indices = codes // n
        self.targets: Indices = codes % n
        self._starts = np.searchsorted(self.sources, np.arange(n + 1))
        self.degrees: Indices = np.diff(self._starts)

    def of(self, node: int) -> Indices:
        """The neighbours of `node`, ascending, shape (degree,)."""
        return self.targets[self._starts[node] : self._starts[node + 1]]


def _pairs(edges: Edges) -> Indices:
    if isinstance(edges, np.ndarray):
        return edges.astype(np.int64, copy=False).reshape(-1, 2)
    return np.fromiter(chain.from_iterable(edges), dtype=np.int64, count=2 * len(edges)).reshape(-1, 2)


def _check(n: int, pairs: Indices) -> None:
    for broken, why in (
        (((pairs < 0) | (pairs >= n)).any(axis=1), f"leaves the nodes 0 … {n - 1}"),
        (pairs[:, 0] == pairs[:, 1], "joins a node to itself"),
    ):
        if broken.any():
            i, j = pairs[int(broken.argmax())].tolist()
            raise PlanError(f"edge ({i}, {j}) {why}: leave it out")
