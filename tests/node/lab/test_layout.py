import math

import networkx as nx
import pytest

from node.lab.layout import positions


@pytest.mark.parametrize(
    "graph",
    [nx.path_graph(1), nx.star_graph(7), nx.grid_2d_graph(4, 4), nx.random_regular_graph(4, 40, seed=1),
     nx.empty_graph(6), nx.disjoint_union(nx.complete_graph(4), nx.star_graph(9)), nx.cycle_graph(500)],
)  # fmt: skip
def test_nodes_stand_inside_apart_and_always_the_same(graph):
    graph = nx.convert_node_labels_to_integers(graph)
    n, edges = len(graph), list(graph.edges())
    places = positions(n, edges)
    assert len(places) == n
    assert all(-1.0001 <= x <= 1.0001 and -1.0001 <= y <= 1.0001 for x, y in places)
    assert all(
        math.dist(a, b) > 0.3 / math.sqrt(n) / (5 if n > 300 else 1) for a in places for b in places if a is not b
    )
    assert places == positions(n, edges)


def test_a_ring_is_a_circle_from_the_top_clockwise():
    places = positions(4, [(0, 1), (1, 2), (2, 3), (3, 0)])
    assert places[0] == pytest.approx((0, 1))
    assert places[1] == pytest.approx((1, 0))


def test_neighbours_end_up_near_each_other():
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(5, 5))
    places = positions(25, list(graph.edges()))
    joined = [math.dist(places[a], places[b]) for a, b in graph.edges()]
    apart = [math.dist(places[a], places[b]) for a, b in nx.complement(graph).edges()]
    assert sum(joined) / len(joined) < 0.5 * sum(apart) / len(apart)
    corner = math.dist(places[0], places[24])
    assert corner > 1.5
