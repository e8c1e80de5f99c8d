"""ε as an attacker measures it in rounds of the real code lies below the claim; what breaks the claim is caught."""

import numpy as np
import pytest

from crypto.shamir import Packing
from tests.audit.games import DELTA, Cheat, Claim, distributed, local
from tests.audit.statistics import Rates, tail_threshold
from tests.consensus.private_cell import SIX

COUNT = 4000
ONE = Claim(4.0)
LOOSE = Claim(8.0)
THRICE = Claim(4.0, rounds=3)
COLLUDER, GONE = (0,), (3, 4)
"""f + e members whom a round goes on without: it cannot tell a silent liar from an absentee."""


def rates(pairs, threshold=0.5):
    present, missing = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return Rates.of(present, missing, threshold)


def in_a_cell(claim=ONE, games=1, packing=SIX, colluders=COLLUDER, absent=GONE, **others):
    return [distributed(claim, packing, COUNT, s, colluders=colluders, absent=absent, **others) for s in range(games)]


def assert_within(claim, found):
    """Below the claim, and not because the attack is none."""
    assert 0.6 * claim.accounted < found.gaussian_epsilon(DELTA) < claim.accounted
    assert 0.75 * claim.mu < found.mu() < claim.mu


def assert_caught(claim, found):
    assert found.gaussian_epsilon(DELTA) > claim.accounted


@pytest.mark.parametrize(("claim", "games"), [(ONE, 2), (THRICE, 1)], ids=["one round", "three rounds"])
def test_distributed_noise_keeps_its_claim_when_as_many_collude_and_are_gone_as_may(claim, games):
    assert_within(claim, rates(in_a_cell(claim, games)))


def test_distributed_noise_keeps_its_claim_by_error_rates_alone():
    """No Gaussian is assumed: (ε, δ) as it is defined."""
    found = rates(in_a_cell(LOOSE, games=3), tail_threshold(LOOSE.mu, 3 * COUNT // 2, DELTA))
    assert 0.4 * LOOSE.accounted < found.epsilon(DELTA) < LOOSE.accounted


def test_more_noise_than_claimed_is_in_a_sum_that_all_joined():
    assert rates(in_a_cell(absent=())).gaussian_epsilon(DELTA) < 0.9 * ONE.accounted


def test_a_larger_cell_keeps_its_claim():
    packing = Packing(8, 2, 3, 1, 1)
    assert_within(ONE, rates(in_a_cell(packing=packing, colluders=(0, 5))))


@pytest.mark.parametrize("claim", [ONE, THRICE], ids=["one step", "three steps"])
def test_local_noise_keeps_its_claim(claim):
    assert_within(claim, rates([local(claim, COUNT, seed) for seed in range(2)]))


def test_sampled_steps_keep_their_claim():
    """Half of the records take part; which, nobody knows."""
    claim = Claim(4.0, sampling=0.5)
    pairs = [local(claim, COUNT, seed) for seed in range(3)]
    found = rates(pairs, 3.0)
    assert 0.2 * claim.accounted < found.epsilon(DELTA) < claim.accounted


# --- broken promises ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cheat", "games"),
    [(Cheat(deviation=0.5), 1), (Cheat(silent=frozenset({2})), 2)],
    ids=["half the deviation", "a share of noise is missing"],
)
def test_less_noise_than_claimed_is_caught(cheat, games):
    assert_caught(ONE, rates(in_a_cell(games=games, cheat=cheat)))


def test_one_colluder_more_than_claimed_is_caught():
    assert_caught(ONE, rates(in_a_cell(games=2, colluders=(0, 1))))


def test_noise_that_repeats_is_caught():
    found = rates(in_a_cell(cheat=Cheat(same_seed=True), before=1, subtract=True))
    assert found.gaussian_epsilon(DELTA) > 5 * ONE.accounted


def test_half_the_local_noise_is_caught():
    assert_caught(ONE, rates([local(ONE, COUNT, 0, cheat=Cheat(deviation=0.5))]))


def test_noise_for_more_members_than_a_round_needs_is_caught():
    """m − t − f shares would be too many: a round opens without f absentees and e silent liars."""
    claimed = SIX.members - SIX.tolerated - SIX.absentees
    assert_caught(ONE, rates(in_a_cell(games=3, shares=claimed)))
