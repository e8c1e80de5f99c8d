"""Vectors made to wrap around the field: what a dealer could do that knew the rows beforehand, and the bound on a row
by exhaustion over a small field."""

import itertools

import numpy as np
import pytest

from crypto.field import PRIME, to_signed
from crypto.norm_proof import ProofParameters
from crypto.shamir import Packing
from crypto.sketch import Sketch
from tests.crypto.cell import COIN_1, clipped_bits, deal, spelled_with_a_nonbit, verdict

SMALL = ProofParameters(Packing(4, 1, 2, 0, 1), rows=32)


def matrix_of(sketch, columns, packed):
    """The rows (k, ℓ · columns) that `Sketch.values` applies, by what it makes of unit vectors."""
    units = np.eye(packed * columns, dtype=np.int32).reshape(-1, packed, columns)
    return np.array([sketch.values(unit) for unit in units]).T


def kernel_vector(matrix, seed):
    """A random x with matrix · x = 0 mod p."""
    rows = [[int(v) % PRIME for v in row] for row in matrix.tolist()]
    pivots = []
    for column in range(len(rows[0])):
        rank = len(pivots)
        found = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if found is None or rank == len(rows):
            continue
        rows[rank], rows[found] = rows[found], rows[rank]
        scale = pow(rows[rank][column], -1, PRIME)
        rows[rank] = [v * scale % PRIME for v in rows[rank]]
        for r, row in enumerate(rows):
            if r != rank and (factor := row[column]):
                rows[r] = [(a - factor * b) % PRIME for a, b in zip(row, rows[rank], strict=True)]
        pivots.append(column)
    x = np.random.default_rng(seed).integers(0, PRIME, len(rows[0])).tolist()
    for row, column in zip(rows, pivots, strict=False):
        x[column] = -sum(row[j] * x[j] for j in range(len(x)) if j not in set(pivots)) % PRIME
    return np.array(x, dtype=np.uint32)


def test_a_vector_in_the_kernel_of_rows_known_beforehand_passes_and_under_fresh_rows_does_not():
    """Why the rows are drawn after the shares are committed: the forgery is real, and only the order of events stops
    it.
    """
    x = kernel_vector(matrix_of(Sketch(COIN_1, 32, 2), 30, 2), 1)
    assert np.abs(to_signed(x)).max() > PRIME // 4
    known = deal(x, SMALL, COIN_1)
    clipped_bits(known, SMALL)
    assert verdict(known, SMALL).accepted
    for number in range(20):
        fresh = deal(x, SMALL, bytes([number + 60]) * 32)
        for forge, check in ((clipped_bits, "C2"), (spelled_with_a_nonbit, "C3/C4")):
            forge(fresh, SMALL)
            assert verdict(fresh, SMALL).failed == check


LAW = {-1: 1, 0: 2, 1: 1}
"""Entries of A and c, in quarters."""


def row_law(columns, stripes):
    """All (A, c) with their weights: rows c ⊗ A, (choices, stripes, columns)."""
    rows, weights = [], []
    for a in itertools.product(LAW, repeat=columns):
        for c in itertools.product(LAW, repeat=stripes):
            rows.append(np.outer(c, a))
            weights.append(np.prod([LAW[v] for v in (*a, *c)]))
    return np.array(rows), np.array(weights) / 4 ** (columns + stripes)


@pytest.mark.parametrize(
    ("prime", "bound", "columns", "stripes"),
    [(101, 3, 1, 2), (101, 3, 2, 1), (23, 1, 2, 2), (31, 1, 3, 1), (31, 1, 1, 3)],
)
def test_any_vector_with_a_coordinate_of_4_b_passes_a_row_three_times_in_four_at_most(prime, bound, columns, stripes):
    """Every vector of a small field, every choice of the row: the bound is met, and reached."""
    values = np.array(list(itertools.product(range(prime), repeat=columns * stripes)), dtype=np.int32)
    wraps = np.minimum(values, prime - values).max(axis=1) >= 4 * bound
    values, small = values[wraps], 0.0
    rows, weights = row_law(columns, stripes)
    for row, weight in zip(rows.reshape(len(rows), -1), weights, strict=True):
        y = values @ row.astype(np.int32) % prime
        small = small + weight * (np.minimum(y, prime - y) < bound)
    assert small.max() <= 0.75
    assert small.max() == 0.75
