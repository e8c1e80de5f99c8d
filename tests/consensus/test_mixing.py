import itertools
import math

import networkx as nx
import numpy as np
import pytest

from consensus.adjacency import Adjacency
from consensus.errors import PlanError
from consensus.mixing import (
    compose,
    metropolis_hastings,
    metropolis_hastings_row,
    rounds_to_consensus,
    spectral_gap,
    squared_distance,
)


def ring(n):
    return [(i, (i + 1) % n) for i in range(n)]


def test_metropolis_hastings_of_a_star_by_hand():
    quarter = 1 / 4  # the centre has degree 3, so every edge weighs 1 / (1 + 3)
    W = metropolis_hastings(4, [(0, 1), (0, 2), (0, 3)])
    expected = [
        [quarter, quarter, quarter, quarter],
        [quarter, 3 * quarter, 0, 0],
        [quarter, 0, 3 * quarter, 0],
        [quarter, 0, 0, 3 * quarter],
    ]
    assert np.allclose(W, expected, atol=1e-15)


def test_a_complete_graph_averages_at_once():
    W = metropolis_hastings(7, list(itertools.combinations(range(7), 2)))
    assert np.allclose(W, 1 / 7, atol=1e-15)
    assert spectral_gap(W) == pytest.approx(1.0)
    assert rounds_to_consensus(W) == 1


def test_rows_are_the_rows_of_the_matrix():
    graph = nx.gnp_random_graph(30, 0.2, seed=4)
    W = metropolis_hastings(30, list(graph.edges))
    adjacency = Adjacency(30, list(graph.edges))
    for member in range(30):
        row = metropolis_hastings_row(adjacency, member)
        assert set(row) == {member, *graph[member]}
        assert math.fsum(row.values()) == pytest.approx(1.0, abs=1e-15)
        assert np.allclose([W[member, other] for other in row], list(row.values()), atol=1e-15)


def test_the_gap_of_a_ring_is_the_known_one():
    # Circulant with 1/3 on the diagonal and both sides: eigenvalues (1 + 2 cos(2πk/n)) / 3.
    assert spectral_gap(metropolis_hastings(12, ring(12))) == pytest.approx(2 / 3 * (1 - math.cos(2 * math.pi / 12)))


def test_a_graph_that_falls_apart_has_no_gap():
    W = metropolis_hastings(4, [(0, 1), (2, 3)])
    assert spectral_gap(W) == 0.0
    assert rounds_to_consensus(W) is None
    assert rounds_to_consensus([W, W]) is None


def test_halves_that_meet_in_turn_come_together():
    pairs = [metropolis_hastings(4, [(0, 1), (2, 3)]), metropolis_hastings(4, [(0, 2), (1, 3)])]
    assert rounds_to_consensus(pairs) == 2  # hypercube: exact after two
    assert spectral_gap(compose(pairs)) == pytest.approx(1.0)


def stepped(schedule, ratio):
    n = len(schedule[0])
    deviation = np.eye(n) - 1 / n
    for rounds in range(1, 2000):
        deviation = schedule[(rounds - 1) % len(schedule)] @ deviation
        if np.linalg.svd(deviation, compute_uv=False)[0] <= ratio:
            return rounds
    return None


@pytest.mark.parametrize("ratio", [0.5, 1e-3, 1e-6])
def test_rounds_to_consensus_is_what_stepping_finds(ratio):
    ring_matrix = metropolis_hastings(9, ring(9))
    path_matrix = metropolis_hastings(9, ring(9)[:-1])
    matchings = [metropolis_hastings(9, ring(9)[start:-1:2]) for start in (0, 1)]
    for schedule in ([ring_matrix], [ring_matrix, path_matrix], matchings, [path_matrix, *matchings]):
        assert rounds_to_consensus(schedule, ratio) == stepped(schedule, ratio)
    assert rounds_to_consensus(ring_matrix, ratio) == stepped([ring_matrix], ratio)


def test_no_round_is_needed_to_stay_where_one_is():
    assert rounds_to_consensus(metropolis_hastings(4, ring(4)), 1.0) == 0


@pytest.mark.parametrize("W", [np.eye(3) * 0.9, np.ones((2, 3)) / 3, np.array([[1.5, -0.5], [-0.5, 1.5]])])
def test_what_is_no_mixing_matrix_is_refused(W):
    with pytest.raises(PlanError, match="mixing matrix"):
        spectral_gap(W)


def test_a_schedule_needs_a_matrix_and_a_ratio():
    with pytest.raises(PlanError, match="0 matrices"):
        rounds_to_consensus([])
    with pytest.raises(PlanError, match="ratio=0"):
        rounds_to_consensus(np.eye(2), 0.0)


def test_squared_distance_over_several_blocks():
    rng = np.random.default_rng(0)
    mine, a, b = rng.normal(size=(3, 20_000)).astype(np.float32)
    expected = 0.25 * np.sum((a - mine.astype(float)) ** 2) + 0.5 * np.sum((b - mine.astype(float)) ** 2)
    assert squared_distance(mine, [a, b], [0.25, 0.5]) == pytest.approx(expected, rel=1e-12)
    assert squared_distance(mine, [], []) == 0.0
