import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom

from crypto.accountant import gaussian_delta, gaussian_epsilon
from tests.audit.statistics import Rates, auc, auc_deviation, clopper_pearson, tail_threshold

DELTA = 1e-5


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (10, 10), (40, 1000), (999, 1000)])
def test_bounds_of_a_rate_are_those_at_which_the_count_is_just_too_odd(hits, trials):
    low, high = clopper_pearson(hits, trials, 0.025)
    assert hits == 0 or binom.sf(hits - 1, trials, low) == pytest.approx(0.025)
    assert hits == trials or binom.cdf(hits, trials, high) == pytest.approx(0.025)
    assert low <= hits / trials <= high


def gaussians(mu, trials, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1 / mu, trials), rng.normal(0, 1 / mu, trials)


@pytest.mark.parametrize("mu", [0.5, 0.93, 1.67])
def test_a_gaussian_is_measured_from_below_and_nearly_whole(mu):
    claim = gaussian_epsilon(1 / mu, DELTA)
    for seed in range(5):
        present, missing = gaussians(mu, 20_000, seed)
        middle = Rates.of(present, missing, 0.5)
        assert 0.85 * mu < middle.mu() < mu
        assert 0.8 * claim < middle.gaussian_epsilon(DELTA) < claim
        tail = Rates.of(present, missing, tail_threshold(mu, 20_000, DELTA)).epsilon(DELTA)
        assert 0.4 * claim < tail < claim


def test_bounds_fail_as_seldom_as_they_say():
    """Against the best test there is at its own ε: the point of the curve that the threshold picks."""
    mu, above = 1.0, 0
    threshold = tail_threshold(mu, 500, DELTA)
    normal = NormalDist()
    false, found = 1 - normal.cdf(mu * threshold), 1 - normal.cdf(mu * (threshold - 1))
    truth = math.log((found - DELTA) / false)
    for seed in range(500):
        above += Rates.of(*gaussians(mu, 500, seed), threshold).epsilon(DELTA) > truth
    assert above <= 0.05 * 500


def test_guessing_proves_nothing():
    rng = np.random.default_rng(1)
    present, missing = rng.normal(size=(2, 5000))
    rates = Rates.of(present, missing, 0.5)
    assert (rates.epsilon(DELTA), rates.mu(), rates.gaussian_epsilon(DELTA)) == (0.0, 0.0, 0.0)
    assert abs(auc(present, missing) - 0.5) < 3 * auc_deviation(5000, 5000)


def test_certainty_is_bounded_by_the_number_of_games():
    rates = Rates(found=1000, present=1000, false=0, missing=1000)
    assert math.log(1000 / 4) < rates.epsilon(0.0) < math.log(1000)
    assert gaussian_delta(1 / rates.mu(), rates.gaussian_epsilon(DELTA)) == pytest.approx(DELTA, rel=1e-3)


def test_the_area_counts_pairs():
    present, missing = np.array([1.0, 2.0, 2.0]), np.array([0.0, 2.0])
    pairs = [1.0 if p > q else 0.5 if p == q else 0.0 for p in present for q in missing]
    assert auc(present, missing) == pytest.approx(np.mean(pairs))
