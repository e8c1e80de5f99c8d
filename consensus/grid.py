"""Committees on the lines of a grid of all nodes."""

from __future__ import annotations

from functools import lru_cache

from consensus.draw import permutation
from consensus.errors import PlanError
from consensus.plan import Plan, Weights, uniform
from consensus.seeds import Seeds


class Grid(Plan):
    """n = sizeʳ nodes on a grid of r axes; phase p averages every line along axis p: the exact average of all after r.

    The places are drawn anew each epoch, so that nobody shares a cell with the same peers for long. Everybody must be
    able to talk to everybody. Ryabinin et al., "Moshpit SGD" (2021), section 3.
    """

    drawn = True

    def __init__(self, n: int, size: int, seeds: Seeds) -> None:
        super().__init__(n, seeds)
        self._size = size
        self._axes = grid_axes(n, size)
        # Nodes of one simulation share the draws and stand a few rounds apart, so neighbouring epochs stay at hand.
        self._places = lru_cache(maxsize=8)(lambda label: _places(n, label))

    def company_of(self, member: int) -> frozenset[int]:
        """Everybody."""
        return frozenset(range(self.n)) - {member}

    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002
        place_of, member_at = self._places(f"grid/{self.seeds.label(round)}")
        place = place_of[member]
        return tuple(uniform([member_at[other] for other in self._line(place, axis)]) for axis in range(self._axes))

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


def _places(n: int, label: str) -> tuple[list[int], list[int]]:
    """(place by member, member by place)."""
    member_at = permutation(n, label)
    place_of = [0] * n
    for place, member in enumerate(member_at):
        place_of[member] = place
    return place_of, member_at
