"""The numbers in the docstring of `crypto.norm_proof`, one inequality after the other, for both sets of parameters."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.field import PRIME
from crypto.norm_proof import ProofParameters
from crypto.shamir import Packing

PACKING = Packing(8, 2, 3, 1, 1)
SETS = [ProofParameters(PACKING), ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9)]
IDS = ["default", "in use"]
BERRY_ESSEEN = 0.56


def limits(parameters):
    """T− and T+ over k C² / 4."""
    whole = parameters.rows / 4 * (parameters.clip / 2**parameters.shift) ** 2
    return [(math.sqrt(parameters.tau) + sign * math.sqrt(parameters.rows)) ** 2 / whole for sign in (-1, 1)]


def test_the_finer_lattice_asks_the_field_for_the_same_numbers():
    coarse, fine = SETS
    assert {parameters.clip / 2**parameters.shift for parameters in SETS} == {250.0}
    assert {parameters.bound >> parameters.shift for parameters in SETS} == {2048}
    assert coarse.tau == fine.tau == 3_185_854
    assert coarse.slack_bits == fine.slack_bits
    assert limits(coarse) == limits(fine) == pytest.approx([1.573, 1.613], abs=5e-4)
    # Σ (y >> shift)² + slack of a row that breaks every promise is still below p.
    assert 128 * 2048**2 + 2**fine.slack_bits < PRIME


@pytest.mark.parametrize("parameters", SETS, ids=IDS)
@given(seed=st.integers(0, 2**32), length=st.floats(0, 4))
def test_what_shifting_loses_is_within_the_limits(parameters, seed, length):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal(parameters.rows)
    rows = np.round(rows * length * parameters.clip / 2).astype(np.int64)
    low, high = (limit * parameters.rows / 4 * parameters.clip**2 for limit in limits(parameters))
    square, seen = int((rows**2).sum()), int(((rows >> parameters.shift) ** 2).sum())
    assert seen <= parameters.tau or square > low
    assert seen > parameters.tau or square <= high


@pytest.mark.parametrize("parameters", SETS, ids=IDS)
def test_a_long_span_wraps_half_the_time_or_more(parameters):
    norm, largest = 11.0, 4.0  # of a span and of its entries, in B
    deviation = norm / math.sqrt(2)
    # Each entry of A is half the sum of two signs: terms of x / 2, variance x² / 4, third moment |x|³ / 8.
    off = BERRY_ESSEEN * (largest * norm**2 / 4) / deviation**3
    inside = 2 * off + largest / (deviation * math.sqrt(2 * math.pi))
    assert off == pytest.approx(0.144, abs=5e-4)
    assert inside < 0.5
    assert 8 * parameters.bound <= PRIME
    assert 0.75**parameters.rows < 2**-53


def test_rows_of_what_is_left_do_not_wrap():
    fine = SETS[1]
    longest = 90 * fine.bound
    assert longest / fine.clip > 737
    assert 2 * fine.rows * math.exp(-((PRIME / 2) ** 2) / (2 * longest**2)) < 1e-25
    assert 90**2 / 11**2 > 66  # spans that a longer one fills


@pytest.mark.parametrize("parameters", SETS, ids=IDS)
def test_a_vector_that_is_too_long_is_refused_whatever_it_is(parameters):
    k, high = parameters.rows, limits(parameters)[1]
    passing = {square: 1 / (1 + k / 5 * (1 - high / square) ** 2) for square in (3, 10, 1e9)}
    assert passing[3] < 0.16
    assert passing[10] < 0.055
    assert passing[1e9] < 0.04


@pytest.mark.parametrize("parameters", SETS, ids=IDS)
def test_an_honest_vector_passes_whatever_it_is(parameters):
    k, low = parameters.rows, limits(parameters)[0]
    honest = (parameters.honest_norm / parameters.clip) ** 2
    assert 2 * k * math.exp(-((parameters.bound / parameters.clip) ** 2) / honest) < 1e-33
    # E exp(θ y²) ≤ 1/2 + 1/2 (1 − θ S)^(−1/2): worst where all mass is in one span (convexity).
    at = np.linspace(0.01, 0.95, 500)
    exponent = k * (-at * low / honest / 4 + np.log(0.5 + 0.5 / np.sqrt(1 - at)))
    assert math.exp(exponent.min()) < 6e-4
