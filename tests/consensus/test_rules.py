from fractions import Fraction

import numpy as np
import pytest

from consensus.errors import PlanError
from consensus.rules import RULES, lookup, mean


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
    vectors = list(rng.normal(size=(3, 8192 * 2 + 5)).astype(np.float32))
    whole = mean(vectors, [0.2, 0.3, 0.5])
    parts = [mean([vector[i : i + 777] for vector in vectors], [0.2, 0.3, 0.5]) for i in range(0, whole.size, 777)]
    assert whole.dtype == np.float32
    assert np.array_equal(whole, np.concatenate(parts))


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
    assert lookup("mean") is RULES["mean"] is mean
    with pytest.raises(PlanError, match="no rule is called 'maen': did you mean mean"):
        lookup("maen")
