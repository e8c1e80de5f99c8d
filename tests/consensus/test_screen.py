"""SCREEN in private cells: weights from noised distances, one weighted opening, liars about distances."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.company import Company
from consensus.errors import PlanError
from consensus.private_messages import Item, Portion, Stage
from consensus.private_round import PrivateRound
from consensus.rules import lookup
from consensus.screen import WHOLE, Screen, whole_weights
from crypto.blur import Blur
from crypto.distances import unit
from crypto.field import PRIME
from crypto.fixedpoint import FixedPoint
from crypto.norm_proof import ProofParameters
from crypto.shamir import Packing
from tests.consensus.private_cell import SIZE, Cell, terms_of
from tests.consensus.private_liars import own_items_too

SEVEN = Packing(7, 1, 2, 1, 1)
HONEST = 3
"""h: the sum is of four members or more, so that three of seven may be left out."""


def screened(packing=SEVEN, *, noise=0.02, byzantine=1, size=SIZE, **others):
    plain = ProofParameters(packing, clip=128_000, bound_bits=20, shift=9)
    proof = ProofParameters(
        packing, clip=128_000, bound_bits=20, shift=9, blur=Blur.of(packing.members, noise * unit(plain), HONEST)
    )
    fixed = FixedPoint(scale=proof.honest_norm, clip=1.0, members=WHOLE)
    screen = Screen(byzantine=byzantine, noise=noise)
    return terms_of(packing, size=size, screen=screen, proof=proof, fixed=fixed, least_honest=HONEST, **others)


def alike(updates):
    """A cell whose members bring these updates."""

    def build(index, arguments):
        return PrivateRound(**{**arguments, "update": updates[index]})

    return build


def clustered(outliers, members=7, size=SIZE):
    """Updates that lie close together, but for the outliers, which agree to go the other way."""
    rng = np.random.default_rng(4)
    centre = rng.standard_normal(size)
    made = []
    for index in range(members):
        vector = -centre if index in outliers else centre + 0.3 * rng.standard_normal(size)
        made.append((0.9 * vector / np.linalg.norm(vector)).astype(np.float32))
    return made


def weighted_mean(run, outcome):
    """From the plain integers, by Python."""
    total = [0] * run.terms.size
    for peer, weight in zip(outcome.accepted, outcome.weights, strict=True):
        total = [a + weight * int(b) for a, b in zip(total, run.members[run.index[peer]].lattice, strict=True)]
    return np.array([one / (run.terms.fixed.scale * sum(outcome.weights)) for one in total], dtype=np.float32)


def checked(run, but=()):
    """All honest members have one mean, of one set of weights, and it is that of the plain integers."""
    outcomes = run.outcomes(but)
    assert len({(outcome.accepted, outcome.weights) for outcome in outcomes}) == 1
    for outcome in outcomes:
        assert outcome.mean is not None, outcome.void
        np.testing.assert_allclose(outcome.mean, weighted_mean(run, outcome), rtol=1e-6)
    assert len({outcome.mean.tobytes() for outcome in outcomes}) == 1
    return outcomes[0]


def one_opening(run):
    """What each member signed over the sum is about one context."""
    contexts = {member.round._opening._notary.context for member in run.members if member.round._opening is not None}
    assert len(contexts) == 1


@pytest.mark.parametrize("direct", [0, 1 << 20])
def test_outliers_weigh_nothing_and_the_weighted_sum_is_exact(direct):
    outliers = (2,)
    run = Cell(screened(direct_bytes=direct), build=alike(clustered(outliers))).run()
    outcome = checked(run)
    assert run.terms.cell[2] not in outcome.accepted
    assert sum(outcome.weights) == run.terms.whole_weight
    one_opening(run)


def test_the_weights_are_those_of_a_plain_computation_where_distances_are_clear():
    """Far more than the noise apart: exact distances of what was dealt give the same weights, but for roundings."""
    run = Cell(screened(noise=1e-4, byzantine=2), build=alike(clustered((1, 5)))).run()
    outcome = checked(run)
    vectors = [member.lattice.astype(np.float64) for member in run.members]
    squared = np.array([[((a - b) ** 2).sum() for a in vectors] for b in vectors])
    expected = lookup("nnm+geometric-median", 2).weights(Company(squared, np.full(7, 1 / 7), 2))
    chosen = np.zeros(7)
    for peer, weight in zip(outcome.accepted, outcome.weights, strict=True):
        chosen[run.index[peer]] = weight / sum(outcome.weights)
    assert np.abs(chosen - expected).max() < 0.02
    assert set(np.flatnonzero(chosen)) == {0, 2, 3, 4, 6}


def lying_distances(member, by=1, places=None):
    """Publishes shares of distances that are off."""

    def tamper(message, _receiver):
        if message.stage != Stage.DISTANCES:
            return message
        words = np.frombuffer(message.body, "<u4").astype(np.uint64)
        chosen = slice(None) if places is None else list(places)
        words[chosen] = (words[chosen] + by) % PRIME
        return member.round._notary.item(Stage.DISTANCES, words.astype("<u4").tobytes())

    return own_items_too(member, Stage.DISTANCES, tamper)


@pytest.mark.parametrize("places", [None, (0,), (20,)])
def test_a_liar_about_distances_is_named_by_all_and_changes_no_weight(places):
    updates = clustered((2,))
    honest = checked(Cell(screened(), build=alike(updates)).run())
    run = Cell(screened(), build=alike(updates))
    run.members[4].tamper = lying_distances(run.members[4], places=places)
    outcome = checked(run.run(), but=(4,))
    assert (outcome.accepted, outcome.weights) == (honest.accepted, honest.weights)
    assert all(named == {4} for named in run.named(but=(4,)))
    culprit = outcome.culprits[0]
    assert culprit.reason == "signed wrong shares of the distances"
    assert culprit.proof
    assert not culprit.proved


def test_more_liars_than_are_tolerated_open_no_sum_that_they_skewed():
    updates = clustered((2,))
    honest = checked(Cell(screened(), build=alike(updates)).run())
    run = Cell(screened(), build=alike(updates))
    for liar in (3, 4):
        run.members[liar].tamper = lying_distances(run.members[liar], by=liar * 1_000_003)
    run.run()
    for outcome in run.outcomes(but=(3, 4)):
        if outcome.mean is None:
            assert "distances" in outcome.void
            assert outcome.exposed
        else:
            assert outcome.weights == honest.weights


@pytest.mark.parametrize("silent", [0, 6])
def test_a_member_that_is_gone_when_distances_are_opened_still_counts(silent):
    updates = clustered((2,))
    honest = checked(Cell(screened(), build=alike(updates)).run())
    run = Cell(screened(), build=alike(updates))
    run.members[silent].dead = lambda message: isinstance(message, Item) and message.stage == Stage.DISTANCES
    outcome = checked(run.run(), but=(silent,))
    assert (outcome.accepted, outcome.weights) == (honest.accepted, honest.weights)


def test_a_liar_that_tells_everybody_other_shares_changes_nothing():
    updates = clustered((2,))
    run = Cell(screened(), build=alike(updates))
    liar = run.members[4]

    def tamper(message, receiver):
        if isinstance(message, Item) and message.stage == Stage.DISTANCES and message.author == 4:
            words = np.frombuffer(message.body, "<u4").astype(np.uint64)
            return liar.round._notary.item(Stage.DISTANCES, ((words + receiver) % PRIME).astype("<u4").tobytes())
        return message

    liar.tamper = tamper
    outcome = checked(run.run(), but=(4,))
    assert run.terms.cell[2] not in outcome.accepted
    one_opening(run)


def test_shares_of_another_form_are_no_part_of_a_bundle():
    run = Cell(screened(), build=alike(clustered((2,))))
    liar = run.members[4]

    def tamper(message, _receiver):
        if message.stage != Stage.DISTANCES:
            return message
        return liar.round._notary.item(Stage.DISTANCES, np.full(21, PRIME, "<u4").tobytes())

    liar.tamper = own_items_too(liar, Stage.DISTANCES, tamper)
    outcome = checked(run.run(), but=(4,))
    assert run.terms.cell[2] not in outcome.accepted


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_loses_and_reorders_changes_no_weight(seed):
    updates = clustered((2,))
    terms = screened()
    calm = checked(Cell(terms, build=alike(updates), seed=seed).run())
    rough = checked(Cell(terms, build=alike(updates), seed=seed, loss=0.05, repeat=0.1, reorder=True).run())
    assert rough.weights == calm.weights
    assert rough.accepted == calm.accepted


def test_without_a_screen_nothing_about_distances_is_said():
    run = Cell(terms_of(SEVEN))
    seen = []
    for member in run.members:
        member.tamper = lambda message, _receiver: seen.append(getattr(message, "stage", None)) or message
    for outcome in run.run().outcomes():
        assert outcome.weights == ()
        assert len(outcome.accepted) == 7
    assert Stage.DISTANCES not in seen
    assert Stage.SCALARS in seen


def test_no_part_of_a_sum_travels_before_the_weights_are_decided():
    run = Cell(screened(), build=alike(clustered((2,))))
    for member in run.members:

        def tamper(message, _receiver, member=member):
            if isinstance(message, Portion):
                assert member.round._agreements[Stage.DISTANCES].decided is not None
            return message

        member.tamper = tamper
    checked(run.run())


# --- weights ----------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=20).filter(lambda weights: sum(weights) > 1e-3),
    st.integers(1, 4),
)
def test_whole_weights_have_their_sum_and_no_weight_stands_out(weights, least):
    given_ = np.array(weights) / sum(weights)
    whole = whole_weights(given_, least)
    most = WHOLE // least
    assert sum(whole) == least * most
    assert max(whole) <= most
    assert min(whole) >= 0
    assert sum(weight > 0 for weight in whole) >= least
    if given_.max() < 1 / least - 1e-9:
        assert np.abs(np.array(whole) / sum(whole) - given_).max() <= 1 / sum(whole) + 1e-9


def test_one_favourite_is_not_singled_out():
    """Krum would open one update."""
    assert whole_weights(np.array([0.0, 1.0, 0.0, 0.0]), 2) == [40, 120, 40, 40]
    assert whole_weights(np.array([0.0, 0.9, 0.1, 0.0]), 2) == [0, 120, 120, 0]
    assert whole_weights(np.full(7, 1 / 7), 6) == [35, 35, 34, 34, 34, 34, 34]


def test_fewer_accepted_than_the_rule_would_like_lower_its_f():
    screen = Screen(byzantine=3)
    squared = np.array([100 if 2 in pair else 1 for pair in combinations(range(4), 2)], dtype=np.int32)
    assert screen.weights((0, 1, 2, 5), squared, 3) == {0: 80, 1: 80, 2: 0, 5: 80}


@pytest.mark.parametrize("rule", ["mean", "median", "nnm+trimmed-mean", "balance", "self-centred-clipping"])
def test_rules_that_need_more_than_distances_are_refused(rule):
    with pytest.raises(PlanError, match="distances and nothing else"):
        Screen(rule, 1)


@pytest.mark.parametrize("noise", [0.0, -1.0, float("nan"), float("inf")])
def test_distances_are_never_opened_bare(noise):
    with pytest.raises(PlanError, match="with noise only"):
        Screen(noise=noise)


def test_a_cell_in_which_a_lie_could_not_be_located_is_refused():
    with pytest.raises(PlanError, match="2t \\+ 1 \\+ 2e"):
        screened(Packing(7, 2, 1, 1, 1))


def test_a_rule_that_fewer_updates_could_not_feed_is_refused():
    with pytest.raises(PlanError, match="needs 7 updates"):
        screened(byzantine=3, packing=Packing(7, 1, 2, 1, 1))
