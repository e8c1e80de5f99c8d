import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.learning.dp_sampling import PoissonSampler


def test_each_record_takes_part_by_itself_at_the_rate():
    rate, rows, draws = 0.3, 50, 4000
    taken = np.zeros((draws, rows))
    sampler = PoissonSampler(rows, rate)
    for i in range(draws):
        taken[i, sampler.draw(i.to_bytes(32, "little"))] = 1
    deviation = math.sqrt(rate * (1 - rate) / draws)
    assert np.abs(taken.mean(axis=0) - rate).max() < 5 * deviation
    correlations = np.corrcoef(taken.T) - np.eye(rows)
    assert np.abs(correlations).max() < 5.5 / math.sqrt(draws)
    # Sizes vary as a binomial: a fixed size would be another mechanism with another ε.
    assert taken.sum(axis=1).var() == pytest.approx(rows * rate * (1 - rate), rel=0.15)


@given(rows=st.integers(1, 300), rate=st.floats(0.001, 1))
def test_what_is_drawn_are_row_numbers(rows, rate):
    drawn = PoissonSampler(rows, rate).draw(bytes(32))
    assert np.array_equal(drawn, np.unique(drawn))
    assert drawn.size == 0 or (drawn.min() >= 0 and drawn.max() < rows)


def test_at_rate_one_all_take_part_and_a_seed_decides():
    assert PoissonSampler(7, 1.0).draw(bytes(32)).tolist() == list(range(7))
    sampler = PoissonSampler(100, 0.5)
    assert np.array_equal(sampler.draw(bytes(32)), sampler.draw(bytes(32)))
    assert not np.array_equal(sampler.draw(bytes(32)), sampler.draw(b"\1" * 32))


@pytest.mark.parametrize(("rows", "rate"), [(0, 0.5), (5, 0.0), (5, 1.1), (5, math.nan)])
def test_what_cannot_be_sampled_is_refused(rows, rate):
    with pytest.raises(ValueError, match="0 < rate <= 1"):
        PoissonSampler(rows, rate)


def test_a_short_seed_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        PoissonSampler(5, 0.5).draw(b"short")
