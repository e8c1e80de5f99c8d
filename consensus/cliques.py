"""Committees that are cliques of the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from consensus.adjacency import Adjacency
from consensus.mixing import metropolis_hastings_row
from consensus.plan import Plan, Weights, uniform
from consensus.seeds import Seeds


class Cliques(Plan):
    """Phase one: the exact average within each clique. Phase two, where edges join cliques: Metropolis–Hastings there.

    The cliques are a disjoint cover, so nobody is averaged twice and sums of neighbours never overlap.
    After Bellet, Kermarrec & Lavoie, "D-Cliques" (2022), section 3, with the two steps taken one after the other.
    With `closing` and bridges a third phase averages within the clique again: its members end with one vector, which
    is what the secret differences of the next round are from.
    """

    def __init__(self, graph: Adjacency, seeds: Seeds, *, closing: bool = False) -> None:
        super().__init__(graph.n, seeds)
        self.cover = clique_cover(graph)
        self._graph = graph
        self._closing = closing
        self._clique_of = {member: clique for clique in self.cover for member in clique}
        home = np.zeros(graph.n, dtype=np.int64)
        for number, clique in enumerate(self.cover):
            home[list(clique)] = number
        between = home[graph.sources] != home[graph.targets]
        edges = np.stack([graph.sources[between], graph.targets[between]], axis=1)
        self._bridges = Adjacency(graph.n, edges) if len(edges) else None

    def company_of(self, member: int) -> frozenset[int]:
        """Its neighbours."""
        return frozenset(self._graph.of(member).tolist())

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002, ARG002
        within = uniform(self._clique_of[member])
        if self._bridges is None:
            return (within,)
        between = metropolis_hastings_row(self._bridges, member)
        return (within, between, within) if self._closing else (within, between)


def clique_cover(graph: Adjacency) -> tuple[tuple[int, ...], ...]:
    """Disjoint cliques that cover all nodes, each as large as nodes not yet covered let it be; the same everywhere.

    Greedy, since the smallest cover is NP-hard (Karp 1972): start at the node with the fewest uncovered neighbours
    (it has the fewest chances), add the neighbour that keeps the most candidates, ties to the lower index.
    O(n · degree²) on bit sets: the complete graph of 4096 nodes takes one step.
    """
    masks = [_mask(graph, node) for node in range(graph.n)]
    uncovered = (1 << graph.n) - 1
    free_neighbours = graph.degrees.astype(np.int64)
    cover = []
    while uncovered:
        clique = _grow(int(free_neighbours.argmin()), masks, uncovered)
        for member in clique:
            uncovered &= ~(1 << member)
            free_neighbours[graph.of(member)] -= 1
        free_neighbours[clique] = np.iinfo(np.int64).max // 2  # later decrements cannot bring it back
        cover.append(tuple(clique))
    return tuple(sorted(cover))


def _grow(start: int, masks: list[int], uncovered: int) -> list[int]:
    clique, candidates = [start], masks[start] & uncovered
    while candidates:
        kept = {node: (masks[node] & candidates).bit_count() for node in _bits(candidates)}
        if min(kept.values()) == len(kept) - 1:  # the candidates are a clique already
            return sorted([*clique, *kept])
        best = max(kept, key=lambda node: (kept[node], -node))
        clique.append(best)
        candidates &= masks[best]
    return sorted(clique)


def _mask(graph: Adjacency, node: int) -> int:
    bits = np.zeros(graph.n, dtype=np.bool_)
    bits[graph.of(node)] = True
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def _bits(mask: int) -> Iterator[int]:
    return (place for place, bit in enumerate(reversed(f"{mask:b}")) if bit == "1")
