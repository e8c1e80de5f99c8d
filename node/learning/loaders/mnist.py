"""`mnist:DIR`: 60,000 + 10,000 handwritten digits of 28 x 28 pixels, from the four original idx files (.gz or not)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.learning.dataset import Dataset, Split
from node.learning.errors import DataError
from node.learning.loaders.source import Request, label_groups, read_bytes

_CLASSES = tuple(str(digit) for digit in range(10))
_SIDE = 28
_MAX_ROWS = 100_000
_UBYTE = 0x08
_FETCH_AGAIN = "Fetch the original file again."
_MEAN, _STD = 0.1307, 0.3081
"""Of all training pixels in 0..1: public constants, so that every node scales alike without a look at others' data."""


def load(request: Request) -> Split:
    """The official training and test files; 784 features, standardised by fixed constants."""
    if request.path is None:
        raise DataError("mnist needs the folder of its idx files", 'Write dataset = "mnist:DIR".')
    return Split(train=_half(request, "train"), test=_half(request, "t10k"))


def _half(request: Request, prefix: str) -> Dataset:
    images_path = request.file(f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-images-idx3-ubyte")
    labels_path = request.file(f"{prefix}-labels-idx1-ubyte.gz", f"{prefix}-labels-idx1-ubyte")
    images = read_idx(images_path, dimensions=3)
    labels = read_idx(labels_path, dimensions=1).astype(np.int64)
    if images.shape != (len(labels), _SIDE, _SIDE):
        raise DataError(
            f"{images_path}: images {images.shape} do not fit {len(labels)} labels of {_SIDE} x {_SIDE}", _FETCH_AGAIN
        )
    if labels.size and labels.max() >= len(_CLASSES):
        raise DataError(
            f"{labels_path}: item {int(labels.argmax())}: label {labels.max()}, the largest is 9", _FETCH_AGAIN
        )
    # A table of 256 floats instead of arithmetic on 47 million: one pass, one allocation.
    scale = ((np.arange(256) / 255 - _MEAN) / _STD).astype(np.float32)
    return Dataset(
        features=scale[images.reshape(len(labels), -1)],
        labels=labels,
        classes=_CLASSES,
        feature_names=tuple(f"pixel-{row}-{column}" for row in range(_SIDE) for column in range(_SIDE)),
        groups=label_groups(request, _CLASSES, labels),
    )


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes: two zero bytes, type, number of dimensions, sizes (u32 big-endian), items."""
    data = read_bytes(path)
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, _UBYTE, dimensions)):
        raise DataError(f"{path}: not an idx file of unsigned bytes in {dimensions} dimensions", _FETCH_AGAIN)
    sizes = struct.unpack_from(f">{dimensions}I", data, 4)
    items = int(np.prod([int(size) for size in sizes], dtype=object))
    if sizes[0] > _MAX_ROWS or len(data) - header != items:
        promised = " x ".join(map(str, sizes))
        raise DataError(f"{path}: promises {promised} items and holds {len(data) - header} bytes", _FETCH_AGAIN)
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(sizes)
