from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.learning.dataset import concatenate, deal, load_saved, save_dataset, split_holdout, stratified_rows
from node.learning.errors import DataError, PartitionError

from .swarms import blobs


def test_saved_and_loaded_is_the_same(tmp_path):
    dataset = replace(blobs(), groups=np.array([f"site-{i % 3}" for i in range(120)]))
    save_dataset(tmp_path / "d.npz", dataset)
    again = load_saved(tmp_path / "d.npz")
    assert np.array_equal(again.features, dataset.features)
    assert np.array_equal(again.labels, dataset.labels)
    assert (again.classes, again.feature_names) == (dataset.classes, dataset.feature_names)
    assert np.array_equal(again.groups, dataset.groups)
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]


def test_saving_replaces_and_leaves_no_draft(tmp_path):
    save_dataset(tmp_path / "d", blobs(rows=30))
    save_dataset(tmp_path / "d", blobs(rows=60))
    assert len(load_saved(tmp_path / "d")) == 60
    with pytest.raises(FileNotFoundError):
        save_dataset(tmp_path / "nowhere" / "d", blobs())
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_pickle_is_never_loaded(tmp_path):
    np.savez(
        tmp_path / "d.npz", features=np.array([{}], dtype=object), labels=np.zeros(1), classes=[], feature_names=[]
    )
    with pytest.raises(DataError, match="not a data set"):
        load_saved(tmp_path / "d.npz")


@given(data=st.data())
def test_a_damaged_file_is_a_data_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "d.npz"
    save_dataset(path, blobs(rows=6))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        load_saved(path)
    except DataError:
        return


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.zeros((120, 4))},
        {"features": np.zeros((120, 5), dtype=np.float32)},
        {"features": np.full((120, 4), np.nan, dtype=np.float32)},
        {"features": np.full((120, 4), -np.inf, dtype=np.float32)},
        {"labels": np.full(120, 3)},
        {"labels": np.full(120, -1)},
        {"labels": np.zeros(119, dtype=np.int64)},
        {"groups": np.array(["a"])},
    ],
)
def test_what_does_not_fit_together_is_refused(change):
    with pytest.raises(ValueError):  # noqa: PT011 - each message is its own
        replace(blobs(), **change)


def test_stratified_rows_take_the_share_of_each_class():
    labels = np.array([0] * 100 + [1] * 10 + [2] * 2)
    rest, chosen = stratified_rows(labels, 0.2, seed=3)
    assert np.bincount(labels[chosen], minlength=3).tolist() == [20, 2, 0]
    assert sorted([*rest, *chosen]) == list(range(112))
    assert not np.array_equal(chosen, stratified_rows(labels, 0.2, seed=4)[1])


@given(rows=st.integers(2, 60), share=st.floats(0.01, 0.5), node=st.integers(0, 5))
def test_holdout_and_training_share_no_row_and_neither_is_empty(rows, share, node):
    own = blobs(rows=rows)
    shard = split_holdout(own, share, seed=1, node=node)
    assert len(shard.train) + len(shard.holdout) == rows
    assert len(shard.holdout) == min(max(1, round(rows * share)), rows - 1)
    seen = {row.tobytes() for row in shard.train.features}
    assert not seen & {row.tobytes() for row in shard.holdout.features}


def test_a_node_cuts_the_holdout_that_a_dealer_would_cut_for_it():
    own = blobs()
    parts = [np.arange(0, 60), np.arange(60, 120)]
    dealt = deal(own, parts, 0.2, seed=5)
    alone = split_holdout(own.take(parts[1]), 0.2, seed=5, node=1)
    assert np.array_equal(dealt[1].holdout.features, alone.holdout.features)
    other = split_holdout(own.take(parts[1]), 0.2, seed=6, node=1)
    assert not np.array_equal(other.holdout.features, alone.holdout.features)


def test_one_row_cannot_be_split():
    with pytest.raises(PartitionError, match="node 3 has 1 rows"):
        split_holdout(blobs(rows=1, classes=1), 0.2, seed=0, node=3)


def test_concatenate_keeps_order_and_refuses_strangers():
    whole = blobs()
    again = concatenate([whole.take(np.arange(50)), whole.take(np.arange(50, 120))])
    assert np.array_equal(again.features, whole.features)
    with pytest.raises(DataError, match="different classes"):
        concatenate([whole, replace(whole, classes=("a", "b", "z"))])


def test_a_file_that_is_no_archive(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    for content in (b"", b"PK\x03\x04", buffer.getvalue()):
        (tmp_path / "d").write_bytes(content)
        with pytest.raises(DataError):
            load_saved(tmp_path / "d")
