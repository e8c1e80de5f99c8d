"""Who passes the norm proof how often: the law of the sum of squares in closed form, and what the sketch really gives.

All mass in one span of the sketch, spread over its columns, is the worst case on both sides (the fourth moment of a row
is largest, `crypto.sketch`): a row is 0 where its entry of c is, else Gaussian with variance |x|²/2, so the sum of
squares over k rows is |x|²/2 times chi-squared with as many degrees of freedom as entries of c are not 0.
"""

import math
from functools import cache

import numpy as np
import pytest
from scipy import stats

from crypto.norm_proof import ProofError, ProofParameters, deal_bits
from crypto.randomness import Stream
from crypto.shamir import Packing
from crypto.sketch import Sketch
from tests.crypto import oracle

PACKING = Packing(8, 2, 3, 1, 1)
DEFAULT = ProofParameters(PACKING)
IN_USE = ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9)
COLUMNS, COINS = 90, 700


def passes(norm, parameters=DEFAULT):
    """The probability that a vector of `norm` times C, spread over one span, meets τ."""
    active = np.arange(1, parameters.rows + 1)
    weight = stats.binom.pmf(active, parameters.rows, 0.5)
    limit = 2 * parameters.tau * 4**parameters.shift / (norm * parameters.clip) ** 2
    return float(2.0**-parameters.rows + weight @ stats.chi2.cdf(limit, active))


def fails(norm, parameters=DEFAULT):
    active = np.arange(1, parameters.rows + 1)
    limit = 2 * parameters.tau * 4**parameters.shift / (norm * parameters.clip) ** 2
    return float(stats.binom.pmf(active, parameters.rows, 0.5) @ stats.chi2.sf(limit, active))


@pytest.mark.parametrize("parameters", [DEFAULT, IN_USE], ids=["default", "in use"])
def test_the_rates_that_are_claimed(parameters):
    assert 2.9e-5 < fails(0.9, parameters) < 3.2e-5  # an honest dealer that sits a round out, at worst
    assert passes(1.7, parameters) < 5e-3
    assert passes(3**0.5, parameters) < 3e-3
    assert passes(2, parameters) < 7e-5
    assert passes(3, parameters) < 3e-10
    assert 0.4 < passes(1.26, parameters) < 0.6


@cache
def rows_of(shape):
    """Sketch rows (COINS, k) of a vector of norm 2²⁴ under as many coins."""
    rng = np.random.default_rng(1)
    stripes = np.zeros((3, COLUMNS))
    match shape:
        case "one stripe":
            stripes[1] = rng.standard_normal(COLUMNS)
        case "even":
            stripes[:] = rng.standard_normal(stripes.shape)
        case "one coordinate":
            stripes[2, 7] = 1
    lattice = np.round(stripes * 2**24 / np.linalg.norm(stripes)).astype(np.int32)
    return np.array([Sketch(coin.to_bytes(32, "big"), 128, 3).values(lattice) for coin in range(COINS)])


def accepted(shape, norm, parameters):
    scaled = np.round(rows_of(shape) * (norm * parameters.clip / 2**24)).astype(np.int64)
    squares = ((scaled >> parameters.shift) ** 2).sum(axis=1)
    return (np.abs(scaled).max(axis=1) < parameters.bound) & (squares <= parameters.tau)


@pytest.mark.parametrize("parameters", [DEFAULT, IN_USE], ids=["default", "in use"])
@pytest.mark.parametrize("norm", [1.1, 1.26, 1.4, 1.5])
def test_the_sketch_passes_as_many_as_the_law_says(norm, parameters):
    expected = passes(norm, parameters)
    rate = accepted("one stripe", norm, parameters).mean()
    assert abs(rate - expected) < 4 * math.sqrt(expected * (1 - expected) / COINS) + 0.01  # Gaussian rows: nearly


@pytest.mark.parametrize("parameters", [DEFAULT, IN_USE], ids=["default", "in use"])
@pytest.mark.parametrize("shape", ["one stripe", "even", "one coordinate"])
def test_honest_updates_pass_and_long_ones_do_not(shape, parameters):
    assert accepted(shape, 0.9, parameters).all()
    assert accepted(shape, 1.7, parameters).mean() < 0.02
    assert not accepted(shape, 2.2, parameters).any()
    assert not accepted(shape, 3, parameters).any()
    assert not accepted(shape, 30, parameters).any()


@pytest.mark.parametrize("parameters", [DEFAULT, IN_USE], ids=["default", "in use"])
def test_who_passes_is_who_can_deal_bits(parameters):
    verdicts = accepted("one stripe", 1.26, parameters)
    assert 0 < verdicts[:30].sum() < 30
    for rows, passed in zip(rows_of("one stripe")[:30], verdicts, strict=False):
        values = np.round(rows * (1.26 * parameters.clip / 2**24)).astype(np.int64)
        assert passed == oracle.norm_statement(values.tolist(), parameters.bound, parameters.shift, parameters.tau)
        if passed:
            deal_bits(parameters, values, Stream(bytes(32), "bits"))
        else:
            with pytest.raises(ProofError, match="no proof"):
                deal_bits(parameters, values, Stream(bytes(32), "bits"))
