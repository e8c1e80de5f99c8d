"""What colluders hold beyond a sum says nothing, for as many as are tolerated; with one more it says all."""

import numpy as np
import pytest

from consensus.private_messages import Item, Stage
from crypto.shamir import Packing
from tests.audit.channels import (
    VICTIM,
    Updates,
    ckks,
    from_shares,
    from_sum,
    masks,
    plain,
    shamir,
    sum_of_masks,
)
from tests.audit.statistics import auc, auc_deviation
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX

SIZE = 2000
EIGHT = Packing(8, 2, 3, 1, 1)


def chance(pair):
    present, missing = pair
    return abs(auc(present, missing) - 0.5) < 4 * auc_deviation(present.size, missing.size)


@pytest.fixture(scope="module")
def updates():
    return Updates(6, SIZE, 1)


def test_a_neighbour_reads_what_is_sent_in_the_open(updates):
    assert auc(*plain(updates)) == 1.0


# --- shares ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("packing", "colluders"), [(SIX, (0,)), (SIX, (5,)), (EIGHT, (0, 1)), (EIGHT, (3, 7))])
def test_shares_of_as_many_as_are_tolerated_are_chance_and_of_one_more_are_certainty(packing, colluders):
    updates = Updates(packing.members, SIZE, 2)
    view = shamir(updates, packing, colluders)
    assert len(view.shares(VICTIM)) == packing.tolerated
    assert chance(from_shares(updates, view))
    more = shamir(updates, packing, (*colluders, 4))
    assert auc(*from_shares(updates, more)) == 1.0


def test_a_sum_without_noise_hides_nothing_from_who_knows_the_rest_of_it(updates):
    """Why noise is needed beside sharing."""
    assert auc(*from_sum(updates, shamir(updates, SIX, (0,)))) == 1.0


def test_who_deals_and_vanishes_is_in_no_sum_and_its_shares_are_chance(updates):
    def after_dealing(message):
        return isinstance(message, Item) and message.stage >= Stage.NONCE_1

    view = shamir(updates, SIX, (0,), crash={VICTIM: after_dealing})
    assert VICTIM not in view.accepted
    assert len(view.shares(VICTIM)) == 1
    assert chance(from_shares(updates, view))
    missed = view.honest_sum() / 1024 + updates.vectors[VICTIM]
    assert np.allclose(updates.but_the_victim(missed, (0,)), updates.vectors[VICTIM])


def test_an_update_that_is_dealt_twice_is_dealt_anew(updates):
    """Colluders keep their shares of a dealer who was absent at the end, and get others when it tries again."""
    first, again = (shamir(updates, SIX, (0,), seed=seed).shares(VICTIM) for seed in (1, 2))
    view = shamir(updates, SIX, (0,))
    assert not np.array_equal(first[0], again[0])
    assert chance(from_shares(updates, view, {0: first[0], 1: again[0]}))


# --- disputes -------------------------------------------------------------------------------------------------------

LIAR = 4
COMPLAINTS = [lambda m: liars.complaining(m, [VICTIM], 2), lambda m: liars.lying_scalars(m, [VICTIM])]
COMPLAINT_NAMES = ["a complaint about a box", "wrong scalars"]


@pytest.mark.parametrize("lie", COMPLAINTS, ids=COMPLAINT_NAMES)
def test_what_a_dispute_publishes_of_an_honest_dealer_is_what_the_liar_had(updates, lie):
    view = shamir(updates, SIX, (LIAR,), liars={LIAR: lie})
    assert view.published(VICTIM).keys() == {LIAR} == view.shares(VICTIM).keys()
    assert VICTIM in view.accepted
    assert chance(from_shares(updates, view))


@pytest.mark.parametrize("lie", COMPLAINTS, ids=COMPLAINT_NAMES)
def test_a_liar_counts_among_those_who_are_tolerated(updates, lie):
    """Its share is public after a dispute: t others with it are one more than t."""
    view = shamir(updates, SIX, (0,), liars={LIAR: lie})
    assert view.shares(VICTIM).keys() == {0, LIAR}
    assert auc(*from_shares(updates, view)) == 1.0


def test_a_complaint_that_a_box_did_not_come_publishes_no_key(updates):
    view = shamir(updates, SIX, (0,), liars={LIAR: lambda m: liars.complaining(m, [VICTIM], 1)})
    assert view.items(Stage.SUPPLY)
    assert view.published(VICTIM) == {}


@pytest.mark.parametrize("stage", [Stage.COMMIT, Stage.PROVE, Stage.SCALARS])
def test_a_member_that_says_two_things_gets_no_second_sum_to_subtract(updates, stage):
    view = shamir(updates, SIX, (0, LIAR), liars={LIAR: lambda m: liars.equivocating(m, stage)})
    openings = view.openings()
    assert len({author for author, _ in openings}) >= 4
    assert all(len(said) == 1 for said in openings.values())


# --- masks and ciphertexts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerated", [1, 2])
def test_masked_words_less_all_masks_that_colluders_know_are_chance(updates, tolerated):
    pair, view = masks(updates, tolerated, (0, 5)[:tolerated])
    assert len(view.outcome.accepted) == 6
    assert chance(pair)
    assert auc(*sum_of_masks(updates, view)) == 1.0


def test_masked_words_of_who_was_not_counted_are_chance(updates):
    pair, view = masks(updates, 1, (0,), dies=True)
    assert len(view.outcome.accepted) == 5
    assert chance(pair)


def test_with_every_mask_known_the_words_are_bare(updates):
    assert auc(*masks(updates, 1, (0, 1, 3, 4, 5))[0]) == 1.0


def test_a_relay_cannot_read_and_a_keeper_reads_the_sum_and_together_they_read_each(updates):
    relays, _ = ckks(updates, lambda keeper, relay: [relay])
    assert chance(relays["ciphertext"])
    keepers, _ = ckks(updates, lambda keeper, relay: [keeper])
    assert "ciphertext" not in keepers
    assert auc(*keepers["sum"]) == 1.0
    both, _ = ckks(updates, lambda keeper, relay: [keeper, relay])
    assert auc(*both["ciphertext"]) == 1.0
