import hashlib
import itertools

import networkx as nx
import numpy as np
import pytest

from consensus.adjacency import Adjacency
from consensus.committee import Cliques, clique_cover, permutation, plan
from consensus.errors import PlanError
from consensus.mixing import compose, metropolis_hastings

D_CLIQUES = [(4 * c + i, 4 * c + j) for c in range(4) for i, j in itertools.combinations(range(4), 2)] + [
    (4 * c + d - 1, 4 * d + c) for c, d in itertools.combinations(range(4), 2)
]
RING = [(i, (i + 1) % 16) for i in range(16)]


@pytest.mark.parametrize("kind", ["neighbourhood", "cliques", "grid"])
@pytest.mark.parametrize("edges", [RING, D_CLIQUES, []], ids=["ring", "d-cliques", "none"])
def test_every_phase_is_doubly_stochastic_and_symmetric(kind, edges):
    for W in plan(kind, 16, edges, seed=3, size=4 if kind == "grid" else None).phases(7):
        assert np.allclose(W.sum(axis=1), 1, atol=1e-12)
        assert np.allclose(W, W.T, atol=1e-15)
        assert (W >= 0).all()
        assert (W.diagonal() > 0).all()


def test_a_neighbourhood_is_metropolis_hastings():
    (W,) = plan("neighbourhood", 16, D_CLIQUES, seed=1).phases(0)
    assert np.allclose(W, metropolis_hastings(16, D_CLIQUES), atol=1e-15)


# --- cliques ----------------------------------------------------------------------------------------------------------


def test_d_cliques_are_found():
    assert clique_cover(Adjacency(16, D_CLIQUES)) == tuple(tuple(range(4 * c, 4 * c + 4)) for c in range(4))


def test_cliques_average_within_then_between():
    within, between = plan("cliques", 16, D_CLIQUES, seed=1).phases(0)
    assert np.allclose(within, np.kron(np.eye(4), np.full((4, 4), 0.25)), atol=1e-15)
    bridges = [(i, j) for i, j in D_CLIQUES if i // 4 != j // 4]
    assert np.allclose(between, metropolis_hastings(16, bridges), atol=1e-15)
    assert plan("cliques", 16, D_CLIQUES, seed=1).phases_of(3, 0)[1] == {3: 1.0}  # no bridge ends at node 3


def test_cliques_without_bridges_have_one_phase():
    apart = [(i, j) for i, j in D_CLIQUES if i // 4 == j // 4]
    assert len(plan("cliques", 16, apart, seed=1).phases(0)) == 1


def test_a_complete_graph_is_one_clique_and_its_weights_are_the_same_bits_for_all():
    (W,) = plan("cliques", 7, list(itertools.combinations(range(7), 2)), seed=1).phases(0)
    assert set(W.ravel().tolist()) == {1 / 7}


def test_a_path_is_covered_in_pairs():
    assert clique_cover(Adjacency(6, [(i, i + 1) for i in range(5)])) == ((0, 1), (2, 3), (4, 5))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_a_cover_is_disjoint_complete_and_cannot_be_merged(seed, density):
    graph = nx.gnp_random_graph(24, density, seed=seed)
    cover = clique_cover(Adjacency(24, list(graph.edges)))
    assert sorted(itertools.chain.from_iterable(cover)) == list(range(24))
    for clique in cover:
        assert all(graph.has_edge(i, j) for i, j in itertools.combinations(clique, 2))
    for one, other in itertools.permutations(cover, 2):
        assert not all(graph.has_edge(i, j) for i in one for j in other)


def test_a_cover_does_not_hang_on_the_order_of_the_edges():
    edges = list(nx.gnp_random_graph(24, 0.5, seed=1).edges)
    assert clique_cover(Adjacency(24, edges)) == clique_cover(Adjacency(24, [(j, i) for i, j in reversed(edges)]))


# --- grid -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "size"), [(8, 2), (9, 3), (16, 4), (27, 3), (5, 5)])
def test_a_grid_reaches_the_exact_average(n, size):
    phases = plan("grid", n, [], seed=2, size=size).phases(0)
    assert size ** len(phases) == n
    assert np.allclose(compose(phases), 1 / n, atol=1e-14)


def test_cells_are_disjoint_and_two_nodes_share_one_at_most():
    grid = plan("grid", 27, [], seed=2, size=3)
    met = [frozenset(weights) for member in range(27) for weights in grid.phases_of(member, 0)]
    cells = set(met)
    assert all(met.count(cell) == 3 for cell in cells)
    assert all(len(one & other) <= 1 for one, other in itertools.combinations(cells, 2))


def test_an_epoch_moves_everybody():
    grid = plan("grid", 16, [], seed=2, size=4, epoch_rounds=5)
    same = [np.array_equal(grid.phases(0)[0], grid.phases(round_)[0]) for round_ in range(11)]
    assert same == [True] * 5 + [False] * 6
    assert not np.array_equal(grid.phases(0)[0], plan("grid", 16, [], seed=3, size=4).phases(0)[0])


def test_a_permutation_is_fisher_yates_on_sha256():
    """An independent, slow spelling: peers written by others must draw the same places."""
    label, n = "grid/7/3", 13
    stream = b"".join(hashlib.sha256(f"grapevine/{label}/{block}".encode()).digest() for block in range(20))
    words = iter(int.from_bytes(stream[i : i + 8], "big") for i in range(0, len(stream), 8))
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        chosen = next(words) % (last + 1)  # a rejected draw, odds 1e-18, does not occur here
        order[last], order[chosen] = order[chosen], order[last]
    assert permutation(n, label) == order
    assert sorted(order) == list(range(n))


def test_permutations_are_uniform():
    counts = {}
    for label in range(6000):
        drawn = tuple(permutation(3, str(label)))
        counts[drawn] = counts.get(drawn, 0) + 1
    assert len(counts) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # χ², 5 degrees of freedom, p = 0.001


# --- all --------------------------------------------------------------------------------------------------------------


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
        (("star", 4, [], 1), "cliques or grid or neighbourhood"),
        (("grid", 12, [], 1, 8), r"grid needs n = size\*\*r: n=12, size=8; the nearest n are 8 and 64"),
        (("grid", 1, [], 1, 2), r"grid needs n = size\*\*r"),
        (("grid", 4, [], 1, 1), "size >= 2"),
        (("grid", 4, [], 1), "needs a size"),
        (("cliques", 4, [], 1, 2), "size belongs to a grid"),
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
