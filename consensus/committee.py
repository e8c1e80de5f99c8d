"""Who averages with whom in a round of the open mode, and with which weights.

A plan is a pure function of the graph and the seed: every node works out its own weights and needs to agree with
nobody about them. Members are node indices, in the order of the topology file.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache

import numpy as np

from consensus.adjacency import Adjacency, Edges
from consensus.errors import PlanError
from consensus.mixing import Matrix, metropolis_hastings_row

PhaseMatrix = Matrix
"""The mixing matrix of one phase, shape (n, n)."""

Weights = dict[int, float]
"""One member's row of it: weight by node, the member included, zeros left out; sums to 1."""

_EPOCH_ROUNDS = 10
_DRAW_BYTES = 8


class Plan(ABC):
    """The committees of every round."""

    def __init__(self, n: int) -> None:
        self.n = n

    def phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002 - the word of the field
        """The weights of `member` in each phase of `round`, in O(committee); {member: 1.0} where it is alone.

        Raises `IndexError` for a member that is none and `ValueError` for a negative round.
        """
        if not 0 <= member < self.n:
            raise IndexError(f"member {member} of a plan for n={self.n} nodes")
        if round < 0:
            raise ValueError(f"rounds count from 0: {round}")
        return self._phases_of(member, round)

    def committee_of(self, member: int, round: int) -> frozenset[int]:  # noqa: A002
        """All with whom `member` averages in some phase of `round`, without itself: those that send to it."""
        return frozenset().union(*self.phases_of(member, round)) - {member}

    def phases(self, round: int) -> tuple[PhaseMatrix, ...]:  # noqa: A002
        """The same for all members at once, dense: for reports and tests, n² numbers a phase."""
        rows = [self.phases_of(member, round) for member in range(self.n)]
        matrices = tuple(np.zeros((self.n, self.n)) for _ in rows[0])
        for member, phases in enumerate(rows):
            for W, weights in zip(matrices, phases, strict=True):
                W[member, list(weights)] = list(weights.values())
        return matrices

    @abstractmethod
    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]: ...  # noqa: A002


class Neighbourhoods(Plan):
    """One phase: each member with its neighbours, Metropolis–Hastings weights.

    D-PSGD: Lian et al., "Can decentralized algorithms outperform centralized algorithms?" (2017), algorithm 1.
    """

    def __init__(self, graph: Adjacency) -> None:
        super().__init__(graph.n)
        self._graph = graph

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002, ARG002
        return (metropolis_hastings_row(self._graph, member),)


class Cliques(Plan):
    """Phase one: the exact average within each clique. Phase two, where edges join cliques: Metropolis–Hastings there.

    The cliques are a disjoint cover, so nobody is averaged twice and sums of neighbours never overlap.
    After Bellet, Kermarrec & Lavoie, "D-Cliques" (2022), section 3, with the two steps taken one after the other.
    """

    def __init__(self, graph: Adjacency) -> None:
        super().__init__(graph.n)
        self.cover = clique_cover(graph)
        self._clique_of = {member: clique for clique in self.cover for member in clique}
        home = np.zeros(graph.n, dtype=np.int64)
        for number, clique in enumerate(self.cover):
            home[list(clique)] = number
        between = home[graph.sources] != home[graph.targets]
        edges = np.stack([graph.sources[between], graph.targets[between]], axis=1)
        self._bridges = Adjacency(graph.n, edges) if len(edges) else None

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002, ARG002
        within = _uniform(self._clique_of[member])
        if self._bridges is None:
            return (within,)
        return within, metropolis_hastings_row(self._bridges, member)


class Grid(Plan):
    """n = sizeʳ nodes on a grid of r axes; phase p averages every line along axis p: the exact average of all after r.

    The places are drawn anew each epoch, so that nobody shares a cell with the same peers for long. Everybody must be
    able to talk to everybody. Ryabinin et al., "Moshpit SGD" (2021), section 3.
    """

    def __init__(self, n: int, size: int, seed: int, epoch_rounds: int) -> None:
        super().__init__(n)
        self._size = size
        self._axes = grid_axes(n, size)
        self._epoch_rounds = epoch_rounds
        # Nodes of one simulation share a plan and stand a few rounds apart, so the neighbouring epochs stay at hand.
        self._places = lru_cache(maxsize=4)(lambda epoch: _places(n, seed, epoch))

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002
        place_of, member_at = self._places(round // self._epoch_rounds)
        place = place_of[member]
        return tuple(_uniform([member_at[other] for other in self._line(place, axis)]) for axis in range(self._axes))

    def _line(self, place: int, axis: int) -> range:
        """The places that differ from `place` in digit `axis` of base `size` alone, itself included."""
        step = self._size**axis
        first = place - (place // step % self._size) * step
        return range(first, first + self._size * step, step)


def grid_axes(n: int, size: int) -> int:
    """The r of n = sizeʳ; raises `PlanError` where there is none."""
    if size < 2:
        raise PlanError(f"grid needs size >= 2: size={size}")
    below, axes = size, 1
    while below * size <= n:
        below, axes = below * size, axes + 1
    if below != n:
        raise PlanError(f"grid needs n = size**r: n={n}, size={size}; the nearest n are {below} and {below * size}")
    return axes


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


def _uniform(members: Sequence[int]) -> Weights:
    return dict.fromkeys(members, 1.0 / len(members))


def _places(n: int, seed: int, epoch: int) -> tuple[list[int], list[int]]:
    """(place by member, member by place) of an epoch."""
    member_at = permutation(n, f"grid/{seed}/{epoch}")
    place_of = [0] * n
    for place, member in enumerate(member_at):
        place_of[member] = place
    return place_of, member_at


def permutation(n: int, label: str) -> list[int]:
    """A uniform permutation of 0 … n−1 that depends on `label` alone.

    Fisher–Yates on SHA-256 in counter mode: peers with other machines and other versions of a library must draw the
    same, and a library's random stream is promised for one version at most.
    """
    draws = _draws(label)
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        bound = 2 ** (8 * _DRAW_BYTES) // (last + 1) * (last + 1)
        draw = next(draw for draw in draws if draw < bound)  # rejection: no remainder is likelier than another
        chosen = draw % (last + 1)
        order[last], order[chosen] = order[chosen], order[last]
    return order


def _draws(label: str) -> Iterator[int]:
    counter = 0
    while True:
        block = hashlib.sha256(f"grapevine/{label}/{counter}".encode()).digest()
        for start in range(0, len(block), _DRAW_BYTES):
            yield int.from_bytes(block[start : start + _DRAW_BYTES], "big")
        counter += 1


def _neighbourhoods(n: int, edges: Edges, seed: int, size: int | None, epoch_rounds: int) -> Plan:  # noqa: ARG001
    return Neighbourhoods(Adjacency(n, edges))


def _cliques(n: int, edges: Edges, seed: int, size: int | None, epoch_rounds: int) -> Plan:  # noqa: ARG001
    return Cliques(Adjacency(n, edges))


def _grid(n: int, edges: Edges, seed: int, size: int | None, epoch_rounds: int) -> Plan:  # noqa: ARG001
    if size is None:
        raise PlanError("grid needs a size: the number of members of a cell")
    return Grid(n, size, seed, epoch_rounds)


COMMITTEES: dict[str, Callable[[int, Edges, int, int | None, int], Plan]] = {
    "neighbourhood": _neighbourhoods,
    "cliques": _cliques,
    "grid": _grid,
}


def plan(
    kind: str, n: int, edges: Edges, seed: int, size: int | None = None, epoch_rounds: int = _EPOCH_ROUNDS
) -> Plan:
    """The plan `kind` (a key of `COMMITTEES`) for n nodes; `size` and `epoch_rounds` concern the grid alone.

    A grid takes no notice of `edges`: all may talk. Raises `PlanError` with the bound that is broken.
    """
    if kind not in COMMITTEES:
        near = get_close_matches(kind, COMMITTEES, n=1) or sorted(COMMITTEES)
        raise PlanError(f"no committee is called {kind!r}: did you mean {' or '.join(near)}?")
    if size is not None and kind != "grid":
        raise PlanError(f"size belongs to a grid: committee={kind!r}, size={size}; leave size out")
    if epoch_rounds < 1:
        raise PlanError(f"an epoch needs epoch_rounds >= 1: epoch_rounds={epoch_rounds}")
    return COMMITTEES[kind](n, edges, seed, size, epoch_rounds)
