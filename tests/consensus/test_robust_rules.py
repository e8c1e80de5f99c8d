"""Robust rules against loops over the vectors, their symmetries, their breakdown points, and what they are for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.company import Company, squared_distances
from consensus.errors import PlanError
from consensus.rules import DISTANCE_RULES, PRE_AGGREGATIONS, RULES, DistanceAverage, Standpoint, least_members, lookup
from tests.consensus import rule_oracles
from tests.consensus.rule_oracles import ORACLES

LOCAL = {"self-centred-clipping", "clipped-sum", "balance", "ubar"}
"""Rules that hold on to the own vector: they do not throw liars out, they bound what those can move."""
SEEN = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(1, 40))


def drawn(seed, size, dimension):
    rng = np.random.default_rng(seed)
    return list(rng.normal(size=(size, dimension)).astype(np.float32))


def even(vectors):
    return [1 / len(vectors)] * len(vectors)


def assert_as_central(vectors, result, expected):
    """The sum of distances is what the median is about: where it is nearly flat, points may differ."""
    sums = [sum(rule_oracles.distance(v, at) for v in vectors) for at in (result, expected)]
    assert sums[0] <= sums[1] * (1 + 2e-3) + 1e-6


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=25)
@given(SEEN)
def test_a_rule_is_what_its_paper_says(name, case):
    seed, f, dimension = case
    vectors = drawn(seed, 7, dimension)
    result = lookup(name, f)(vectors, even(vectors), Standpoint(own=2))
    expected = ORACLES[name](vectors, even(vectors), f, 2)
    if name == "geometric-median":
        assert_as_central(vectors, result, expected)
    else:  # how far a vector has faded hangs on where the median is, and that is known to a few steps only
        np.testing.assert_allclose(result, expected, atol=1e-5 if name != "fading-mean" else 0.01)


@pytest.mark.parametrize("rule", sorted({"krum", "faba", "median", "trimmed-mean", "geometric-median"}))
@given(SEEN)
@settings(max_examples=15)
def test_mixing_before_a_rule_is_as_mixing_the_vectors(rule, case):
    seed, f, dimension = case
    vectors = drawn(seed, 9, dimension)
    mixed = rule_oracles.nearest_neighbour_mixing(vectors, f)
    expected = ORACLES[rule](mixed, even(mixed), f, None)
    result = lookup(f"nnm+{rule}", f)(vectors, even(vectors))
    if rule == "krum":  # which of two mixtures with nearly the same score is chosen hangs on the last bit
        scores = np.array(rule_oracles.krum_scores(mixed, f))
        chosen = int(np.argmin([np.abs(result - m).max() for m in mixed]))
        assert scores[chosen] <= scores.min() * (1 + 1e-6) + 1e-9
    elif rule == "geometric-median":
        assert_as_central(mixed, result, expected)
    elif rule == "faba":
        assert any(np.allclose(result, e, atol=1e-4) for e in [expected]) or _nearly_tied(mixed, f)
    else:
        np.testing.assert_allclose(result, expected, atol=1e-5)


def _nearly_tied(vectors, f):
    centre = np.mean(vectors, axis=0)
    distances = np.sort([rule_oracles.distance(v, centre) for v in vectors])[::-1]
    return f > 0 and np.min(np.abs(np.diff(distances[: f + 2]))) < 1e-6


@pytest.mark.parametrize("name", [name for name in RULES if name != "ubar"])
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=6)
def test_the_order_of_the_members_changes_nothing(name, seed):
    vectors = drawn(seed, 9, 12)
    order = np.random.default_rng(seed).permutation(9)
    result = lookup(name, 1)(vectors, even(vectors), Standpoint(own=0))
    shuffled = [vectors[place] for place in order]
    again = lookup(name, 1)(shuffled, even(shuffled), Standpoint(own=int(np.where(order == 0)[0][0])))
    assert result.dtype == np.float32
    np.testing.assert_allclose(again, result, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in RULES if name not in {"balance", "ubar"}])
def test_moving_all_moves_the_result(name):
    # Quarters and a shift of a power of two: both are exact in float32, so nothing but the rule can differ.
    vectors = [np.round(v * 4) / 4 + np.float32(i) / 64 for i, v in enumerate(drawn(5, 9, 12))]
    shift = np.float32(64)
    rule = lookup(name, 2 if not name.startswith("bucketing") else 1)
    moved = rule([v + shift for v in vectors], even(vectors), Standpoint(own=3))
    np.testing.assert_allclose(moved - shift, rule(vectors, even(vectors), Standpoint(own=3)), atol=2e-5)


@pytest.mark.parametrize("name", [name for name in RULES if name != "mean" and name not in LOCAL])
@pytest.mark.parametrize("far", [1e2, 1e6, 1e30])
def test_liars_at_any_distance_do_not_carry_it_off(name, far):
    f = 1 if name.startswith("bucketing") or "krum" in name else 2
    honest = drawn(11, 9 - f, 20)
    liars = [np.full(20, far, dtype=np.float32) for _ in range(f)]
    result = lookup(name, f)(honest + liars, [1 / 9] * 9, Standpoint(own=0))
    spread = max(rule_oracles.distance(v, np.mean(honest, axis=0)) for v in honest)
    assert rule_oracles.distance(result, np.mean(honest, axis=0)) < 3 * spread


@pytest.mark.parametrize("name", ["self-centred-clipping", "clipped-sum", "balance"])
def test_a_rule_that_holds_on_to_the_own_vector_moves_no_further_than_the_honest_reach(name):
    honest = [1 + v / 10 for v in drawn(12, 7, 20)]
    liars = [np.full(20, 1e6, dtype=np.float32) for _ in range(2)]
    result = lookup(name, 2)(honest + liars, [1 / 9] * 9, Standpoint(own=0))
    reach = max(rule_oracles.distance(v, honest[0]) for v in honest)
    assert rule_oracles.distance(result, honest[0]) <= 2 * reach


def test_the_plain_mean_is_carried_off_by_one():
    vectors = [*drawn(13, 8, 4), np.full(4, 1e6, dtype=np.float32)]
    assert lookup("mean", 1)(vectors, even(vectors))[0] > 1e5


@pytest.mark.parametrize(
    "name", [name for name in RULES if name not in {"mean", "balance", "ubar"} and name not in LOCAL]
)
@pytest.mark.parametrize("f", [1, 2])
def test_below_its_breakdown_point_a_rule_refuses_with_the_bound(name, f):
    least = least_members(name, f)
    enough = drawn(14, least, 3)
    lookup(name, f)(enough, even(enough), Standpoint(own=0))
    with pytest.raises(PlanError, match=f"f={f}, n="):
        lookup(name, f)(enough[1:], even(enough[1:]), Standpoint(own=0))


def test_no_liars_leave_an_average_where_the_rule_is_one():
    vectors = drawn(15, 6, 10)
    for name in ("multi-krum", "faba", "ios", "self-centred-clipping", "clipped-sum", "trimmed-mean", "nnm+faba"):
        np.testing.assert_allclose(
            lookup(name)(vectors, even(vectors), Standpoint(own=0)), np.mean(vectors, axis=0), atol=1e-6
        )


def test_weights_of_neighbours_count_in_gossip_rules():
    vectors = drawn(16, 4, 5)
    weights = [0.4, 0.3, 0.2, 0.1]
    for name in ("ios", "self-centred-clipping", "clipped-sum"):
        result = lookup(name)(vectors, weights, Standpoint(own=0))
        np.testing.assert_allclose(result, np.average(vectors, axis=0, weights=weights), atol=1e-6)


def test_ios_never_leaves_oneself_out():
    vectors = [np.full(3, 50.0, np.float32), *drawn(17, 6, 3)]
    result = lookup("ios", 2)(vectors, even(vectors), Standpoint(own=0))
    np.testing.assert_allclose(result, rule_oracles.ios(vectors, even(vectors), 2, 0), atol=1e-5)
    assert result[0] > 5


def test_balance_accepts_less_as_the_run_goes_on():
    mine = np.full(100, 1.0, np.float32)  # of length 10
    other = mine.copy()
    other[0] += 2  # within 0.3 · 10, but not within 0.3 · 10 / e
    rule = lookup("balance", 1)
    assert rule([mine, other], [0.5, 0.5], Standpoint(own=0, progress=0.0))[0] == pytest.approx(2.0)
    assert rule([mine, other], [0.5, 0.5], Standpoint(own=0, progress=1.0))[0] == pytest.approx(1.0)


def test_ubar_takes_the_near_ones_that_do_no_worse_here():
    mine, good, bad, far = (np.full(2, value, np.float32) for value in (1.0, 0.5, 1.2, 9.0))
    rule = lookup("ubar", 1)
    loss = lambda vector: float(abs(vector[0]))  # noqa: E731
    result = rule([mine, good, bad, far], [0.25] * 4, Standpoint(own=0, loss=loss))
    np.testing.assert_allclose(result, np.full(2, 0.5 * 1.0 + 0.5 * 0.5))
    with pytest.raises(PlanError, match="own rows"):
        rule([mine, good], [0.5, 0.5], Standpoint(own=0))


def test_ubar_goes_with_the_best_neighbour_where_all_do_worse_and_is_not_fooled_by_nan():
    mine, worse, worst = (np.full(2, value, np.float32) for value in (1.0, 1.1, 1.2))
    losses = {1.0: 0.1, 1.1: 0.5, 1.2: float("nan")}
    loss = lambda vector: losses[round(float(vector[0]), 1)]  # noqa: E731
    result = lookup("ubar", 0)([mine, worse, worst], [1 / 3] * 3, Standpoint(own=0, loss=loss))
    np.testing.assert_allclose(result, np.full(2, 1.05), atol=1e-6)


def test_distances_are_those_of_the_vectors():
    vectors = drawn(18, 5, 20_000)
    expected = [[rule_oracles.distance(a, b) ** 2 for b in vectors] for a in vectors]
    np.testing.assert_allclose(squared_distances(vectors), expected, rtol=1e-10, atol=1e-9)


def test_distances_between_models_far_from_zero_keep_their_digits():
    base = np.full(1000, 1000.0, np.float32)
    other = base.copy()
    other[0] += np.float32(0.0625)
    assert squared_distances([base, other])[0, 1] == 0.0625**2


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_mixed_company_has_the_distances_of_the_mixed_vectors(seed):
    vectors = drawn(seed, 6, 9)
    rows = np.random.default_rng(seed).dirichlet(np.ones(6), size=4)
    mixed = Company.of(vectors, even(vectors), 1).mixed(rows)
    np.testing.assert_allclose(mixed.squared, squared_distances(list(rows @ np.array(vectors, float))), atol=1e-9)


@pytest.mark.parametrize("name", DISTANCE_RULES)
@pytest.mark.parametrize("before", [None, *PRE_AGGREGATIONS])
def test_weights_from_distances_are_an_average(name, before):
    if before and name in LOCAL:
        pytest.skip("holds on to a vector that a mixture has not")
    company = Company.of(drawn(19, 9, 12), [1 / 9] * 9, 1, own=4)
    weights = DistanceAverage(DISTANCE_RULES[name], 1, PRE_AGGREGATIONS[before] if before else None).weights(company)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)


def test_equal_vectors_stay_what_they_are():
    vector = drawn(20, 1, 50)[0]
    for name in RULES:
        if name != "ubar":
            assert np.array_equal(lookup(name, 1)([vector] * 9, [1 / 9] * 9, Standpoint(own=0)), vector), name


def test_names_that_are_none_are_answered_with_near_ones():
    with pytest.raises(PlanError, match=r"did you mean .*nnm\+krum"):
        lookup("nmm+krum", 1)
    with pytest.raises(PlanError, match=r"f >= 0"):
        lookup("krum", -1)


def fading(scale, f=2):
    """What the liars at `scale` usual distances along the first axis move the mean by, and the usual distance."""
    honest = [*np.vstack([np.eye(6), -np.eye(6)]).astype(np.float32)]
    liars = [np.eye(6, dtype=np.float32)[0] * scale] * f
    vectors = honest + liars
    return float(lookup("fading-mean", f)(vectors, even(vectors), Standpoint(own=0))[0])


def test_who_is_within_reach_counts_whole_and_who_is_out_of_it_not_at_all():
    assert fading(1.2) == pytest.approx(2 * 1.2 / 14, abs=1e-3)
    assert 0 < fading(1.8) < 2 * 1.8 / 14
    assert fading(9) == pytest.approx(0, abs=1e-6)
    assert fading(1e6) == pytest.approx(0, abs=1e-6)


def test_nobody_fades_where_nobody_is_suspected():
    vectors = [*drawn(1, 8, 5), np.full(5, 1e3, dtype=np.float32)]
    np.testing.assert_allclose(
        lookup("fading-mean", 0)(vectors, even(vectors)), lookup("mean")(vectors, even(vectors)), rtol=1e-5
    )


def test_honest_vectors_that_are_all_unlike_are_all_kept():
    """Where each has what no other has, scissors cut it out, and the fading mean is the mean."""
    honest = [*(10 * np.eye(10, dtype=np.float32))]
    result = lookup("fading-mean", 3)(honest, even(honest), Standpoint(own=0))
    np.testing.assert_allclose(result, np.ones(10), rtol=1e-5)
    assert (lookup("ios", 3)(honest, even(honest), Standpoint(own=0)) == 0).sum() == 3
