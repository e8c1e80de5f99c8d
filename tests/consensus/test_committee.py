import itertools

import numpy as np
import pytest

from consensus.cliques import Cliques
from consensus.committee import plan
from consensus.errors import PlanError
from consensus.mixing import metropolis_hastings

D_CLIQUES = [(4 * c + i, 4 * c + j) for c in range(4) for i, j in itertools.combinations(range(4), 2)] + [
    (4 * c + d - 1, 4 * d + c) for c, d in itertools.combinations(range(4), 2)
]
RING = [(i, (i + 1) % 16) for i in range(16)]


@pytest.mark.parametrize("kind", ["neighbourhood", "cliques", "stars", "grid"])
@pytest.mark.parametrize("edges", [RING, D_CLIQUES], ids=["ring", "d-cliques"])
def test_every_phase_is_doubly_stochastic_and_symmetric(kind, edges):
    for W in plan(kind, 16, edges, seed=3, size={"grid": 4, "stars": 3}.get(kind)).phases(7):
        assert np.allclose(W.sum(axis=1), 1, atol=1e-12)
        assert np.allclose(W, W.T, atol=1e-15)
        assert (W >= 0).all()
        assert (W.diagonal() > 0).all()


def test_a_neighbourhood_is_metropolis_hastings():
    (W,) = plan("neighbourhood", 16, D_CLIQUES, seed=1).phases(0)
    assert np.allclose(W, metropolis_hastings(16, D_CLIQUES), atol=1e-15)


def test_a_committee_is_everybody_a_member_hears_in_a_round():
    assert plan("neighbourhood", 16, RING, seed=1).committee_of(0, 0) == {1, 15}
    assert plan("cliques", 16, D_CLIQUES, seed=1).committee_of(4, 0) == {0, 5, 6, 7}
    assert len(plan("grid", 27, [], seed=1, size=3).committee_of(5, 0)) == 6


def test_4096_nodes_cost_what_their_edges_cost():
    ring = [(i, (i + 1) % 4096) for i in range(4096)]
    assert plan("neighbourhood", 4096, ring, seed=1).phases_of(0, 0)[0].keys() == {0, 1, 4095}
    cliques = plan("cliques", 4096, ring, seed=1)
    assert isinstance(cliques, Cliques)
    assert len(cliques.cover) == 2048
    phases = plan("grid", 4096, ring, seed=1, size=8).phases_of(4095, 3)
    assert [len(weights) for weights in phases] == [8, 8, 8, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clique", 4, [], 1), "did you mean cliques"),
        (("star", 4, [], 1), "did you mean stars"),
        (("kites", 4, [], 1), "cliques or grid or neighbourhood or stars"),
        (("grid", 12, [], 1, 8), r"grid needs n = size\*\*r: n=12, size=8; the nearest n are 8 and 64"),
        (("grid", 1, [], 1, 2), r"grid needs n = size\*\*r"),
        (("grid", 4, [], 1, 1), "size >= 2"),
        (("grid", 4, [], 1), "needs a size"),
        (("cliques", 4, [], 1, 2), "size belongs to a grid or to stars"),
        (("grid", 4, [], 1, 2, 0), "epoch_rounds >= 1"),
    ],
)
def test_a_plan_that_cannot_be_states_why(arguments, message):
    with pytest.raises(PlanError, match=message):
        plan(*arguments)


def test_members_and_rounds_are_in_range():
    ring = plan("neighbourhood", 16, RING, seed=1)
    with pytest.raises(IndexError, match="member -1"):
        ring.phases_of(-1, 0)
    with pytest.raises(ValueError, match="rounds count from 0"):
        ring.phases_of(0, -1)


def test_plans_that_are_not_drawn_take_no_notice_of_seeds():
    for kind in ("neighbourhood", "cliques"):
        ring = plan(kind, 16, RING, seed=1)
        assert not ring.drawn
        assert ring.with_seed(1, b"s" * 32, 16).cells(40) == ring.cells(40)
        assert ring.company_of(0) == {1, 15}
