from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from node.learning.data import load_dataset
from node.learning.errors import DataError
from node.learning.loaders import digits


def test_pixels_and_labels_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    oracle = load_digits()
    table = digits._packaged_table()
    assert table is not None
    assert np.array_equal(table[:, :64], oracle.data)
    assert np.array_equal(table[:, 64], oracle.target)


def test_split_is_stratified_disjoint_and_scaled():
    split = load_dataset("digits")
    assert (len(split.train), len(split.test)) == (1438, 359)
    assert split.train.classes == tuple("0123456789")
    share = np.bincount(split.test.labels) / np.bincount(np.concatenate([split.train.labels, split.test.labels]))
    assert np.abs(share - 0.2).max() < 0.005
    everything = np.concatenate([split.train.features, split.test.features])
    assert abs(everything.mean()) < 0.01
    assert abs(everything.std() - 1) < 0.01


def test_split_is_the_same_every_time():
    first, second = load_dataset("digits"), load_dataset("digits")
    assert np.array_equal(first.test.features, second.test.features)
    assert np.array_equal(first.train.labels, second.train.labels)


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", gzip.compress(b"1,2\n3,4\n", mtime=0), gzip.compress(b"9," * 116_805, mtime=0)]
)
def test_falls_back_to_scikit_learn_when_the_packaged_file_is_another(tmp_path, monkeypatch, content):
    expected = load_dataset("digits")
    (tmp_path / "datasets" / "data").mkdir(parents=True)
    (tmp_path / "datasets" / "data" / "digits.csv.gz").write_bytes(content)
    monkeypatch.setattr(digits, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    assert digits._packaged_table() is None
    assert np.array_equal(load_dataset("digits").test.features, expected.test.features)


def test_preparing_data_imports_neither_torch_nor_scikit_learn():
    assert importlib.util.find_spec("torch") is not None
    script = (
        "import sys\n"
        "from node.learning.data import load_dataset\n"
        "from node.learning.partition import partition\n"
        "train = load_dataset('digits').train\n"
        "partition(train.labels, 'dirichlet', 8, 7)\n"
        "sys.exit(' '.join(m for m in ('torch', 'sklearn', 'scipy', 'trio') if m in sys.modules) or 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(digits.__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr.strip()) == (0, "")


def test_takes_no_path():
    with pytest.raises(DataError, match="takes no path"):
        load_dataset("digits:here")


def test_can_be_dealt_by_label_alone():
    split = load_dataset("digits", column="label")
    assert split.train.groups is not None
    assert split.train.groups[:3].tolist() == [str(label) for label in split.train.labels[:3]]
    with pytest.raises(DataError, match="no column 'pixel-0-0'"):
        load_dataset("digits", column="pixel-0-0")
