"""Where the nodes of a graph stand in a drawing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RELAXED_NODES_MAX = 300
"""A step of the relaxation takes O(n²); beyond this a circle has to do."""
STEPS = 80

Matrix = NDArray[np.float64]


def positions(n: int, edges: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Coordinates in [-1, 1]², y upwards, the same on every call.

    A circle for rings, dense graphs and graphs too large to relax; else by stress majorisation.
    """
    circle = [_on_circle(index, n) for index in range(n)]
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    degrees = [len(found) for found in neighbours]
    dense = sum(degrees) > 0.4 * n * (n - 1)
    if n < 4 or n > RELAXED_NODES_MAX or dense or max(degrees) <= 2:
        return circle
    hops = _distances(neighbours)
    # The circle sets nodes apart that the hops cannot tell from each other, such as the leaves of a star.
    places = _relaxed(hops, _scaled(hops) + 0.05 * np.array(circle))
    low, high = places.min(axis=0), places.max(axis=0)
    places = _apart((2 * places - low - high) / np.maximum(high - low, 1e-9))
    return [(float(x), float(y)) for x, y in places]


def _on_circle(index: int, n: int) -> tuple[float, float]:
    angle = math.pi / 2 - 2 * math.pi * index / n  # the first on top, then clockwise
    return (math.cos(angle), math.sin(angle)) if n > 1 else (0.0, 0.0)


def _distances(neighbours: Sequence[set[int]]) -> Matrix:
    """Edges on the shortest way, shape (n, n); parts that are not connected count as a little further than any."""
    n = len(neighbours)
    hops = np.full((n, n), np.inf)
    for start in range(n):
        hops[start, start] = 0
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there in neighbours[here]:
                if hops[start, there] == np.inf:
                    hops[start, there] = hops[start, here] + 1
                    queue.append(there)
    hops[hops == np.inf] = hops[hops < np.inf].max() + 1
    return hops


def _scaled(hops: Matrix) -> Matrix:
    """Classical scaling to two dimensions, shape (n, 2): the global shape, without folds (Torgerson, 1952)."""
    squared = hops**2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1, keepdims=True) + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    scaled: Matrix = vectors[:, :-3:-1] * np.sqrt(np.maximum(values[:-3:-1], 0))
    return scaled


def _relaxed(hops: Matrix, start: Matrix) -> Matrix:
    """Places (n, 2) whose distances come near `hops` (n, n): least stress with weights hops⁻².

    Each step moves every point to the minimum of the majorising function, all from the places before, as in
    equation (10) of Gansner, Koren and North, "Graph Drawing by Stress Majorization" (2004).
    """
    weights = 1 / np.maximum(hops, 1) ** 2
    np.fill_diagonal(weights, 0)
    totals = weights.sum(axis=1, keepdims=True)
    places = start
    for _ in range(STEPS):
        apart = places[:, None, :] - places[None, :, :]  # (n, n, 2)
        lengths = np.sqrt((apart**2).sum(axis=2))
        pull = np.divide(hops, lengths, out=np.zeros_like(hops), where=lengths > 1e-9)
        pulled: Matrix = (weights @ places + np.einsum("ij,ijk->ik", weights * pull, apart)) / totals
        places = pulled
    return places


def _apart(places: Matrix) -> Matrix:
    """Push nodes that would cover each other apart; places stay within [-1, 1]²."""
    gap = 1.1 / math.sqrt(len(places))
    for _ in range(20):
        between = places[:, None, :] - places[None, :, :]
        lengths = np.sqrt((between**2).sum(axis=2))
        np.fill_diagonal(lengths, np.inf)
        push = np.maximum(0.0, gap / np.maximum(lengths, 1e-3) - 1) / 2
        places = np.clip(places + np.einsum("ij,ijk->ik", push, between), -1, 1)
    return places
