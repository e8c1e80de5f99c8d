"""What can be said of a topology before it runs: degrees, diameter, how fast its gossip agrees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import networkx as nx

from consensus.mixing import compose, rounds_to_consensus, spectral_gap
from overlay.topology import Topology

EXACT_NODES_MAX: Final = 256
"""Up to here the diameter is exact and eigenvalues are worked out: both take O(n³)."""
CONSENSUS_RATIO: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Measures:
    """Of the graph, and of the mixing that the committees do on it."""

    nodes: int
    edges: int
    degrees: dict[int, int]
    """Degree → how many nodes have it, ascending."""
    diameter: int
    """Longest shortest path, in edges."""
    diameter_exact: bool
    """False where it is the longest path that two sweeps found, a lower bound."""
    phases: int
    """Of the first round."""
    committees: tuple[tuple[int, ...], ...]
    """For each phase the sizes of all members' committees, themselves included, ascending; 1 is a node left alone."""
    messages: int
    """That all nodes together send in a round: one model each."""
    spectral_gap: float | None
    """Of one whole round; None for more than `EXACT_NODES_MAX` nodes."""
    rounds_to_consensus: int | None
    """Until disagreement without training has shrunk to `CONSENSUS_RATIO`; None where unknown."""


def measure(topology: Topology) -> Measures:
    """Work out everything, in about a second for the largest topologies."""
    graph = graph_of(topology)
    n = len(topology.nodes)
    exact = n <= EXACT_NODES_MAX
    rows = [topology.plan.phases_of(member, 0) for member in range(n)]
    sizes = tuple(tuple(sorted(len(weights) for weights in phase)) for phase in zip(*rows, strict=True))
    gap, rounds = _mixing(topology) if exact else (None, None)
    return Measures(
        nodes=n,
        edges=graph.number_of_edges(),
        degrees=dict(sorted(Counter(degree for _, degree in graph.degree).items())),
        diameter=nx.diameter(graph, usebounds=True) if exact else nx.approximation.diameter(graph, seed=0),
        diameter_exact=exact,
        phases=len(sizes),
        committees=sizes,
        messages=sum(sum(size - 1 for size in phase) for phase in sizes),
        spectral_gap=gap,
        rounds_to_consensus=rounds,
    )


def graph_of(topology: Topology) -> nx.Graph[int]:
    """The graph over node indices."""
    graph: nx.Graph[int] = nx.empty_graph(len(topology.nodes))
    graph.add_edges_from(topology.edges())
    return graph


def _mixing(topology: Topology) -> tuple[float, int | None]:
    # Every round mixes like the first: a grid, whose places change, averages exactly whatever they are.
    first = compose(topology.plan.phases(0))
    return spectral_gap(first), rounds_to_consensus(first, CONSENSUS_RATIO)
