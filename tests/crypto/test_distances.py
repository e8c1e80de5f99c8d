"""Noised distances: against plain integers, and what is said of their privacy against what can be measured."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.accountant import gaussian_epsilon
from crypto.blur import DEVIATIONS, Blur, BlurError
from crypto.distances import change, distance_shares, open_distances, stretch, unit
from crypto.field import PRIME
from crypto.norm_proof import Checker, ProofError, ProofParameters, deal_bits, deal_masks, judge
from crypto.randomness import Stream
from crypto.shamir import Dealer, Packing, expand, stripes
from crypto.sketch import Sketch

PACKING = Packing(8, 2, 3, 1, 1)
PLAIN = ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9)
BLUR = Blur.of(8, 0.05 * unit(PLAIN), 4)
PARAMETERS = ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9, blur=BLUR)


def stream(*label):
    return Stream(hashlib.sha256(repr(label).encode()).digest(), "test")


def lattices(count, size=90, norm=100_000, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((count, size))
    made *= norm / np.linalg.norm(made, axis=1, keepdims=True)
    return [np.round(one).astype(np.int32).reshape(3, -1) for one in made]


class Quiet(Blur):
    """Noise that is known."""

    def draw(self, stream):
        return np.arange(len(self.pairs), dtype=np.int64) - 5


def dealt_bits(parameters, vectors, coin=bytes(32)):
    """Bits by dealer and holder, and the plain rows without their low bits."""
    sketch = Sketch(coin, parameters.rows, parameters.packing.packed)
    values = [sketch.values(vector) for vector in vectors]
    bits = [deal_bits(parameters, value, stream("bits", i)) for i, value in enumerate(values)]
    return bits, [value >> parameters.shift for value in values]


@pytest.mark.parametrize("dealers", [range(8), (0, 2, 3, 6, 7), (1, 5)])
def test_what_is_opened_is_the_plain_distance_and_the_sum_of_all_noise(dealers):
    parameters = ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9, blur=Quiet(8, BLUR.reach))
    bits, tops = dealt_bits(parameters, lattices(8))
    words = {h: distance_shares(parameters, {d: bits[d][h] for d in dealers}) for h in range(8)}
    opened = open_distances(PACKING, words)
    pairs = list(combinations(range(8), 2))
    expected = [
        int(((tops[i] - tops[j]) ** 2).sum()) + len(dealers) * (pairs.index((i, j)) - 5)
        for i, j in combinations(sorted(dealers), 2)
    ]
    assert opened.squared.tolist() == expected
    assert not opened.liars


def test_distances_estimate_those_of_the_updates_within_what_rows_and_noise_allow():
    vectors = lattices(8, norm=100_000)
    bits, _ = dealt_bits(PARAMETERS, vectors)
    words = {h: distance_shares(PARAMETERS, {d: bits[d][h] for d in range(8)}) for h in range(8)}
    found = open_distances(PACKING, words).squared / unit(PARAMETERS)
    true = [((vectors[i].astype(float) - vectors[j]) ** 2).sum() / 128_000**2 for i, j in combinations(range(8), 2)]
    errors = (found - true) / np.hypot(np.array(true) * math.sqrt(2 / 128), 0.05 * math.sqrt(2))
    assert np.abs(errors).max() < 4.5
    assert errors.std() > 0.3


@pytest.mark.parametrize("liar", [0, 7])
@pytest.mark.parametrize("present", [range(8), range(1, 8), (0, 2, 3, 4, 5, 6, 7)])
def test_a_liar_is_located_even_beside_an_absentee(liar, present):
    bits, _ = dealt_bits(PARAMETERS, lattices(8))
    words = {h: distance_shares(PARAMETERS, {d: bits[d][h] for d in range(8)}) for h in present}
    honest = open_distances(PACKING, words)
    if liar not in words:
        return
    words[liar] = words[liar].copy()
    words[liar][3] = (int(words[liar][3]) + 1) % PRIME
    opened = open_distances(PACKING, words)
    assert opened.liars == {liar}
    assert opened.squared.tolist() == honest.squared.tolist()


def test_too_many_liars_or_too_few_holders_open_nothing():
    bits, _ = dealt_bits(PARAMETERS, lattices(8))
    words = {h: distance_shares(PARAMETERS, {d: bits[d][h] for d in range(8)}) for h in range(8)}
    assert open_distances(PACKING, {h: words[h] for h in range(5)}) is None
    assert open_distances(PACKING, {}) is None
    for place, liar in ((3, 1), (9, 6)):  # each alone could be corrected
        words[liar] = words[liar].copy()
        words[liar][place] = (int(words[liar][place]) + 1) % PRIME
    assert open_distances(PACKING, words) is None


def test_t_holders_hold_nothing_about_distances():
    """The first t shares are drawn before the secrets come in: for one coin of the dealers they are the same, whatever
    the updates are. So t holders' part of the opened word says nothing; the others' is fixed by it, the opened value
    and t more words that are uniform, since every dealer's sharing of zero is.
    """
    seen = []
    for norm in (1000, 100_000):
        bits, _ = dealt_bits(PARAMETERS, lattices(3, norm=norm))
        seen.append([distance_shares(PARAMETERS, {d: bits[d][h] for d in range(3)}).tolist() for h in (0, 1, 7)])
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][2] != seen[1][2]


# --- what dealers prove of noise --------------------------------------------------------------------------------------


def judged(tamper=lambda holder, bits: bits, parameters=PARAMETERS):
    """Whether a dealer whose bits are tampered with passes."""
    vector = lattices(1)[0]
    sketch, coin = Sketch(bytes(32), parameters.rows, 3), hashlib.sha256(b"two").digest()
    dealer = Dealer(PACKING, PACKING.seeded(0, 0))
    secrets = stripes((vector.reshape(-1).astype(np.int64) % PRIME).astype(np.uint32), 3)
    seeds = [bytes([i]) * 32 for i in range(2)]
    rows = dict(zip(dealer.computed, dealer.deal(secrets, seeds), strict=True))
    rows |= {h: expand(seed, secrets.shape[1]) for h, seed in zip(dealer.seeded, seeds, strict=True)}
    masks = deal_masks(parameters, stream("masks"))
    bits = [tamper(h, one) for h, one in enumerate(deal_bits(parameters, sketch.values(vector), stream("bits")))]
    checker = Checker(parameters, sketch, coin)
    return judge(parameters, {h: checker.scalars([rows[h]], [masks[h]], [bits[h]])[0] for h in range(8)})


def added(vector, place, by):
    """The same constant at every holder: another secret, on a codeword."""
    changed = vector.copy()
    changed[place] = (int(changed[place]) + by) % PRIME
    return changed


def test_honest_noise_passes():
    assert judged().accepted


@pytest.mark.parametrize("place", [0, 19, -1])
@pytest.mark.parametrize("by", [2, 5, PRIME - 7])
def test_noise_whose_bits_are_none_is_refused(place, by):
    finding = judged(lambda _, bits: replace(bits, blur=added(bits.blur, place, by)))
    assert finding.failed == "C3/C4"


@pytest.mark.parametrize("place", [0, 27])
def test_a_sharing_of_zero_that_is_none_is_refused(place):
    finding = judged(lambda _, bits: replace(bits, zeros=added(bits.zeros, place, 1)))
    assert finding.failed == "C3/C4"


def test_noise_off_the_codeword_is_located():
    finding = judged(lambda h, bits: replace(bits, blur=added(bits.blur, 0, 1)) if h == 4 else bits)
    assert finding.liars == {4}


# --- noise ------------------------------------------------------------------------------------------------------------


@given(st.integers(DEVIATIONS, PRIME // 8 - 1), st.data())
def test_every_number_in_reach_has_a_spelling_and_no_spelling_leaves_it(reach, data):
    blur = Blur(2, reach)
    value = data.draw(st.integers(-reach, reach))
    bits = blur.spell(np.array([value]))
    assert set(bits.tolist()) <= {0, 1}
    assert bits.size == blur.bits
    assert int(blur.combine(bits)[0]) == value % PRIME
    assert int(blur.coefficients.sum()) == 2 * reach


def test_noise_is_gaussian_of_its_deviation():
    blur = Blur.of(64, 1000.0, 4)
    drawn = np.concatenate([blur.draw(stream("noise", i)) for i in range(20)])
    assert abs(drawn.mean()) < 4 * 500 / math.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(500, rel=0.02)
    assert abs((np.abs(drawn) < 500).mean() - math.erf(1 / math.sqrt(2))) < 0.01
    assert np.abs(drawn).max() <= blur.reach == 1500


@pytest.mark.parametrize(("members", "reach"), [(1, 100), (8, 2), (8, PRIME)])
def test_noise_outside_of_its_bounds_is_refused(members, reach):
    with pytest.raises(BlurError):
        Blur(members, reach)


def test_noise_that_could_wrap_a_distance_is_refused():
    with pytest.raises(ProofError, match="4 tau"):
        ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9, blur=Blur(8, PRIME // 9))


# --- the derivation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", ["one", "span", "everywhere"])
def test_rows_of_a_change_are_no_longer_than_the_derivation_says(spread):
    """The law of Σ y², over coins: its quantiles are below λ of their probability."""
    size = 3 * 1024
    vector = np.zeros(size, dtype=np.int32)
    places = {"one": 1, "span": 512, "everywhere": size}[spread]
    vector[:places] = 1000
    square = float((vector.astype(float) ** 2).sum())
    coins = 60
    ratios = []
    for coin in range(coins):
        values = Sketch(hashlib.sha256(bytes([coin % 256, coin // 256])).digest(), 128, 3).values(vector.reshape(3, -1))
        ratios.append(float((values.astype(float) ** 2).sum()) / (32 * square))
    assert np.mean(ratios) == pytest.approx(1, abs=4 * math.sqrt(5 / 128 / coins) + 0.01)
    assert np.quantile(ratios, 0.9) < stretch(128, 0.1)
    assert max(ratios) < stretch(128, 1 / coins / 100)


def test_stretch_bounds_products_of_gaussians_which_are_the_worst():
    rng = np.random.default_rng(1)
    sums = ((rng.standard_normal((20_000, 128)) * rng.standard_normal((20_000, 128))) ** 2).mean(axis=1)
    for failure in (0.1, 0.01, 0.001):
        assert np.quantile(sums, 1 - failure) < stretch(128, failure) < 3 * np.quantile(sums, 1 - failure)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_distances_change_by_no_more_than_is_claimed(share, seed):
    """One update changes by share · C towards the worst: away from all others, which are as long as they may be."""
    vectors = lattices(8, norm=115_000, seed=seed)
    for other in vectors[1:]:
        other[:] = -vectors[1] if seed % 2 else other
    moved = vectors[0].astype(float) / np.linalg.norm(vectors[0].astype(float)) * share * 128_000
    after = np.round(vectors[0] - moved).astype(np.int32)
    sketch = Sketch(hashlib.sha256(bytes([seed])).digest(), 128, 3)
    tops = [sketch.values(vector) >> 9 for vector in (*vectors, after)]
    before_, after_ = (
        np.array([((one - other) ** 2).sum() for other in tops[1:8]], dtype=float) for one in (tops[0], tops[8])
    )
    found = float(np.linalg.norm(after_ - before_))
    assert found <= change(PARAMETERS, share, 1e-9)
    assert found > change(PARAMETERS, share, 1e-9) / 300  # the bound is no empty one


def test_the_figures_of_the_docstring():
    k, sigma = unit(PARAMETERS), 0.05 * unit(PARAMETERS)
    assert PARAMETERS.tau / k == pytest.approx(1.593, abs=1e-3)
    assert stretch(128, 1e-9) == pytest.approx(6.6, abs=0.1)
    assert change(PARAMETERS, 0.01, 1e-9) / sigma == pytest.approx(9, abs=0.1)
    assert change(PARAMETERS, 0.0, 1e-9) / sigma == pytest.approx(2.1, abs=0.1)
    assert 3 * PARAMETERS.tau * math.sqrt(7) / k == pytest.approx(12.7, abs=0.1)
    # 1/30 a round for 1000 rounds, at delta = 1e-5, is about epsilon 4: and what it asks of the noise
    assert gaussian_epsilon(30 / math.sqrt(1000), 1e-5) == pytest.approx(4.5, abs=0.5)
    assert 30 * change(PARAMETERS, 0.0, 1e-9) / k > 3


@pytest.mark.parametrize(("z", "z_d", "h", "a"), [(1.0, 2.0, 4, 4), (0.7, 0.7, 2, 6)])
def test_noise_moved_among_members_keeps_the_sum_and_moves_distances_as_claimed(z, z_d, h, a):
    """The argument for 1/z_eff² = (1 + r)/z² + 1/z_D²: what a change costs, with integers, is no more than is said."""
    rng = np.random.default_rng(3)
    d = 200
    delta = rng.integers(-9, 10, d)
    parts = np.array([delta // h + (np.arange(h)[:, None] < delta % h)[j] for j in range(h)])
    assert np.array_equal(parts.sum(axis=0), delta)
    length = float((delta**2).sum())
    assert h * float((parts**2).sum()) <= length + d * h * h / 4  # 1 + r
    # Changes of distances between points as far apart as may be, in the worst direction: the claim is m - 1 of one.
    one = 1.0
    pairs = (h - 1) * one + (1 - 1 / h) ** 2 * a + (h - 1) * a / h**2
    assert pairs <= h + a - 1 + 1e-12
    # Two Gaussian mechanisms, one after the other, are one: shifts add up as squares.
    n = 400_000
    first, second = rng.standard_normal(n) * z, rng.standard_normal(n) * z_d
    loss = (2 * first + 1) / (2 * z**2) + (2 * second + 1) / (2 * z_d**2)
    z_eff = (1 / z**2 + 1 / z_d**2) ** -0.5
    assert loss.mean() == pytest.approx(1 / (2 * z_eff**2), rel=0.03)
    assert loss.std() == pytest.approx(1 / z_eff, rel=0.03)
