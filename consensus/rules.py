"""Rules: how several vectors become one.

A rule takes k vectors of shape (d,), float32, finite, k weights that sum to 1 and the standpoint of who asks, and gives
a float32 vector of shape (d,). It must give the same bits for the same arguments on every machine and in every order:
members of a committee that heard the same are to end with the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cmp_to_key
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np

from consensus import coordinate_rules, distance_rules, pre_aggregation, standpoint_rules
from consensus.company import Company, Matrix, Row, tidied
from consensus.distance_rules import DistanceRule
from consensus.errors import PlanError
from consensus.messages import Vector
from consensus.standpoint_rules import Standpoint

_BLOCK = 8192
"""Coordinates at a time: the float64 scratch stays in the nearest cache, and no copy of all k vectors is ever made."""
_NOWHERE: Final = Standpoint()


class Rule(Protocol):
    """Several vectors become one. Raises `PlanError` for fewer of them than the rule needs to bear its f liars."""

    def __call__(
        self, vectors: Sequence[Vector], weights: Sequence[float], standpoint: Standpoint = _NOWHERE
    ) -> Vector:
        """Of k vectors (d,) float32 and their k weights of sum 1, one vector (d,) float32."""


def mean(vectors: Sequence[Vector], weights: Sequence[float], standpoint: Standpoint = _NOWHERE) -> Vector:  # noqa: ARG001
    """Σ w_i x_i in float64, rounded once: the same bits whatever the order of the arguments.

    It is summed in the order of the vectors themselves, so that cells that hold the same vectors at other members (the
    lines of a grid after its first phase) come to the same average.

    In every coordinate the result lies between the smallest and the largest x_i with w_i > 0: the float64 error is far
    below half a float32 step, and rounding keeps order. Plain multiplications and additions, no BLAS: that one may sum
    in another order on another machine.
    """
    result = np.empty_like(vectors[0])
    order = sorted(zip(vectors, weights, strict=True), key=cmp_to_key(_compare))
    total = np.empty(min(_BLOCK, result.size))
    term = np.empty_like(total)
    for start in range(0, result.size, _BLOCK):
        block = slice(start, min(start + _BLOCK, result.size))
        width = block.stop - block.start
        total[:width] = 0.0
        for vector, weight in order:
            np.multiply(vector[block], weight, out=term[:width], dtype=np.float64)
            total[:width] += term[:width]
        result[block] = total[:width]
    return result


def _compare(one: tuple[Vector, float], other: tuple[Vector, float]) -> int:
    """By the first coordinate in which they differ, then by weight. (0 and −0 add up alike in any order.)"""
    for start in range(0, one[0].size, _BLOCK):
        a, b = one[0][start : start + _BLOCK], other[0][start : start + _BLOCK]
        differs = a != b
        first = int(differs.argmax())
        if differs[first]:
            return -1 if a[first] < b[first] else 1
    return (one[1] > other[1]) - (one[1] < other[1])


DISTANCE_RULES: Final[Mapping[str, DistanceRule]] = MappingProxyType(
    {
        "krum": distance_rules.krum,
        "multi-krum": distance_rules.multi_krum,
        "faba": distance_rules.faba,
        "ios": distance_rules.ios,
        "geometric-median": distance_rules.geometric_median,
        "fading-mean": distance_rules.fading_mean,
        "centred-clipping": distance_rules.centred_clipping,
        "self-centred-clipping": distance_rules.self_centred_clipping,
        "clipped-sum": distance_rules.clipped_sum,
    }
)
"""What works on distances alone, so on vectors that nobody sees as well."""
COORDINATE_RULES: Final[Mapping[str, Callable[[Sequence[Vector], int], Vector]]] = MappingProxyType(
    {"median": coordinate_rules.median, "trimmed-mean": coordinate_rules.trimmed_mean}
)
STANDPOINT_RULES: Final[Mapping[str, Callable[[Company, Sequence[Vector], Standpoint], Row]]] = MappingProxyType(
    {"balance": standpoint_rules.balance, "ubar": standpoint_rules.ubar}
)
PRE_AGGREGATIONS: Final[Mapping[str, Callable[[Company], Matrix]]] = MappingProxyType(
    {"nnm": pre_aggregation.nearest_neighbour_mixing, "bucketing": pre_aggregation.bucketing}
)
_SELF_CENTRED: Final = frozenset({"self-centred-clipping", "clipped-sum"})

RULES: Final[tuple[str, ...]] = (
    "mean",
    *COORDINATE_RULES,
    *DISTANCE_RULES,
    *STANDPOINT_RULES,
    *(
        f"{before}+{rule}"
        for before in PRE_AGGREGATIONS
        for rule in (*COORDINATE_RULES, *DISTANCE_RULES)
        if rule not in _SELF_CENTRED
    ),
)
"""All names that `lookup` takes."""


@dataclass(frozen=True, slots=True)
class DistanceAverage:
    """The average with the weights that distances give, after a pre-aggregation where there is one."""

    rule: DistanceRule
    byzantine: int
    before: Callable[[Company], Matrix] | None = None

    def __call__(
        self, vectors: Sequence[Vector], weights: Sequence[float], standpoint: Standpoint = _NOWHERE
    ) -> Vector:
        """As `Rule`."""
        return _weighted(vectors, self.weights(Company.of(vectors, weights, self.byzantine, standpoint.own)))

    def weights(self, company: Company) -> Row:
        """The weights (k,) in the average, tidied."""
        chosen = company.plausible()
        company = company.only(chosen)
        weights = np.zeros(len(chosen))
        if self.before is None:
            weights[chosen] = self.rule(company)
        else:
            rows = self.before(company)
            weights[chosen] = self.rule(company.mixed(rows)) @ rows
        return tidied(weights)


@dataclass(frozen=True, slots=True)
class CoordinateRule:
    """A rule on coordinates, after a pre-aggregation where there is one."""

    rule: Callable[[Sequence[Vector], int], Vector]
    byzantine: int
    before: Callable[[Company], Matrix] | None = None

    def __call__(
        self, vectors: Sequence[Vector], weights: Sequence[float], standpoint: Standpoint = _NOWHERE
    ) -> Vector:
        """As `Rule`; the weights do not count."""
        if self.before is None:
            return self.rule(vectors, self.byzantine)
        company = Company.of(vectors, weights, self.byzantine, standpoint.own)
        chosen = company.plausible()
        company, near = company.only(chosen), [vector for vector, kept in zip(vectors, chosen, strict=True) if kept]
        return self.rule([_weighted(near, tidied(row)) for row in self.before(company)], company.byzantine)


@dataclass(frozen=True, slots=True)
class StandpointRule:
    """A rule that judges by one's own vector or rows."""

    rule: Callable[[Company, Sequence[Vector], Standpoint], Row]
    byzantine: int

    def __call__(
        self, vectors: Sequence[Vector], weights: Sequence[float], standpoint: Standpoint = _NOWHERE
    ) -> Vector:
        """As `Rule`."""
        company = Company.of(vectors, weights, self.byzantine, standpoint.own)
        return _weighted(vectors, tidied(self.rule(company, vectors, standpoint)))


def _weighted(vectors: Sequence[Vector], weights: Row) -> Vector:
    chosen = [(vector, float(weight)) for vector, weight in zip(vectors, weights, strict=True) if weight > 0]
    return mean([vector for vector, _ in chosen], [weight for _, weight in chosen])


def lookup(name: str, byzantine: int = 0) -> Rule:
    """The rule of that name that bears `byzantine` liars; raises `PlanError` with the nearest names there are."""
    if name not in RULES:
        near = get_close_matches(name, RULES, n=3) or ["mean", "nnm+geometric-median", "ios"]
        raise PlanError(f"no rule is called {name!r}: did you mean {' or '.join(near)}?")
    if byzantine < 0:
        raise PlanError(f"f >= 0 is needed, got {byzantine}")
    if name == "mean":
        return mean
    before_name, plus, rule = name.rpartition("+")
    before = PRE_AGGREGATIONS[before_name] if plus else None
    if rule in COORDINATE_RULES:
        return CoordinateRule(COORDINATE_RULES[rule], byzantine, before)
    if rule in STANDPOINT_RULES:
        return StandpointRule(STANDPOINT_RULES[rule], byzantine)
    return DistanceAverage(DISTANCE_RULES[rule], byzantine, before)


def least_members(name: str, byzantine: int) -> int:
    """The smallest committee in which the rule of that name bears `byzantine` liars: its breakdown point."""
    if name == "mean":
        return 1
    before, _, rule = name.rpartition("+")
    least = {"krum": 2 * byzantine + 3, "multi-krum": 2 * byzantine + 3}.get(rule, 2 * byzantine + 1)
    if rule in STANDPOINT_RULES or rule in _SELF_CENTRED:
        least = byzantine + 1
    return 2 * least - 1 if before == "bucketing" else least
