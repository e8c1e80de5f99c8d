from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from node.learning.data import load_dataset
from node.learning.errors import DataError
from node.learning.loaders.mnist import read_idx


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28))
    for prefix in ("train", "t10k"):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.array([5, 0, 4, 1, 9])))
    return tmp_path, images


def test_reads_compressed_and_plain_files_and_scales_by_constants(folder):
    path, images = folder
    train = load_dataset(f"mnist:{path}").train
    assert train.labels.tolist() == [5, 0, 4, 1, 9]
    expected = (images.reshape(5, 784) / 255 - 0.1307) / 0.3081
    assert np.allclose(train.features, expected, atol=1e-6)


def test_original_files(data_dir):
    split = load_dataset("mnist:mnist", folder=data_dir)
    assert (len(split.train), len(split.test)) == (60_000, 10_000)
    assert split.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert abs(split.train.features.mean()) < 1e-3
    assert abs(split.train.features.std() - 1) < 1e-3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08\x03",
        idx(np.zeros((2, 3))),  # two dimensions, three expected
        struct.pack(">4I", 0x803, 2, 3, 4) + bytes(23),  # one byte short
        struct.pack(">4I", 0x803, 2**31, 2**31, 2**31),  # a product past 64 bits
        struct.pack(">4I", 0xD03, 1, 1, 1) + bytes(4),  # floats
    ],
)
def test_refuses_what_is_no_idx_file(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DataError, match=str(tmp_path / "x")):
        read_idx(tmp_path / "x", dimensions=3)


def test_refuses_labels_and_images_that_do_not_fit(folder):
    path, _ = folder
    (path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 2])))
    with pytest.raises(DataError, match="do not fit 2 labels"):
        load_dataset(f"mnist:{path}")
    (path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 2, 3, 4, 10])))
    with pytest.raises(DataError, match="item 4: label 10"):
        load_dataset(f"mnist:{path}")


def test_needs_a_folder_and_its_files(tmp_path):
    with pytest.raises(DataError, match="needs the folder"):
        load_dataset("mnist")
    with pytest.raises(DataError, match=r"no file train-images-idx3-ubyte\.gz or train-images-idx3-ubyte here"):
        load_dataset(f"mnist:{tmp_path}")
