"""Whatever the labels, every partition is disjoint, covers, and leaves no node without rows; or says why it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.learning.errors import PartitionError
from node.learning.partition import LEAST_ROWS, TARGET_ROWS, partition

labels_of = hnp.arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 9))
seeds = st.integers(0, 2**32 - 1)


def holds(parts: tuple[np.ndarray, ...], rows: int, nodes: int) -> None:
    assert len(parts) == nodes
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))
    assert min(map(len, parts)) >= LEAST_ROWS
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)


@given(labels=labels_of, nodes=st.integers(1, 40), seed=seeds, kind=st.sampled_from(["iid", "dirichlet"]))
def test_iid_and_dirichlet(labels, nodes, seed, kind):
    if len(labels) < nodes * LEAST_ROWS:
        with pytest.raises(PartitionError, match=f"{nodes * LEAST_ROWS} in all"):
            partition(labels, kind, nodes, seed)
        return
    parts = partition(labels, kind, nodes, seed)
    holds(parts, len(labels), nodes)
    if kind == "iid":
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(labels=labels_of, nodes=st.integers(1, 12), seed=seeds, alpha=st.floats(1e-320, 1e6))
def test_dirichlet_gives_every_node_its_least_for_any_alpha(labels, nodes, seed, alpha):
    if len(labels) < nodes * LEAST_ROWS:
        return
    parts = partition(labels, "dirichlet", nodes, seed, alpha=alpha)
    holds(parts, len(labels), nodes)
    assert min(map(len, parts)) >= min(TARGET_ROWS, len(labels) // nodes)


@given(labels=labels_of, nodes=st.integers(1, 12), each=st.integers(1, 12), seed=seeds)
def test_shards_hold_few_classes(labels, nodes, each, seed):
    try:
        parts = partition(labels, "shards", nodes, seed, shards_per_node=each)
    except PartitionError:
        assert len(labels) < nodes * max(each, LEAST_ROWS)
        return
    holds(parts, len(labels), nodes)
    if each > 1:
        # A shard of a sorted list of k classes touches as many classes as it has boundaries in it, plus one.
        boundaries = len(np.unique(labels)) - 1
        assert sum(len(np.unique(labels[part])) for part in parts) <= nodes * each + boundaries


@given(groups=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=100), nodes=st.integers(1, 6), seed=seeds)
def test_a_value_of_the_column_belongs_to_one_node(groups, nodes, seed):
    column = np.array(groups)
    try:
        parts = partition(np.zeros(len(groups), np.int64), "column", nodes, seed, groups=column)
    except PartitionError:
        counts = np.unique(column, return_counts=True)[1]
        assert len(counts) < nodes or counts.min() < LEAST_ROWS
        return
    holds(parts, len(groups), nodes)
    owned = [set(column[part]) for part in parts]
    assert sum(map(len, owned)) == len(set(groups))


@given(labels=labels_of, nodes=st.integers(1, 8), seed=seeds, kind=st.sampled_from(["iid", "dirichlet", "shards"]))
def test_the_seed_decides(labels, nodes, seed, kind):
    if len(labels) < nodes * LEAST_ROWS:
        return
    first, second = (partition(labels, kind, nodes, seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
