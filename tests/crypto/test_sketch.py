import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.field import PRIME, FieldError
from crypto.randomness import Stream
from crypto.sketch import SPAN, Sketch
from tests.crypto import oracle

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "sketch.json").read_text())
COIN = bytes(range(32))


def test_the_rows_are_what_an_independent_implementation_draws():
    matrix = Sketch(bytes.fromhex(VECTORS["coin"]), 128, 3).matrix(VECTORS["columns"])
    for entry in VECTORS["entries"]:
        assert matrix[entry["row"], entry["stripe"], entry["column"]] == entry["value"]


def test_entries_are_products_of_two_and_have_no_correlation_between_rows():
    matrix = Sketch(COIN, 128, 3).matrix(3000).reshape(128, -1).astype(np.int64)
    counts = np.array([(matrix == v).mean() for v in (-1, 0, 1)])
    assert np.abs(counts - (0.125, 0.75, 0.125)).max() < 0.02
    gram = matrix @ matrix.T / matrix.shape[1]
    assert np.abs(gram - np.diag(gram.diagonal())).max() < 0.06
    assert np.abs(matrix.mean(axis=1)).max() < 0.03


def test_entries_do_not_depend_on_the_columns_that_follow():
    sketch = Sketch(COIN, 64, 2)
    assert (sketch.matrix(20 * SPAN + 5)[..., : 2 * SPAN] == sketch.matrix(2 * SPAN)).all()


def test_another_coin_draws_other_rows():
    assert (Sketch(COIN, 32, 1).matrix(100) != Sketch(bytes(32), 32, 1).matrix(100)).any()


@settings(max_examples=15, deadline=None)
@given(
    st.one_of(st.integers(1, 40), st.integers(SPAN - 2, SPAN + 2)),
    st.integers(1, 4),
    st.integers(0, 2**32),
    st.sampled_from([3, 1000, 2**26, 2**30]),
)
def test_values_are_those_of_the_oracle(columns, packed, seed, size):
    X = np.random.default_rng(seed).integers(-size, size, (packed, columns)).astype(np.int32)
    sketch = Sketch(seed.to_bytes(32, "big"), 32, packed)
    assert sketch.values(X).tolist() == oracle.sketch_values(sketch.matrix(columns).tolist(), X.tolist())


@pytest.mark.parametrize("size", [1, SPAN * 16 - 1, SPAN * 16, SPAN * 16 + 1, 2**31 - 1])
def test_values_are_exact_across_spans_and_precisions(size):
    """Up to 2¹⁴ a full span of equal values is summed in float32, above in float64."""
    columns = 17 * SPAN + 9
    sketch = Sketch(COIN, 32, 2)
    matrix = sketch.matrix(columns)
    X = np.where(matrix[3] < 0, -size, size).astype(np.int32)  # the longest sum that row 3 can have
    expected = (matrix.reshape(32, -1).astype(np.int64) * X.reshape(-1).astype(np.int64)).sum(axis=1)
    assert sketch.values(X).tolist() == expected.tolist()
    assert expected[3] > size * columns // 5


def dots(left, right):
    """Σ left · right mod p over the last axes, (k, n) and (v, n), in integers that cannot overflow."""
    folded = [[int((a * b % PRIME).sum()) % PRIME for b in right.astype(np.int64)] for a in left.astype(np.int64)]
    return np.array(folded, dtype=np.int64)


@pytest.mark.parametrize("extreme", [True, False])
def test_combinations_are_those_of_big_integers(extreme):
    columns, dealers = 16 * SPAN + 17, 3
    sketch = Sketch(COIN, 128, 3)
    if extreme:
        weights = np.full(128, 0x7FFEFFFF, dtype=np.uint32)
        shares = [np.full(columns, value, dtype=np.uint32) for value in (PRIME - 1, 0x7FFEFFFF, 0)]
    else:
        weights = Stream(COIN, "weights").elements(128)
        shares = [Stream(COIN, str(i)).elements(columns) for i in range(dealers)]
    rows, degree = sketch.combine(weights, [Stream(COIN, "a"), Stream(COIN, "b")], shares)
    matrix = sketch.matrix(columns).astype(np.int64)
    combined = np.tensordot(weights.astype(np.int64), matrix, 1) % PRIME  # below 2³⁸ before it is reduced
    rho = np.stack([Stream(COIN, label).elements(columns) for label in "ab"])
    assert (rows == dots(combined, np.array(shares))).all()
    assert (degree == dots(rho, np.array(shares))).all()


# What the proof asks of the rows


SHAPES = {
    "one coordinate": [(0, 0)],
    "one span": [(0, v) for v in range(64)],
    "one column": [(s, 0) for s in range(16)],
    "two spans, two columns": [(0, 0), (0, 1), (1, 0), (1, 1)],
    "spans that repeat each other": [(s, v) for s in range(16) for v in range(64)],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_squares_have_their_mean_and_at_most_six_times_its_square_as_their_second_moment(shape):
    squares = []
    for number in range(150):
        matrix = Sketch(number.to_bytes(32, "big"), 128, 1).matrix(16 * SPAN)
        rows = sum(matrix[:, 0, s * SPAN + v].astype(np.int64) for s, v in shape)
        squares.append(rows.astype(np.float64) ** 2 / len(shape))
    squares = np.array(squares)
    assert abs(squares.mean() - 0.25) < 0.02
    assert (squares**2).mean() < 1.1 * 6 / 16
    sums = squares.sum(axis=1) / 128 / 0.25
    assert sums.std() < 1.2 * (5 / 128) ** 0.5


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
        matrix = sketch.matrix(12).astype(object)
        rows = sum(matrix[:, q, b] * value for q, b, value in pattern) % PRIME
        small += sum(min(y, PRIME - y) < 2**15 for y in rows.tolist())
        trials += 128
    assert small / trials < 0.75 + 5 * (0.75 * 0.25 / trials) ** 0.5


@pytest.mark.parametrize("rows", [0, 16, 100, 160])
def test_numbers_of_rows_that_would_not_be_exact_are_refused(rows):
    with pytest.raises(FieldError, match="32, 64, 96 or 128"):
        Sketch(COIN, rows, 3)
