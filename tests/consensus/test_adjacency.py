import numpy as np
import pytest

from consensus.adjacency import Adjacency
from consensus.errors import PlanError


@pytest.mark.parametrize("edges", [[(2, 0), (0, 1)], [(0, 2), (2, 0), (1, 0), (0, 1)], np.array([[0, 1], [0, 2]])])
def test_an_edge_counts_once_however_it_is_given(edges):
    graph = Adjacency(4, edges)
    assert [graph.of(node).tolist() for node in range(4)] == [[1, 2], [0], [0], []]
    assert graph.degrees.tolist() == [2, 1, 1, 0]
    assert list(zip(graph.sources.tolist(), graph.targets.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0), (2, 0)]


def test_a_graph_without_edges():
    assert Adjacency(3, []).degrees.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("n", "edges", "message"),
    [
        (0, [], r"n >= 1 nodes: n=0"),
        (3, [(0, 1), (1, 3)], r"edge \(1, 3\) leaves the nodes 0 … 2"),
        (3, [(-1, 1)], r"edge \(-1, 1\) leaves"),
        (3, [(0, 1), (2, 2)], r"edge \(2, 2\) joins a node to itself"),
    ],
)
def test_what_is_no_graph_is_refused(n, edges, message):
    with pytest.raises(PlanError, match=message):
        Adjacency(n, edges)
