"""Rules: how several vectors become one.

A rule takes k vectors of shape (d,), float32, finite, and k weights that sum to 1, and gives a float32 vector of shape
(d,). It must give the same bits for the same arguments on every machine: members of a committee that heard the same
are to end with the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cmp_to_key
from types import MappingProxyType

import numpy as np

from consensus.errors import PlanError
from consensus.messages import Vector

Rule = Callable[[Sequence[Vector], Sequence[float]], Vector]

_BLOCK = 8192
"""Coordinates at a time: the float64 scratch stays in the nearest cache, and no copy of all k vectors is ever made."""


def mean(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
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


RULES: Mapping[str, Rule] = MappingProxyType({"mean": mean})


def lookup(name: str) -> Rule:
    """The rule of that name; raises `PlanError` with the nearest names there are."""
    if name not in RULES:
        near = get_close_matches(name, RULES, n=3) or sorted(RULES)
        raise PlanError(f"no rule is called {name!r}: did you mean {' or '.join(near)}?")
    return RULES[name]
