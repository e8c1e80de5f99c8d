"""Who averages with whom in a round, and with which weights: the kinds of plan by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from consensus.adjacency import Adjacency, Edges
from consensus.cliques import Cliques
from consensus.errors import PlanError
from consensus.grid import Grid
from consensus.mixing import metropolis_hastings_row
from consensus.plan import Plan, Weights
from consensus.seeds import Seeds
from consensus.stars import Stars

__all__ = ["COMMITTEES", "Neighbourhoods", "Plan", "plan"]

_EPOCH_ROUNDS = 16


class Neighbourhoods(Plan):
    """One phase: each member with its neighbours, Metropolis–Hastings weights.

    D-PSGD: Lian et al., "Can decentralized algorithms outperform centralized algorithms?" (2017), algorithm 1.
    """

    def __init__(self, graph: Adjacency, seeds: Seeds) -> None:
        super().__init__(graph.n, seeds)
        self._graph = graph

    def company_of(self, member: int) -> frozenset[int]:
        """Its neighbours."""
        return frozenset(self._graph.of(member).tolist())

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002, ARG002
        return (metropolis_hastings_row(self._graph, member),)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a plan is made from."""

    n: int
    edges: Edges
    seeds: Seeds
    size: int | None
    shared: bool


def _neighbourhoods(wish: _Wish) -> Plan:
    return Neighbourhoods(Adjacency(wish.n, wish.edges), wish.seeds)


def _cliques(wish: _Wish) -> Plan:
    return Cliques(Adjacency(wish.n, wish.edges), wish.seeds, closing=wish.shared)


def _stars(wish: _Wish) -> Plan:
    if wish.size is None:
        raise PlanError("stars need a size: the number of members, the centre included")
    return Stars(Adjacency(wish.n, wish.edges), wish.size, wish.seeds)


def _grid(wish: _Wish) -> Plan:
    if wish.size is None:
        raise PlanError("grid needs a size: the number of members of a cell")
    return Grid(wish.n, wish.size, wish.seeds)


COMMITTEES: dict[str, Callable[[_Wish], Plan]] = {
    "neighbourhood": _neighbourhoods,
    "cliques": _cliques,
    "stars": _stars,
    "grid": _grid,
}
_SIZED = ("stars", "grid")


def plan(
    kind: str,
    n: int,
    edges: Edges,
    seed: int,
    size: int | None = None,
    epoch_rounds: int = _EPOCH_ROUNDS,
    *,
    shared: bool = False,
) -> Plan:
    """The plan `kind` (a key of `COMMITTEES`) for n nodes.

    `size` concerns stars and the grid alone: members of a cell. `shared`: the first phase is a secret one. A grid takes
    no notice of `edges`: all may talk. Raises `PlanError` with the bound that is broken.
    """
    if kind not in COMMITTEES:
        near = get_close_matches(kind, COMMITTEES, n=1) or sorted(COMMITTEES)
        raise PlanError(f"no committee is called {kind!r}: did you mean {' or '.join(near)}?")
    if size is not None and kind not in _SIZED:
        raise PlanError(f"size belongs to a grid or to stars: committee={kind!r}, size={size}; leave size out")
    if epoch_rounds < 1:
        raise PlanError(f"an epoch needs epoch_rounds >= 1: epoch_rounds={epoch_rounds}")
    return COMMITTEES[kind](_Wish(n, edges, Seeds.first(seed, epoch_rounds), size, shared))
