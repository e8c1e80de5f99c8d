"""Subtracting sums from each other: whom do the sums that colluders saw give away, by linear algebra alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from consensus.plan import Plan

Matrix = npt.NDArray[np.float64]


def sums_seen(plan: Plan, members: int, colluders: Collection[int], rounds: Sequence[int]) -> Matrix:
    """A row a sum: the weights (members,) with which it holds everybody, of the first phase of each round."""
    rows = []
    for number in rounds:
        for colluder in sorted(colluders):
            row = np.zeros(members)
            for member, weight in plan.phases_of(colluder, number)[0].items():
                row[member] = weight
            rows.append(row)
    return np.array(rows)


def recipe(rows: Matrix, victim: int, colluders: Collection[int]) -> Matrix | None:
    """Factors for the sums (rows,) that leave the victim's update alone, once colluders' own are taken off; None if
    there are none.
    """
    others = [member for member in range(rows.shape[1]) if member not in colluders]
    wanted = np.array([float(member == victim) for member in others])
    factors = np.linalg.lstsq(rows[:, others].T, wanted, rcond=None)[0]
    return factors if np.allclose(factors @ rows[:, others], wanted, atol=1e-9) else None


def isolated(rows: Matrix, colluders: Collection[int]) -> set[int]:
    """Honest members whose update the sums give away."""
    return {
        victim
        for victim in range(rows.shape[1])
        if victim not in colluders and recipe(rows, victim, colluders) is not None
    }
