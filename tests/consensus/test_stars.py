"""Stars on any connected graph: disjoint, of exact size, everybody in some star soon, the average of all in time."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.adjacency import Adjacency
from consensus.committee import plan
from consensus.draw import permutation
from consensus.errors import PlanError
from consensus.stars import Star, Stars

RING = [(i, (i + 1) % 8) for i in range(8)]


@st.composite
def connected(draw, least=3, most=24):
    """A random tree and some more edges, its nodes renamed."""
    n = draw(st.integers(least, most))
    names = draw(st.permutations(range(n)))
    edges = {tuple(sorted((names[i], names[draw(st.integers(0, i - 1))]))) for i in range(1, n)}
    more = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=2 * n))
    return n, sorted(edges | {(i, j) for i, j in more if i < j})


@given(connected(), st.integers(0, 2**40), st.integers(0, 1000))
def test_stars_are_disjoint_of_exact_size_and_around_their_centre(graph, seed, round_):
    n, edges = graph
    stars = plan("stars", n, edges, seed, size=3)
    adjacency = Adjacency(n, edges)
    found = {stars.star_of(member, round_) for member in range(n)} - {None}
    assert found  # some node has two neighbours and comes first
    members = [member for star in found for member in star.members]
    assert len(set(members)) == len(members)
    for star in found:
        assert len(star.members) == 3
        assert set(star.members) - {star.centre} <= set(adjacency.of(star.centre).tolist())
        for member in star.members:
            assert stars.cell_of(member, round_) == star.members
            assert stars.centre_of(member, round_) == star.centre
            assert set(star.members) - {member} <= stars.company_of(member)
    for member in set(range(n)) - set(members):
        assert stars.phases_of(member, round_) == ({member: 1.0},)
        assert stars.centre_of(member, round_) is None


@given(connected(), st.integers(0, 2**40))
@settings(max_examples=40)
def test_a_star_that_could_still_be_is_drawn(graph, seed):
    """Maximal: no node that is left over has two neighbours that are left over."""
    n, edges = graph
    stars = plan("stars", n, edges, seed, size=3)
    left = {member for member in range(n) if stars.star_of(member, 0) is None}
    assert all(len(left & set(Adjacency(n, edges).of(member).tolist())) < 2 for member in left)


@given(connected(most=16), st.integers(0, 2**40))
@settings(max_examples=40)
def test_everybody_is_in_some_star_before_long(graph, seed):
    """A node comes first, or a neighbour that may be a centre does and takes it: odds of at least 1 / n² a round."""
    n, edges = graph
    stars = plan("stars", n, edges, seed, size=3)
    waiting, rounds = set(range(n)), 20 * n * n
    for round_ in range(rounds):
        waiting -= {member for member in waiting if stars.star_of(member, round_)}
        if not waiting:
            return
    raise AssertionError(f"{waiting} sat out {rounds} rounds")


@given(connected(most=12), st.integers(0, 2**40))
@settings(max_examples=20)
def test_rounds_of_stars_come_to_the_average_of_all(graph, seed):
    n, edges = graph
    stars = plan("stars", n, edges, seed, size=3)
    x = np.arange(n, dtype=float)
    for round_ in range(200 * n):
        (W,) = stars.phases(round_)
        x = W @ x
        if np.ptp(x) < 1e-3:
            break
    assert np.allclose(x, (n - 1) / 2, atol=1e-3)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_larger_stars_on_a_torus(size):
    torus = nx.convert_node_labels_to_integers(nx.grid_2d_graph(5, 5, periodic=True))
    stars = plan("stars", 25, list(torus.edges), 3, size=size)
    met = {member: set() for member in range(25)}
    for round_ in range(60):
        for cell in stars.cells(round_):
            assert len(cell) in (1, size)
            for member in cell:
                met[member] |= set(cell) - {member}
    assert all(met[member] for member in met)
    assert all(met[member] <= stars.company_of(member) for member in met)
    if size == 2:
        assert all(stars.company_of(member) == set(torus[member]) for member in met)


def test_company_is_exactly_whom_some_draw_brings_together():
    edges = [(0, 1), (1, 2), (2, 3), (1, 4)]  # a path with a leaf: 0, 3 and 4 are never centres
    stars = plan("stars", 5, edges, 1, size=3)
    met = {member: set() for member in range(5)}
    for round_ in range(400):
        for cell in stars.cells(round_):
            for member in cell:
                met[member] |= set(cell) - {member}
    assert met == {member: set(stars.company_of(member)) for member in range(5)}
    assert met[3] == {1, 2}


def test_each_round_is_drawn_anew_and_from_the_seed():
    stars = plan("stars", 8, RING, 1, size=3)
    assert len({stars.cells(round_) for round_ in range(16)}) > 5
    learned = stars.with_seed(1, b"s" * 32, 16)
    assert [learned.cells(round_) == stars.cells(round_) for round_ in range(16)] == [True] * 16
    assert any(learned.cells(round_) != stars.cells(round_) for round_ in range(16, 24))
    again = plan("stars", 8, RING, 1, size=3).with_seed(1, b"s" * 32, 16)
    assert all(learned.cells(round_) == again.cells(round_) for round_ in range(32))


def test_the_draw_is_greedy_in_the_order_of_the_permutation():
    """An independent spelling."""
    graph = nx.gnp_random_graph(20, 0.3, seed=4)
    stars = plan("stars", 20, list(graph.edges), 9, size=4)
    for round_ in range(20):
        order = permutation(20, f"stars/{stars.seeds.label(round_)}/{round_}")
        taken, expected = set(), {}
        for centre in order:
            free = [node for node in order if node in graph[centre] and node not in taken][:3]
            if centre not in taken and len(free) == 3:
                star = Star(centre, tuple(sorted([centre, *free])))
                taken |= set(star.members)
                expected |= dict.fromkeys(star.members, star)
        assert {m: stars.star_of(m, round_) for m in range(20)} == {m: expected.get(m) for m in range(20)}


def test_centres_and_companions_take_turns():
    """On a ring all nodes are alike: nobody is a centre, or sits out, much oftener than others."""
    stars = plan("stars", 8, RING, 5, size=3)
    centres = np.zeros(8)
    for round_ in range(2000):
        for centre in {stars.centre_of(member, round_) for member in range(8)} - {None}:
            centres[centre] += 1
    assert np.abs(centres / centres.sum() - 1 / 8).max() < 0.02


def test_the_stars_of_4096_nodes_cost_what_their_edges_cost():
    ring = [(i, (i + 1) % 4096) for i in range(4096)]
    stars = plan("stars", 4096, ring, 1, size=3)
    assert isinstance(stars, Stars)
    taken = sum(stars.star_of(member, 0) is not None for member in range(4096))
    assert taken > 0.6 * 4096


@pytest.mark.parametrize(
    ("n", "edges", "size", "message"),
    [
        (8, RING, 4, "degree >= size - 1: size=4, the largest degree is 2; use size <= 3"),
        (2, [(0, 1)], 3, "the largest degree is 1"),
        (8, RING, 1, "size >= 2"),
        (8, RING[:3] + RING[4:7], 3, "never join node 4 with node 0"),
    ],
)
def test_graphs_that_have_no_stars_are_refused_with_the_bound(n, edges, size, message):
    with pytest.raises(PlanError, match=message):
        plan("stars", n, edges, 1, size=size)


def test_hubs_that_no_star_joins_are_refused():
    hubs = [(0, i) for i in (1, 2, 3)] + [(4, i) for i in (5, 6, 7)] + [(3, 5)]
    with pytest.raises(PlanError, match="size - 1 = 3"):
        plan("stars", 8, hubs, 1, size=4)
    assert plan("stars", 8, hubs, 1, size=3).n == 8


def test_stars_need_a_size():
    with pytest.raises(PlanError, match="stars need a size"):
        plan("stars", 8, RING, 1)


def test_pairs_need_no_relay():
    stars = plan("stars", 8, RING, 1, size=2)
    edges = {frozenset(edge) for edge in RING}
    for round_, member in itertools.product(range(20), range(8)):
        cell = stars.cell_of(member, round_)
        assert len(cell) == 1 or frozenset(cell) in edges
