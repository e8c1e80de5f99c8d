import math
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.accountant import epsilon, gaussian_delta
from crypto.fixedpoint import FixedPoint
from crypto.mechanisms import (
    MIN_SHARE_SIGMA,
    SMOOTHING,
    LatticeGaussian,
    MechanismError,
    _norm,
    _sensitivity,
    noise_shares,
)
from crypto.norm_proof import ProofParameters
from crypto.randomness import DiscreteGaussian, Stream
from crypto.shamir import Packing


def seeds(start=0):
    """A source of 32 bytes that are different at every call."""
    counter = count(start)
    return lambda size: next(counter).to_bytes(size, "little")


def mechanism(**changes):
    settings_ = dict(dimension=400, clip=0.5, multiplier=2.0, scale=200.0, cap=10.0, shares=1, failure=1e-9)
    return LatticeGaussian(**(settings_ | changes))


# --- how much noise ---------------------------------------------------------------------------------------------------


@settings(max_examples=4, deadline=None)
@given(shares=st.integers(1, 9), multiplier=st.floats(0.5, 8), clip=st.floats(0.2, 1))
def test_the_noise_of_h_members_has_the_variance_that_is_claimed(shares, multiplier, clip):
    dimension = 40_000
    made = LatticeGaussian.fitted(dimension=dimension, clip=clip, multiplier=multiplier, cap=clip, shares=shares)
    randbytes = seeds()
    total = sum(made.noised(np.zeros(dimension, np.float32), randbytes).astype(np.int64) for _ in range(shares))
    assert total.std() == pytest.approx(made.sigma, rel=5 / math.sqrt(2 * dimension))
    assert made.sigma >= multiplier * clip * made.scale
    assert made.sigma / (clip * made.scale) < multiplier * 1.1  # a fine lattice costs little
    assert abs(total.mean()) < 6 * made.sigma / math.sqrt(dimension)


def test_a_share_is_too_little_by_itself():
    """What h members add together, none adds alone: the reason why a share may leave only secret-shared."""
    made = mechanism(shares=4)
    assert made.share_sigma == pytest.approx(made.sigma / 2)
    assert made.share_sigma < made.multiplier * made.sensitivity


@given(m=st.integers(-2, 20), t=st.integers(-2, 20), f=st.integers(-2, 20), e=st.integers(-2, 5))
def test_shares_are_of_those_who_neither_collude_nor_lie_nor_stay_away(m, t, f, e):
    if min(m, t, f, e) >= 0 and m - t - f - e >= 1:
        assert noise_shares(m, t, f, e) == m - t - f - e
    else:
        with pytest.raises(MechanismError, match="m - t - f - e >= 1"):
            noise_shares(m, t, f, e)


@settings(max_examples=25)
@given(
    clip=st.floats(1e-4, 10),
    multiplier=st.floats(0.5, 200),
    dimension=st.integers(1, 100_000),
    nudge=st.sampled_from([1 - 2e-14, 1 + 2e-14]),
)
def test_members_whose_libraries_differ_in_the_last_place_have_one_lattice(clip, multiplier, dimension, nudge):
    numbers = dict(dimension=dimension, cap=50 * clip, room=115_200.0, shares=4, members=8)
    try:
        made = LatticeGaussian.fitted(clip=clip, multiplier=multiplier, **numbers)
    except MechanismError:
        return
    assert made.honest_norm <= 115_200
    other = LatticeGaussian.fitted(clip=clip, multiplier=multiplier * nudge, **numbers)
    assert made.scale == other.scale or abs(made.scale / other.scale - 1) < 2**-9
    mantissa, _ = math.frexp(made.scale)
    assert mantissa * 2**11 == int(mantissa * 2**11) or made.scale == 1 / clip


def test_a_sharing_carries_what_was_noised_as_noise_on_zeros():
    made = mechanism(shares=4)
    update = np.full(made.dimension, made.cap / math.sqrt(made.dimension), np.float32)
    noised = [made.noised(update, seeds(i)) for i in range(8)]
    carrying = made.carrying(8)
    assert all(np.abs(one).max() <= carrying.noise for one in noised)
    zeros = carrying.encode(np.zeros(made.dimension, np.float32), Stream(bytes(32), "zeros"))
    assert not zeros.any()
    total = np.sum(noised, axis=0, dtype=np.int32)
    assert np.array_equal(carrying.decode(total, 8), made.decoded(total, 8))


def test_noise_is_never_drawn_twice():
    made, randbytes = mechanism(), seeds()
    zeros = np.zeros(made.dimension, np.float32)
    assert not np.array_equal(made.noised(zeros, randbytes), made.noised(zeros, randbytes))
    assert np.array_equal(made.noised(zeros, seeds(7)), made.noised(zeros, seeds(7)))


def test_a_release_is_what_the_accountant_counts():
    made = mechanism()
    release = made.release(sampling=0.3, steps=7)
    assert (release.multiplier, release.sampling, release.steps) == (2.0, 0.3, 7)
    assert release.failure == pytest.approx(7e-9)
    assert epsilon([release], 1e-5) < math.inf


# --- sensitivity ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    dimension=st.integers(1, 300),
    sparse=st.booleans(),
    clip=st.floats(0.5, 400),
)
def test_neighbours_rounded_alike_stay_within_the_sensitivity(seed, dimension, sparse, clip):
    """With the same offsets, any two updates a clip apart: the worst difference of norms is what noise is made for."""
    rng = np.random.default_rng(seed)
    away = rng.standard_normal(dimension) * (rng.random(dimension) < 0.1 if sparse else 1)
    away *= clip / max(1e-9, float(np.linalg.norm(away)))
    here = rng.uniform(-50, 50, dimension)
    encoding = FixedPoint(1.0, 1e6, 1)
    seed_bytes = rng.bytes(32)
    both = [encoding.encode(v.astype(np.float32), Stream(seed_bytes, "r")) for v in (here, here + away)]
    assert np.linalg.norm(both[1].astype(float) - both[0]) <= _sensitivity(clip, dimension, 1e-9) + 1e-6


def test_the_bound_of_rounding_holds_as_often_as_it_says():
    """Many offsets: the bound for β = 1e-2 is exceeded in fewer than 1 % of them."""
    rng = np.random.default_rng(1)
    away = rng.standard_normal(100)
    away *= 10 / np.linalg.norm(away)
    offsets = rng.random((20_000, 100))
    norms = np.linalg.norm(np.floor(away + offsets), axis=1)
    assert (norms > _sensitivity(10.0, 100, 1e-2)).mean() < 0.01
    assert norms.mean() > 10.5  # that rounding costs something is no invention


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), cap=st.floats(0.1, 10))
def test_the_cap_brings_no_two_updates_further_apart(seed, cap):
    rng = np.random.default_rng(seed)
    encoding = FixedPoint(1e6, cap, 1)
    v, w = (rng.standard_normal(20).astype(np.float32) * np.float32(rng.uniform(0, 5)) for _ in range(2))
    a, b = (encoding.encode(x, Stream(bytes(32), "r")) / 1e6 for x in (v, w))
    assert np.linalg.norm(a - b) <= np.linalg.norm(v - w) * (1 + 1e-6) + 1e-5
    assert np.linalg.norm(a) <= cap + 1e-4


# --- the claim itself, on the whole distribution ----------------------------------------------------------------------


def law_of_sum(share_sigma, shares):
    noise = DiscreteGaussian(share_sigma)
    k = np.arange(-noise.reach, noise.reach + 1)
    one = np.exp(-(k**2) / (2 * share_sigma**2))
    one /= one.sum()
    law = one
    for _ in range(shares - 1):
        law = np.convolve(law, one)
    return law


def stick(p, q, eps):
    return float(np.maximum(p - math.exp(eps) * q, 0).sum())


@pytest.mark.parametrize("rate", [1.0, 0.3])
@pytest.mark.parametrize(("share_sigma", "shares", "shift"), [(3.0, 1, 3), (3.0, 2, 2), (3.0, 5, 7), (6.0, 3, 5)])
def test_the_sum_of_shares_is_as_private_as_the_continuous_gaussian_it_is_counted_as(share_sigma, shares, shift, rate):
    """δ of the lattice mechanism, summed over its whole law, against that of N(0, σ² − s²); in both directions."""
    law = law_of_sum(share_sigma, shares)
    z = math.sqrt(share_sigma**2 * shares - SMOOTHING**2) / shift
    base, moved = np.append(law, np.zeros(shift)), np.append(np.zeros(shift), law)
    mixed = (1 - rate) * base + rate * moved
    for eps in (0.0, 0.1, 0.5, 1.0, 2.0):
        # Sampling at rate q makes ε of ln(1 + (e^ε − 1)/q) into ε, and δ into qδ (add or remove; Li et al. 2012).
        inner = math.log1p(math.expm1(eps) / rate)
        counted = rate * gaussian_delta(z, inner)
        assert stick(mixed, base, eps) <= counted + 1e-12
        # Removing: e^{−ε}-weighted mirror image of the same pair.
        outer = -math.log1p(math.expm1(-eps) / rate) if math.expm1(-eps) / rate > -1 else math.inf
        if outer < math.inf:
            lost = (1 - math.exp(eps) * (1 - rate)) * gaussian_delta(z, outer)
            assert stick(base, mixed, eps) <= lost + 1e-12
    # And s² is not taken off for nothing much: with 2 % more noise than the lattice has, the claim would be false.
    assert stick(moved, base, 0.5) > gaussian_delta(1.02 * math.sqrt(share_sigma**2 * shares) / shift, 0.5)


def test_the_convolution_of_discrete_gaussians_is_as_near_to_one_as_the_theorem_says():
    """Kairouz et al. 2021, where it can be seen in double precision: small deviations."""
    sigma, shares = 0.8, 3
    law = law_of_sum(sigma, shares)
    k = np.arange(law.size) - law.size // 2
    one = np.exp(-(k**2) / (2 * sigma**2 * shares))
    one /= one.sum()
    middle = np.abs(k) < 6
    error = np.abs(np.log(law[middle] / one[middle])).max()
    bound = 10 * sum(math.exp(-2 * math.pi**2 * sigma**2 * i / (i + 1)) for i in range(1, shares))
    assert 1e-6 < error <= bound <= 10 * (shares - 1) * math.exp(-(math.pi**2) * sigma**2)
    assert 10 * 100 * math.exp(-(math.pi**2) * MIN_SHARE_SIGMA**2) < 1e-35


# --- fitting into the proof -------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(dimension=st.integers(10, 5000), cap=st.floats(0.5, 20), shares=st.integers(1, 10))
def test_a_fitted_update_keeps_the_norm_that_the_proof_asks_for(dimension, cap, shares):
    proof = ProofParameters(Packing(8, 2, 3), clip=128_000, bound_bits=20, shift=9)
    made = LatticeGaussian.fitted(
        dimension=dimension, clip=0.5, multiplier=3.0, cap=cap, room=proof.honest_norm, shares=shares, members=8
    )
    assert made.honest_norm <= proof.honest_norm
    long = np.full(dimension, 100.0, np.float32)  # far beyond the cap
    assert np.linalg.norm(made.noised(long, seeds()).astype(float)) < made.honest_norm
    made.encoding(8)  # eight of them can be added


def test_the_norm_bound_of_noise_holds_and_is_not_far_off():
    made = mechanism()
    norms = [
        np.linalg.norm(made.noised(np.zeros(made.dimension, np.float32), seeds(i)).astype(float)) for i in range(200)
    ]
    bound = _norm(0.0, made.share_sigma, made.dimension)
    assert bound / 2 < max(norms) < bound


def test_what_is_decoded_is_the_mean_of_what_was_noised():
    made = mechanism(multiplier=0.1)
    rng = np.random.default_rng(3)
    updates = rng.uniform(-0.4, 0.4, (8, made.dimension)).astype(np.float32)
    total = sum(made.noised(u, seeds(100 * i)) for i, u in enumerate(updates))
    error = made.decoded(total, 1) - updates.sum(axis=0)
    assert error.std() == pytest.approx(made.sigma * math.sqrt(8) / made.scale, rel=0.2)
    assert np.allclose(made.encoding(8).decode(total, 8), made.decoded(total, 1) / 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(scale=0.5, multiplier=0.1), "sigma of a share"),
        (dict(scale=1e5), "sigma of a share"),
        (dict(clip=0.0), "clip"),
        (dict(multiplier=math.nan), "multiplier"),
        (dict(cap=math.inf), "cap"),
        (dict(shares=0), "shares >= 1"),
        (dict(failure=0.0), "failure"),
        (dict(dimension=0), "dimension"),
    ],
)
def test_a_mechanism_outside_of_the_claim_is_refused(changes, words):
    changes = {"dimension": 4, **changes}
    with pytest.raises(MechanismError, match=words):
        mechanism(**changes)


def test_a_room_that_noise_does_not_fit_into_is_refused_with_the_numbers():
    with pytest.raises(MechanismError, match="use a larger norm bound C"):
        LatticeGaussian.fitted(dimension=100_000, clip=0.5, multiplier=4.0, cap=20.0, room=3600.0, shares=5)


def test_an_update_of_another_size_is_refused():
    with pytest.raises(MechanismError, match="shape"):
        mechanism().noised(np.zeros(3, np.float32), seeds())
