import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.accountant import (
    MIN_MULTIPLIER,
    AccountingError,
    Release,
    calibrate,
    epsilon,
    gaussian_delta,
    gaussian_epsilon,
    rdp,
    rdp_epsilon,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "accountant.json").read_text())
DELTA = 1e-5


# --- known answers ----------------------------------------------------------------------------------------------------


def test_divergences_are_those_of_an_independent_accountant():
    assert len(VECTORS["divergences"]) > 100
    for case in VECTORS["divergences"]:
        ours = rdp(case["multiplier"], case["sampling"], case["order"])
        # Their alternating series stops at about 1e-13 of the moment.
        assert ours == pytest.approx(case["rdp"], rel=1e-6, abs=1e-11), case


def test_budgets_are_at_most_those_of_an_independent_accountant_on_fewer_orders():
    for case in VECTORS["budgets"]:
        ours = epsilon([Release(case["multiplier"], case["sampling"], case["steps"])], case["delta"])
        assert case["epsilon"] * 0.99 < ours < case["epsilon"] * (1 + 1e-6), case


@settings(max_examples=25, deadline=None)
@given(q=st.floats(0.001, 0.95), z=st.floats(0.6, 10), order=st.floats(1.3, 60))
def test_divergences_are_those_that_opacus_computes_now(q, z, order):
    opacus = pytest.importorskip("opacus.accountants.analysis.rdp")
    theirs = opacus.compute_rdp(q=q, noise_multiplier=z, steps=1, orders=[order])[0]
    assert rdp(z, q, order) == pytest.approx(theirs, rel=1e-5, abs=1e-9)


def test_the_paper_s_table_of_the_analytic_gaussian():
    """Balle and Wang 2018: at ε = 0 the δ of a Gaussian is 2Φ(1/2z) − 1, and z = 1 at δ = 1e-5 costs about 4.38."""
    assert gaussian_delta(1.0, 0.0) == pytest.approx(math.erf(0.5 / math.sqrt(2)), rel=1e-12)
    assert gaussian_epsilon(1.0, DELTA) == pytest.approx(4.3776, abs=1e-3)


# --- oracles ----------------------------------------------------------------------------------------------------------


def test_the_analytic_gaussian_is_the_hockey_stick_of_two_densities():
    for z, eps in [(1.0, 1.0), (0.5, 3.0), (4.0, 0.2), (10.0, 0.05)]:
        x = np.linspace(-12 * z, 12 * z + 1, 400_001)
        p, q = (np.exp(-((x - mean) ** 2) / (2 * z * z)) / (z * math.sqrt(2 * math.pi)) for mean in (1.0, 0.0))
        stick = np.maximum(p - math.exp(eps) * q, 0).sum() * (x[1] - x[0])
        assert gaussian_delta(z, eps) == pytest.approx(stick, rel=1e-5)


def test_fractional_orders_agree_with_the_sum_at_whole_ones_from_both_sides():
    """The quadrature just above a whole order meets the closed form of Mironov et al. there."""
    for q in (0.01, 0.3, 0.9):
        for z in (0.6, 1.5, 6.0, 40.0):
            for order in (2, 3, 7, 40, 256):
                assert rdp(z, q, order + 1e-9) == pytest.approx(rdp(z, q, order), rel=1e-6, abs=1e-14)


def test_high_orders_are_not_passed_over_by_the_quadrature():
    """Far out and with wide noise the mass lies in the middle between 0 and α."""
    z, q, order = 30.0, 0.5, 2000
    k = np.arange(order + 1)
    log_choose = [math.lgamma(order + 1) - math.lgamma(i + 1) - math.lgamma(order - i + 1) for i in k]
    terms = np.array(log_choose) + order * math.log(0.5) + (k * k - k) / (2 * z * z)
    exact = (terms.max() + math.log(np.exp(terms - terms.max()).sum())) / (order - 1)
    assert rdp(z, q, order) == pytest.approx(exact, rel=1e-9)


def test_what_is_sampled_composes_to_no_less_than_the_truth():
    """Exact composition by convolving the privacy loss of both directions on a fine grid (rounded down: a lower bound
    of δ), against the bound at the same δ.
    """
    z, q, steps, target = 2.0, 0.3, 12, 3.0
    width, x = 2e-4, np.arange(-25, 26, 2e-4)
    base = np.exp(-(x**2) / (2 * z * z))
    base /= base.sum()
    mixed = (1 - q) * base + q * base * np.exp((2 * x - 1) / (2 * z * z))
    mixed /= mixed.sum()
    worst = 0.0
    for p, other in ((mixed, base), (base, mixed)):
        loss = np.floor(np.log(p / other) / width).astype(int)
        low, high = loss.min(), loss.max()
        law = np.bincount(loss - low, weights=p, minlength=high - low + 1)
        size = 1 << math.ceil(math.log2(steps * (high - low + 1)))
        composed = np.fft.irfft(np.fft.rfft(law, size) ** steps, size)
        losses = (np.arange(size) + steps * low) * width
        worst = max(worst, float((composed * np.maximum(1 - np.exp(target - losses), 0)).sum()))
    assert 1e-4 > worst > 1e-9
    bound = epsilon([Release(z, q, steps)], worst)
    assert target < bound < 1.25 * target  # never less than the truth, and not far from it


def test_a_central_limit_would_have_said_less():
    """The figure that Gaussian differential privacy gives for sampled steps lies below what is certain."""
    z, q, steps = 1.0, 0.01, 1000
    mu = q * math.sqrt(steps * (math.exp(z**-2) - 1))
    assert gaussian_epsilon(1 / mu, DELTA) < epsilon([Release(z, q, steps)], DELTA)


# --- properties -------------------------------------------------------------------------------------------------------

multipliers = st.floats(0.3, 20)
rates = st.floats(0.001, 1)


@settings(max_examples=30, deadline=None)
@given(z=multipliers, q=rates, steps=st.integers(1, 1000))
def test_less_noise_more_steps_and_more_sampling_cost_more(z, q, steps):
    spent = epsilon([Release(z, q, steps)], DELTA)
    slack = 1 + 1e-6
    assert epsilon([Release(z * 1.1, q, steps)], DELTA) <= spent * slack
    assert epsilon([Release(z, q, steps + 1)], DELTA) * slack >= spent
    assert epsilon([Release(z, q * 0.9, steps)], DELTA) <= spent * slack


@settings(max_examples=20, deadline=None)
@given(z=multipliers, steps=st.integers(1, 500))
def test_without_sampling_the_exact_figure_is_used_and_is_below_renyi(z, steps):
    exact = epsilon([Release(z, 1.0, steps)], DELTA)
    assert exact == pytest.approx(gaussian_epsilon(z / math.sqrt(steps), DELTA), rel=1e-6)
    assert exact <= rdp_epsilon(lambda order: steps * rdp(z, 1.0, order), DELTA) * (1 + 1e-6)


def test_order_and_grouping_do_not_matter():
    releases = [Release(2.0, 0.3, 5), Release(1.5, 0.1, 7), Release(2.0, 0.3, 6), Release(3.0)]
    whole = epsilon(releases, DELTA)
    merged = [Release(3.0), Release(2.0, 0.3, 11), Release(1.5, 0.1, 7)]
    assert epsilon(merged, DELTA) == pytest.approx(whole, rel=1e-9)
    assert epsilon([], DELTA) == 0


def test_failures_come_off_delta():
    z = 3.0
    assert epsilon([Release(z, failure=DELTA / 2)], DELTA) == pytest.approx(epsilon([Release(z)], DELTA / 2), rel=1e-6)
    assert epsilon([Release(z, failure=DELTA / 2)] * 2, DELTA) == math.inf


@settings(max_examples=15, deadline=None)
@given(target=st.floats(0.1, 10), q=st.sampled_from([0.05, 0.4, 1.0]), steps=st.integers(1, 300))
def test_calibration_meets_its_target_and_hardly_less(target, q, steps):
    if epsilon([Release(2 * MIN_MULTIPLIER, q, steps)], DELTA) <= target:
        with pytest.raises(AccountingError, match="next to no noise"):
            calibrate(target, DELTA, steps=steps, sampling=q)
        return
    z = calibrate(target, DELTA, steps=steps, sampling=q)
    assert epsilon([Release(z, q, steps)], DELTA) <= target < epsilon([Release(z * (1 - 3e-5), q, steps)], DELTA)


@pytest.mark.parametrize(
    "bad",
    [
        dict(multiplier=0.0),
        dict(multiplier=math.nan),
        dict(multiplier=math.inf),
        dict(multiplier=1.0, sampling=0.0),
        dict(multiplier=1.0, sampling=1.1),
        dict(multiplier=1.0, sampling=math.nan),
        dict(multiplier=1.0, steps=0),
        dict(multiplier=1.0, failure=1.0),
        dict(multiplier=1.0, failure=-0.1),
    ],
)
def test_what_is_no_release_is_refused(bad):
    with pytest.raises(AccountingError, match="is needed"):
        Release(**bad)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_that_promises_nothing_is_refused(delta):
    with pytest.raises(AccountingError, match="delta"):
        epsilon([Release(1.0)], delta)


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_a_target_that_is_no_budget_is_refused(target):
    with pytest.raises(AccountingError, match="target"):
        calibrate(target, DELTA, steps=1)


def test_targets_out_of_reach_are_refused():
    with pytest.raises(AccountingError, match="next to no noise"):
        calibrate(1e4, DELTA, steps=1)
    with pytest.raises(AccountingError, match="no noise reaches"):
        calibrate(1.0, DELTA, steps=1, failure=DELTA)
