from __future__ import annotations

import numpy as np
import pytest

from node.learning.errors import PartitionError
from node.learning.partition import partition

LABELS = np.repeat(np.arange(10), 100)


def skew(parts: tuple[np.ndarray, ...]) -> float:
    """Mean total variation distance between a node's classes and everybody's."""
    shares = [np.bincount(LABELS[part], minlength=10) / len(part) for part in parts]
    return float(np.mean([np.abs(share - 0.1).sum() / 2 for share in shares]))


def test_alpha_is_the_skew():
    by_alpha = [
        np.mean([skew(partition(LABELS, "dirichlet", 8, seed, alpha=alpha)) for seed in range(10)])
        for alpha in (0.05, 0.5, 5.0, 500.0)
    ]
    assert by_alpha == sorted(by_alpha, reverse=True)
    assert by_alpha[0] > 0.6
    assert by_alpha[-1] < 0.05


def test_dirichlet_shares_have_the_variance_of_their_law():
    nodes, alpha = 8, 0.5
    counts = np.array(
        [
            [
                np.bincount(LABELS[part], minlength=10)
                for part in partition(LABELS, "dirichlet", nodes, seed, alpha=alpha)
            ]
            for seed in range(60)
        ]
    )
    # Var[Dirichlet(alpha) share] = (1/n)(1 - 1/n) / (n alpha + 1)
    expected = (1 / nodes) * (1 - 1 / nodes) / (nodes * alpha + 1)
    assert (counts / 100).var() == pytest.approx(expected, rel=0.1)


def test_other_seeds_give_other_partitions():
    for kind in ("iid", "dirichlet", "shards"):
        assert not np.array_equal(partition(LABELS, kind, 4, 1)[0], partition(LABELS, kind, 4, 2)[0])


def test_two_shards_a_node_are_about_two_classes():
    parts = partition(LABELS, "shards", 10, 3, shards_per_node=2)
    assert all(len(np.unique(LABELS[part])) <= 2 for part in parts)
    assert [len(part) for part in parts] == [100] * 10


def test_values_go_to_nodes_in_sorted_order():
    groups = np.array(["press-b", "press-a", "press-c"] * 4)
    parts = partition(np.zeros(12, np.int64), "column", 3, 0, groups=groups)
    assert [groups[part[0]] for part in parts] == ["press-a", "press-b", "press-c"]


def test_more_values_than_nodes_are_packed_evenly():
    groups = np.repeat(list("abcdef"), [60, 30, 30, 20, 20, 20])
    parts = partition(np.zeros(180, np.int64), "column", 3, 0, groups=groups)
    assert [len(part) for part in parts] == [60, 70, 50]


def test_many_nodes_and_an_extreme_alpha_are_topped_up_at_once():
    parts = partition(LABELS, "dirichlet", 100, 1, alpha=0.001)
    assert [len(part) for part in parts] == [10] * 100


@pytest.mark.parametrize(
    ("kind", "nodes", "options", "message"),
    [
        ("iid", 501, {}, "1002 in all; the data set has 1000"),
        ("iid", 0, {}, "0 nodes"),
        ("dirichlt", 2, {}, "Did you mean 'dirichlet'"),
        ("dirichlet", 2, {"alpha": 0.0}, "above 0"),
        ("dirichlet", 2, {"alpha": float("nan")}, "above 0"),
        ("shards", 100, {"shards_per_node": 11}, "at least 1100 rows"),
        ("column", 2, {}, "Set `column`"),
        ("column", 2, {"groups": np.array(["a"] * 1000)}, "1 distinct values"),
        ("column", 2, {"groups": np.array(["a"] * 999 + ["b"])}, "node 1 gets 1 rows"),
        ("local", 2, {}, "each node load its own|to one node, not to 2"),
    ],
)
def test_what_cannot_be_dealt_is_refused_with_the_bound(kind, nodes, options, message):
    with pytest.raises(PartitionError, match=message):
        partition(LABELS, kind, nodes, 1, **options)


def test_local_is_everything_to_the_one_node():
    assert np.array_equal(partition(LABELS, "local", 1, 1)[0], np.arange(1000))
