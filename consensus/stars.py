"""Cells for any graph: a centre and some of its neighbours, drawn anew each round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from consensus.adjacency import Adjacency
from consensus.draw import permutation
from consensus.errors import PlanError
from consensus.plan import Cell, Plan, Weights, uniform
from consensus.seeds import Seeds


@dataclass(frozen=True, slots=True)
class Star:
    """A cell, and the member that has an edge to all others."""

    centre: int
    members: Cell
    """The centre among them."""


class Stars(Plan):
    """One phase: the exact average in stars of exactly `size` members. Whoever no star takes sits the round out.

    Nodes have their turn in an order drawn from the epoch's seed and the round. One that no star took yet becomes a
    centre where at least size − 1 of its neighbours are free, and takes the first of them in the drawn order. Stars
    are disjoint, so sums never overlap; members without an edge reach each other through the centre.

    Any centre may come first, and take any size − 1 of its neighbours. So news travels along every edge that ends at a
    node of degree >= size − 1, and those edges must join all nodes: with size 3 every connected graph of three nodes
    or more will do.
    """

    drawn = True
    apart = True
    lead = 4  # who sits a round out is done at once, and neighbours of neighbours wait for others

    def __init__(self, graph: Adjacency, size: int, seeds: Seeds) -> None:
        """Raises `PlanError` with the bound that does not hold."""
        super().__init__(graph.n, seeds)
        _check(graph, size)
        self._graph = graph
        self._size = size
        self._company = lru_cache(maxsize=None)(self._find_company)
        self._stars = lru_cache(maxsize=16)(self._draw)  # by what they are drawn from: all nodes of a process share it

    def star_of(self, member: int, round: int) -> Star | None:  # noqa: A002
        """The star of `member`; None where it sits the round out."""
        self._check(member, round)
        return self._star_of(member, round)

    def company_of(self, member: int) -> frozenset[int]:
        """Its neighbours, and theirs; but through nobody who cannot be a centre."""
        return self._company(member)

    def _star_of(self, member: int, number: int) -> Star | None:
        return self._stars(f"stars/{self.seeds.label(number)}/{number}")[member]

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002
        star = self._star_of(member, round)
        return ({member: 1.0} if star is None else uniform(star.members),)

    def _centre_of(self, member: int, round: int) -> int | None:  # noqa: A002
        star = self._star_of(member, round)
        return None if star is None else star.centre

    def _draw(self, label: str) -> list[Star | None]:
        """The star of each node."""
        order = permutation(self.n, label)
        turn = np.empty(self.n, np.int64)
        turn[order] = np.arange(self.n)
        found: list[Star | None] = [None] * self.n
        for centre in order:
            if found[centre] is not None or self._graph.degrees[centre] < self._size - 1:
                continue
            neighbours = self._graph.of(centre)
            free = [other for other in neighbours[turn[neighbours].argsort()].tolist() if found[other] is None]
            if len(free) < self._size - 1:
                continue
            star = Star(centre, tuple(sorted((centre, *free[: self._size - 1]))))
            for member in star.members:
                found[member] = star
        return found

    def _find_company(self, member: int) -> frozenset[int]:
        graph, company = self._graph, set[int]()
        for centre in (member, *graph.of(member).tolist()):
            if graph.degrees[centre] >= self._size - 1:
                company.add(centre)
                if centre == member or self._size > 2:  # in a star of two nobody meets through another
                    company.update(graph.of(centre).tolist())
        return frozenset(company - {member})


def _check(graph: Adjacency, size: int) -> None:
    if size < 2:
        raise PlanError(f"stars need size >= 2: size={size}")
    largest = int(graph.degrees.max())
    if largest < size - 1:
        raise PlanError(
            f"stars need a node of degree >= size - 1: size={size}, the largest degree is {largest}; "
            f"use size <= {largest + 1} or add edges"
        )
    apart = _apart(graph, size)
    if apart is not None:
        raise PlanError(
            f"stars of size={size} never join node {apart} with node 0: every edge between their parts of the graph "
            f"must have an end of degree >= size - 1 = {size - 1}; use a smaller size or add edges"
        )


def _apart(graph: Adjacency, size: int) -> int | None:
    """A node that nothing reaches from node 0 along edges with an end of degree ≥ size − 1."""
    central = graph.degrees >= size - 1
    reached, todo = {0}, [0]
    while todo:
        node = todo.pop()
        for other in graph.of(node).tolist():
            if other not in reached and (central[node] or central[other]):
                reached.add(other)
                todo.append(other)
    return next((node for node in range(graph.n) if node not in reached), None)
