"""Sums are subtracted from each other: over neighbourhoods, cells, rounds, and with members absent."""

import numpy as np

from consensus.committee import plan
from tests.audit.channels import VICTIM, Updates, shamir
from tests.audit.differencing import isolated, recipe, sums_seen
from tests.audit.games import DELTA, Claim, distributed
from tests.audit.statistics import Rates, auc
from tests.consensus.private_cell import SIX

NODES, DEGREE, COLLUDERS = 64, 8, 5
LATTICE = [(i, (i + step) % NODES) for i in range(NODES) for step in range(1, DEGREE // 2 + 1)]
"""A ring in which each knows the four next on either side."""
DRAWS = [set(np.random.default_rng(draw).choice(NODES, COLLUDERS, replace=False).tolist()) for draw in range(50)]


def given_away(committees, colluders, rounds=(0,)):
    return isolated(sums_seen(committees, NODES, colluders, rounds), colluders)


def cells():
    return plan("grid", NODES, [], 1, size=8, epoch_rounds=1)


def test_sums_of_neighbourhoods_that_overlap_give_members_away():
    """Why sharing refuses them: a few colluders anywhere subtract, and one member in full is what is left."""
    committees = plan("neighbourhood", NODES, LATTICE, 1)
    broken = [colluders for colluders in DRAWS if given_away(committees, colluders)]
    assert broken
    colluders = broken[0]
    victim = min(given_away(committees, colluders))
    updates = np.random.default_rng(1).normal(size=(NODES, 50))
    rows = sums_seen(committees, NODES, colluders, [0])
    own = np.array([updates[member] * (member in colluders) for member in range(NODES)])
    seen = rows @ updates - rows @ own
    assert np.allclose(recipe(rows, victim, colluders) @ seen, updates[victim])


def test_disjoint_cells_give_nobody_away():
    assert not any(given_away(cells(), colluders) for colluders in DRAWS)


def test_updates_that_never_change_are_given_away_over_rounds():
    """Cells are drawn anew and sums add up: what repeats is safe by noise alone, and that is accounted for."""
    assert not given_away(cells(), DRAWS[0], range(4))
    assert given_away(cells(), DRAWS[0], range(30)) == set(range(NODES)) - DRAWS[0]


def test_who_is_absent_once_is_given_away_by_the_difference_unless_there_is_noise():
    updates = Updates(6, 500, 3)
    with_it = shamir(updates, SIX, (0,), seed=1).honest_sum()
    without = shamir(updates, SIX, (0,), seed=2, absent=(VICTIM,)).honest_sum()
    assert np.array_equal((with_it - without) / 1024, updates.vectors[VICTIM])


def test_with_noise_a_difference_says_less_than_the_sum():
    claim, count = Claim(4.0), 4000
    arguments = {"colluders": (0,), "absent": (3, 4)}
    sum_alone = auc(*distributed(claim, SIX, count, 1, **arguments))
    present, missing = distributed(claim, SIX, count, 1, before=1, subtract=True, **arguments)
    assert auc(present, missing) < sum_alone
    assert 0 < Rates.of(present, missing, 0.5).gaussian_epsilon(DELTA) < claim.accounted
