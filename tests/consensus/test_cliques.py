import itertools

import networkx as nx
import numpy as np
import pytest

from consensus.adjacency import Adjacency
from consensus.cliques import clique_cover
from consensus.committee import plan
from consensus.mixing import metropolis_hastings

D_CLIQUES = [(4 * c + i, 4 * c + j) for c in range(4) for i, j in itertools.combinations(range(4), 2)] + [
    (4 * c + d - 1, 4 * d + c) for c, d in itertools.combinations(range(4), 2)
]


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


def test_a_closing_phase_gives_the_members_of_a_clique_one_vector():
    within, between, closing = plan("cliques", 16, D_CLIQUES, seed=1, shared=True).phases(0)
    assert np.array_equal(within, closing)
    y = closing @ between @ within @ np.random.default_rng(1).standard_normal(16)
    assert np.allclose(y.reshape(4, 4), y.reshape(4, 4)[:, :1], atol=1e-14)
    apart = [(i, j) for i, j in D_CLIQUES if i // 4 == j // 4]
    assert len(plan("cliques", 16, apart, seed=1, shared=True).phases(0)) == 1  # the first phase did that already
