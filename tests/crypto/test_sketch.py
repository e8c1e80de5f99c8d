import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.field import PRIME, FieldError
from crypto.randomness import Stream
from crypto.sketch import TILE, Sketch
from tests.crypto import oracle

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "sketch.json").read_text())
COIN = bytes(range(32))


def test_the_rows_are_what_an_independent_implementation_draws():
    sketch = Sketch(bytes.fromhex(VECTORS["coin"]), 128, 3)
    columns = VECTORS["columns"]
    matrix = sketch.matrix(columns)
    for entry in VECTORS["entries"]:
        assert matrix[entry["row"], entry["column"]] == entry["value"]
    assert sketch.stripes[: len(VECTORS["stripes"])].tolist() == VECTORS["stripes"]


def test_entries_have_their_law_and_are_uncorrelated():
    matrix = Sketch(COIN, 128, 3).matrix(3000).astype(np.int64)
    counts = np.array([(matrix == v).mean() for v in (-1, 0, 1)])
    assert np.abs(counts - (0.25, 0.5, 0.25)).max() < 0.005
    assert np.abs(matrix @ matrix.T / 3000 - np.eye(128) / 2).max() < 0.08
    assert np.abs(matrix.mean()) < 0.005
    stripes = np.concatenate([Sketch(bytes([i]) * 32, 128, 3).stripes for i in range(20)])
    assert np.abs(np.array([(stripes == v).mean() for v in (-1, 0, 1)]) - (0.25, 0.5, 0.25)).max() < 0.03


def test_tiles_do_not_depend_on_what_follows_them():
    sketch = Sketch(COIN, 64, 2)
    assert (sketch.matrix(2 * TILE + 5)[:, : 2 * TILE] == sketch.matrix(2 * TILE)).all()


def test_another_coin_draws_other_rows():
    assert (Sketch(COIN, 32, 1).matrix(100) != Sketch(bytes(32), 32, 1).matrix(100)).any()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32), st.sampled_from([3, 1000, 2**26, 2**30]))
def test_values_are_those_of_the_oracle(columns, packed, seed, size):
    X = np.random.default_rng(seed).integers(-size, size, (packed, columns)).astype(np.int32)
    sketch = Sketch(seed.to_bytes(32, "big"), 32, packed)
    assert sketch.values(X).tolist() == oracle.sketch_values(
        sketch.matrix(columns).tolist(), sketch.stripes.tolist(), X.tolist()
    )


@pytest.mark.parametrize("size", [1, 2047, 2048, 2049, 2**31 - 1])
def test_values_are_exact_across_tiles_and_precisions(size):
    """Below 2048 a full tile of equal values is summed in float32, above in float64."""
    X = np.full((2, TILE + 9), size, dtype=np.int32)
    X[1] = -size
    sketch = Sketch(COIN, 32, 2)
    A = sketch.matrix(TILE + 9).astype(object)
    expected = (sketch.stripes * (A @ X.T.astype(object))).sum(axis=1)
    assert sketch.values(X).tolist() == expected.tolist()


@pytest.mark.parametrize("extreme", [True, False])
def test_combinations_are_those_of_big_integers(extreme):
    columns, dealers = TILE + 17, 3
    sketch = Sketch(COIN, 128, 3)
    if extreme:
        weights = np.full(128, 0x7FFEFFFF, dtype=np.uint32)
        shares = [np.full(columns, value, dtype=np.uint32) for value in (PRIME - 1, 0x7FFEFFFF, 0)]
    else:
        weights = Stream(COIN, "weights").elements(128)
        shares = [Stream(COIN, str(i)).elements(columns) for i in range(dealers)]
    rows, dots = sketch.combine(weights, [Stream(COIN, "a"), Stream(COIN, "b")], shares)
    A, c, S = sketch.matrix(columns).astype(object), sketch.stripes.astype(object), np.array(shares).astype(object)
    combined = (c * weights.astype(object)[:, None]).T @ A
    rho = np.stack([Stream(COIN, label).elements(columns) for label in "ab"]).astype(object)
    assert (rows.astype(object) == combined @ S.T % PRIME).all()
    assert (dots.astype(object) == rho @ S.T % PRIME).all()


HALF = (PRIME - 1) // 2
THIRD = pow(3, -1, PRIME)
PATTERNS = {
    "one coordinate": [(0, 7, HALF)],
    "one column, two stripes": [(0, 7, HALF), (1, 7, HALF)],
    "one column, three stripes": [(0, 7, HALF), (1, 7, HALF), (2, 7, HALF)],
    "two columns": [(0, 7, HALF), (0, 8, HALF)],
    "thirds": [(0, 7, THIRD), (1, 7, (PRIME - THIRD) * 2 % PRIME), (2, 7, HALF)],
    "two columns, two stripes": [(0, 7, HALF), (1, 7, HALF), (0, 8, HALF), (1, 8, HALF)],
    "opposite halves": [(0, 7, HALF), (1, 7, PRIME - HALF)],
    "half and its complement": [(0, 7, HALF), (0, 8, HALF + 1)],
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_a_vector_that_wraps_keeps_a_row_small_with_probability_at_most_three_quarters(pattern):
    small = trials = 0
    for number in range(60):
        sketch = Sketch(number.to_bytes(32, "big"), 128, 3)
        A, c = sketch.matrix(12).astype(object), sketch.stripes.astype(object)
        rows = sum(c[:, q] * A[:, b] * value for q, b, value in pattern) % PRIME
        small += sum(min(y, PRIME - y) < 2**15 for y in rows.tolist())
        trials += 128
    assert small / trials < 0.75 + 5 * (0.75 * 0.25 / trials) ** 0.5


@pytest.mark.parametrize("rows", [0, 16, 100, 160])
def test_numbers_of_rows_that_would_not_be_exact_are_refused(rows):
    with pytest.raises(FieldError, match="32, 64, 96 or 128"):
        Sketch(COIN, rows, 3)
