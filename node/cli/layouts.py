"""Where the nodes of each family stand in a drawing, so that the eye sees the family.

Positions have shape (n, 2) in [-1, 1]², x to the right, y downwards, and are the same on every call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from overlay.families import DCliques, Torus
from overlay.topology import Topology

Positions = NDArray[np.float64]

SPRING_STEPS: Final = 300
DENSE: Final = 0.6
"""Share of all pairs that are edges, above which springs are of no use."""
LEAST_DISTANCE: Final = 0.12
"""Nodes nearer than this would hide each other's marks and names in a drawing of 30 rows."""


def positions(topology: Topology) -> Positions:
    """Circles for what is round, a grid for a torus, circles of circles for cliques, springs for the rest."""
    n = len(topology.nodes)
    match topology.graph:
        case Torus() as torus:
            return _grid(*torus.shape(n))
        case DCliques() as family:
            return _circles([len(clique) for clique in family.cliques(n)])
    if topology.graph.family == "star":
        return np.vstack([np.zeros((1, 2)), _circle(n - 1)])
    if n == 2:
        return np.array([[-1.0, 0.0], [1.0, 0.0]])
    if topology.graph.family in ("edges", "erdos-renyi") and _loose(n, topology.edges()):
        found = _springs(n, topology.edges())
        return found if _least_distance(found) >= LEAST_DISTANCE else _circle(n)
    return _circle(n)


def positions_of(n: int, edges: Sequence[tuple[int, int]]) -> Positions:
    """The same for a graph of which nobody says the family: springs where they show something, else a circle."""
    if n == 1:
        return np.zeros((1, 2))
    if n == 2:
        return np.array([[-1.0, 0.0], [1.0, 0.0]])
    degrees = np.bincount(np.array(edges, dtype=np.int64).ravel(), minlength=n)
    if int(degrees.max()) == n - 1 == len(edges):  # a star, whatever the number of its middle
        places = np.zeros((n, 2))
        places[degrees < n - 1] = _circle(n - 1)
        return places
    if _loose(n, edges):
        found = _springs(n, edges)
        return found if _least_distance(found) >= LEAST_DISTANCE else _circle(n)
    return _circle(n)


def _circle(n: int, turn: float = 0.0) -> Positions:
    """Clockwise from the top, turned by `turn` radians."""
    angles = turn + 2 * math.pi * np.arange(n) / n
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def _grid(rows: int, columns: int) -> Positions:
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([2 * x / (columns - 1) - 1, 2 * y / (rows - 1) - 1], axis=1)


def _circles(sizes: list[int]) -> Positions:
    """Cliques on a great circle, the members of each on a small one, the first of them towards the middle."""
    count = len(sizes)
    if count == 1:
        return _circle(sizes[0])
    # Two, four, six …: turned, so that no clique stands right above another and the drawing is wide, not tall.
    turn = -math.pi / count if count % 2 == 0 else 0.0
    chord = 2 * math.sin(math.pi / count)
    small = chord / (3.2 + chord)  # neighbouring small circles stand 3.2 of their radii apart
    centres = _circle(count, turn - (math.pi / 2 - math.pi / count if count == 2 else 0.0)) * (1 - small)
    parts = []
    for centre, size in zip(centres, sizes, strict=True):
        inwards = math.atan2(-centre[0], centre[1])
        parts.append(centre + small * _circle(size, inwards + (math.pi / size if size % 2 == 0 else 0.0)))
    return np.vstack(parts)


def _springs(n: int, edges: Sequence[tuple[int, int]]) -> Positions:
    graph: nx.Graph[int] = nx.Graph(edges)
    graph.add_nodes_from(range(n))
    start = dict(enumerate(_circle(n)))
    found = nx.spring_layout(graph, pos=start, iterations=SPRING_STEPS, k=2 / math.sqrt(n), seed=1, method="force")
    points = np.array([found[i] for i in range(n)], dtype=np.float64)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    return np.asarray((points - middle) / max(np.abs(points - middle).max(), 1e-9), dtype=np.float64)


def _loose(n: int, edges: Sequence[tuple[int, int]]) -> bool:
    """Neither a path, which is clearest along a circle, nor so dense that all would be pulled into one ball."""
    degrees = np.bincount(np.array(edges, dtype=np.int64).ravel(), minlength=n)
    return int(degrees.max()) > 2 and 2 * len(edges) <= DENSE * n * (n - 1)


def _least_distance(points: Positions) -> float:
    apart = np.linalg.norm(points[:, None] - points[None, :], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(apart.min())
