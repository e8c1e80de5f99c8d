from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.errors import PlanError
from consensus.rules import lookup, mean


def exact_mean(vectors, weights):
    """Rational arithmetic, rounded once at the end."""
    columns = zip(*(vector.tolist() for vector in vectors), strict=True)
    sums = [sum(Fraction(w) * Fraction(x) for w, x in zip(weights, column, strict=True)) for column in columns]
    return np.array([float(total) for total in sums], dtype=np.float32)


def test_the_mean_is_the_exact_one_rounded():
    rng = np.random.default_rng(1)
    vectors = list((rng.normal(size=(5, 300)) * 10.0 ** rng.integers(-20, 20, size=300)).astype(np.float32))
    weights = [0.125, 0.25, 0.0625, 0.5, 0.0625]
    np.testing.assert_array_max_ulp(mean(vectors, weights), exact_mean(vectors, weights), maxulp=1)


def test_blocks_leave_no_seam():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(3, 8192 * 2 + 5)).astype(np.float32)
    values[:, ::777] = [[1], [2], [3]]  # every part is summed in the order of the whole
    vectors = list(values)
    whole = mean(vectors, [0.2, 0.3, 0.5])
    parts = [mean([vector[i : i + 777] for vector in vectors], [0.2, 0.3, 0.5]) for i in range(0, whole.size, 777)]
    assert whole.dtype == np.float32
    assert np.array_equal(whole, np.concatenate(parts))


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=5, max_size=5), min_size=2),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_members_changes_no_bit(rows, random):
    weighted = [(np.array(row, np.float32), 1 / len(rows)) for row in rows]
    shuffled = random.sample(weighted, len(weighted))
    assert mean(*zip(*weighted, strict=True)).tobytes() == mean(*zip(*shuffled, strict=True)).tobytes()


def test_weights_go_with_their_vectors_in_any_order():
    rng = np.random.default_rng(4)
    values = np.repeat(rng.normal(size=(3, 9000)), 2, axis=0).astype(np.float32)
    values[::2, 8500] += 1  # vectors that differ beyond the first block alone
    weighted = list(zip(values, [0.1, 0.1, 0.2, 0.3, 0.25, 0.05], strict=True))
    expected = mean(*zip(*weighted, strict=True))
    for _ in range(20):
        weighted = [weighted[place] for place in rng.permutation(6)]
        assert mean(*zip(*weighted, strict=True)).tobytes() == expected.tobytes()


def test_equal_vectors_stay_what_they_are_to_the_bit():
    vector = np.random.default_rng(3).normal(size=1000).astype(np.float32)
    assert np.array_equal(mean([vector] * 7, [1 / 7] * 7), vector)


def test_large_values_do_not_overflow():
    vector = np.full(3, np.finfo(np.float32).max, dtype=np.float32)
    assert np.array_equal(mean([vector, vector, vector], [1 / 3] * 3), vector)


def test_vectors_may_be_read_only():
    vector = np.frombuffer(np.ones(4, dtype=np.float32).tobytes(), dtype=np.float32)
    assert np.array_equal(mean([vector], [1.0]), np.ones(4))


def test_a_rule_is_looked_up_by_name():
    assert lookup("mean") is mean
    with pytest.raises(PlanError, match=r"no rule is called 'maen': did you mean .*mean"):
        lookup("maen")
