"""Families of graphs: from the names of the nodes, in the order of the file, to undirected edges.

Each family is a table `[graph]` of its own, so that a parameter of another family is an unknown key. Drawn families
(k-regular, small-world, erdos-renyi) are a function of the seed: every device draws the same graph.

Sources: small world, Watts & Strogatz 1998; D-cliques, Bellet et al. 2022 (arXiv:2104.07365) section 3; exponential,
Ying et al. 2021 (arXiv:2110.13363) section 3, its directed hops taken as undirected edges.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, pairwise
from typing import Annotated, Final, Literal, TypeAlias

import networkx as nx
from pydantic import Field

from overlay.section import Section
from overlay.topology_errors import Problem, listed, nearest, shown

Edge = tuple[int, int]
"""Indices i < j of two nodes in the order of the file."""

MAX_EDGES: Final = 1 << 19  # the complete graph of 1024 nodes
DRAWS: Final = 100

IntGraph: TypeAlias = "nx.Graph[int]"
"""The nodes of every graph here are 0 … n−1."""

Degree = Annotated[int, Field(ge=1, le=4096)]


class _Family(Section):
    """What families share: `build` checks what `_draw` of the family returned."""

    def build(self, names: Sequence[str], seed: int) -> tuple[Edge, ...]:
        """The edges over `names`, sorted, without repeats. Raises `Problem` where no connected graph exists."""
        graph = self._draw(names, seed)
        if not nx.is_connected(graph):
            raise _disconnected(graph, names)
        return tuple(sorted((min(edge), max(edge)) for edge in graph.edges))

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:
        raise NotImplementedError


class Ring(_Family):
    """Each node has two neighbours, before and after it in the file; the last is the first's neighbour."""

    family: Literal["ring"] = "ring"

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        if len(names) < 3:
            raise Problem(f"a ring needs n >= 3: n={len(names)}", 'use family = "complete" for two nodes', "family")
        graph: IntGraph = nx.cycle_graph(len(names))
        return graph


class Torus(_Family):
    """Rows and columns, row by row in the order of the file, both closed to rings."""

    family: Literal["torus"] = "torus"
    rows: int | None = Field(default=None, ge=2, le=2048)
    """Left out: the torus nearest to a square."""
    columns: int | None = Field(default=None, ge=2, le=2048)
    """Left out: what the rows leave."""

    def shape(self, nodes: int) -> tuple[int, int]:
        """(rows, columns) for `nodes` nodes. Raises `Problem` unless nodes = rows × columns, both at least 2."""
        rows = self.rows or (nodes // self.columns if self.columns else _root_divisor(nodes))
        columns = self.columns or nodes // rows
        if rows < 2 or columns < 2 or rows * columns != nodes:
            fits = [n for n in range(max(4, nodes - 2), nodes + 3) if _root_divisor(n) > 1 and n != nodes]
            known = f", rows={self.rows}, columns={self.columns}" if self.rows or self.columns else ""
            remedy = f"use rows and columns that fit, or {' or '.join(map(str, fits))} nodes"
            raise Problem(f"a torus needs n = rows × columns, both >= 2: n={nodes}{known}", remedy, "family")
        return rows, columns

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        grid = nx.grid_2d_graph(*self.shape(len(names)), periodic=True)
        graph: IntGraph = nx.convert_node_labels_to_integers(grid, ordering="sorted")
        return graph


class Complete(_Family):
    """Everybody is everybody's neighbour."""

    family: Literal["complete"] = "complete"

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        _bound(math.comb(len(names), 2))
        graph: IntGraph = nx.complete_graph(len(names))
        return graph


class Star(_Family):
    """The first node of the file is everybody's only neighbour: a comparison, not a recommendation."""

    family: Literal["star"] = "star"

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        graph: IntGraph = nx.star_graph(len(names) - 1)
        return graph


class KRegular(_Family):
    """A random graph in which every node has `degree` neighbours, drawn from the seed."""

    family: Literal["k-regular"] = "k-regular"
    degree: Degree
    """Neighbours of every node."""

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:
        n, degree = len(names), self.degree
        if degree == 2:
            raise Problem("= 2 is a ring", 'use family = "ring" without `degree`', "degree")
        if degree >= n or n * degree % 2:
            theorem = f"a k-regular graph needs degree < n and n × degree even: n={n}, degree={degree}"
            raise Problem(f"is impossible: {theorem}", _fitting_degree(n, degree), "degree")
        _bound(n * degree // 2)
        remedy = 'raise `degree`, or use family = "complete" for two nodes'
        return _connected(lambda rng: _random_regular(n, degree, rng), seed, "degree", remedy)


class SmallWorld(_Family):
    """A ring with `degree` nearest neighbours, a share of whose edges is rewired at random (Watts & Strogatz)."""

    family: Literal["small-world"] = "small-world"
    degree: Degree
    """Neighbours of a node before rewiring, half on each side: an even number."""
    rewiring: float = Field(default=0.1, ge=0, le=1)
    """Share of edges that are led to a random node instead."""

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:
        n, degree = len(names), self.degree
        if degree % 2 or degree >= n:
            theorem = f"a small world needs an even degree < n: n={n}, degree={degree}"
            remedy = f"use an even number from 2 to {(n - 1) // 2 * 2}" if n > 2 else 'use family = "complete"'
            raise Problem(f"is impossible: {theorem}", remedy, "degree")
        _bound(n * degree // 2)
        remedy = "raise `degree` or lower `rewiring`"
        return _connected(lambda rng: nx.watts_strogatz_graph(n, degree, self.rewiring, rng), seed, "degree", remedy)


class ErdosRenyi(_Family):
    """Each pair of nodes is an edge with probability `p`, drawn from the seed until connected."""

    family: Literal["erdos-renyi"] = "erdos-renyi"
    p: float = Field(gt=0, le=1)
    """Probability of an edge; below ln(n)/n the graph is almost never connected."""

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:
        n = len(names)
        _bound(math.ceil(self.p * math.comb(n, 2)))
        remedy = f"raise `p`: 2 ln(n)/n = {min(1.0, 2 * math.log(n) / n):.2g} is mostly enough for {n} nodes"
        return _connected(lambda rng: nx.fast_gnp_random_graph(n, self.p, rng), seed, "p", remedy)


class DCliques(_Family):
    """Cliques of consecutive nodes of the file, joined by single edges (Bellet et al., D-Cliques)."""

    family: Literal["d-cliques"] = "d-cliques"
    clique_size: int = Field(ge=2, le=4096)
    """Nodes of a clique, at most; where n is no multiple of it, sizes differ by one."""
    links: Literal["all", "ring"] = "all"
    """all: one edge between every two cliques; ring: each clique to the next alone."""

    def cliques(self, nodes: int) -> tuple[range, ...]:
        """The cliques as ranges of node indices, sizes differing by one at most."""
        count = math.ceil(nodes / self.clique_size)
        borders = [nodes * k // count for k in range(count + 1)]
        return tuple(range(start, stop) for start, stop in pairwise(borders))

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        cliques = self.cliques(len(names))
        if len(cliques[0]) < 2:
            raise Problem("leaves a clique of one node", f"use clique_size = {self.clique_size + 1}", "clique_size")
        links = _links(len(cliques), self.links)
        _bound(len(links) + sum(math.comb(len(clique), 2) for clique in cliques))
        graph: IntGraph = nx.Graph()
        for clique in cliques:
            graph.add_edges_from(combinations(clique, 2))
        used = [0] * len(cliques)  # edges that a clique has taken on: its members take turns
        for a, b in links:
            graph.add_edge(cliques[a][used[a] % len(cliques[a])], cliques[b][used[b] % len(cliques[b])])
            used[a], used[b] = used[a] + 1, used[b] + 1
        return graph


class Exponential(_Family):
    """Each node has neighbours 1, 2, 4, 8 … places away, so that news crosses the swarm in log2(n) hops."""

    family: Literal["exponential"] = "exponential"

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        n = len(names)
        graph: IntGraph = nx.circulant_graph(n, [1 << k for k in range((n - 1).bit_length())])
        return graph


class Edges(_Family):
    """The edges as written."""

    family: Literal["edges"] = "edges"
    edges: tuple[tuple[str, str], ...] = Field(max_length=MAX_EDGES)
    """Pairs of node names: edges = [["press-1", "press-2"], ["press-2", "press-3"]]."""

    def _draw(self, names: Sequence[str], seed: int) -> IntGraph:  # noqa: ARG002 - nothing is drawn
        index = {name: i for i, name in enumerate(names)}
        graph: IntGraph = nx.empty_graph(len(names))
        for place, pair in enumerate(self.edges):
            for name in pair:
                if name not in index:
                    remedy = f"{nearest(name, names)}write a [[node]] table for it, or one of {listed(names)}"
                    raise Problem(f"names {shown(name)}, which is no node", remedy, f"edges.{place}")
            a, b = (index[name] for name in pair)
            if a == b or graph.has_edge(a, b):
                what = "joins a node to itself" if a == b else "is written twice (edges have no direction)"
                raise Problem(f"{shown(pair[0])} – {shown(pair[1])} {what}", "take it out", f"edges.{place}")
            graph.add_edge(a, b)
        return graph


Graph = Annotated[
    Ring | Torus | Complete | Star | KRegular | SmallWorld | ErdosRenyi | DCliques | Exponential | Edges,
    Field(discriminator="family"),
]
FAMILIES: Final[tuple[type[_Family], ...]] = (
    Ring, Torus, Complete, Star, KRegular, SmallWorld, ErdosRenyi, DCliques, Exponential, Edges,
)  # fmt: skip
FAMILY_NAMES: Final[tuple[str, ...]] = tuple(kind.model_fields["family"].default for kind in FAMILIES)


def _connected(draw: Callable[[random.Random], IntGraph], seed: int, key: str, remedy: str) -> IntGraph:
    """The first connected graph of at most `DRAWS` drawn from one generator: a function of the seed alone."""
    rng = random.Random(seed)
    for _ in range(DRAWS):
        graph = draw(rng)
        if nx.is_connected(graph):
            return graph
    raise Problem(f"gives no connected graph: none of {DRAWS} drawn from seed {seed} is", remedy, key)


def _random_regular(n: int, degree: int, rng: random.Random) -> IntGraph:
    # Pairing stubs at random fails ever more often as the graph fills up; its complement is regular as well.
    sparse = 2 * degree < n
    graph: IntGraph = nx.random_regular_graph(degree if sparse else n - 1 - degree, n, rng)
    return graph if sparse else nx.complement(graph)


def _fitting_degree(n: int, degree: int) -> str:
    fits = [k for k in range(3, n) if n * k % 2 == 0]
    if not fits:
        return 'use family = "complete"'
    return f"use degree = {min(fits, key=lambda k: abs(k - degree))}, or another number of nodes"


def _links(cliques: int, kind: str) -> list[Edge]:
    if kind == "all" or cliques < 3:
        return list(combinations(range(cliques), 2))
    return [(k, (k + 1) % cliques) for k in range(cliques)]


def _root_divisor(n: int) -> int:
    """The largest divisor of n up to its square root."""
    return next(k for k in range(math.isqrt(n), 0, -1) if n % k == 0)


def _bound(edges: int) -> None:
    if edges > MAX_EDGES:
        what = f"asks for {edges:,} edges; {MAX_EDGES:,} are the most"
        raise Problem(what, "use fewer nodes or a sparser family", "family")


def _disconnected(graph: IntGraph, names: Sequence[str]) -> Problem:
    parts: Iterable[set[int]] = nx.connected_components(graph)
    ordered = sorted((sorted(part) for part in parts), key=len)
    small, large = [names[i] for i in ordered[0]], [names[i] for i in ordered[-1]]
    what = f"is in {len(ordered)} parts: {listed(small)} cannot reach {listed(large)}"
    return Problem(what, f'join them by an edge such as ["{small[0]}", "{large[0]}"]')
