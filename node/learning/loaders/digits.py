"""`digits`: 1,797 handwritten digits of 8 x 8 pixels (Alpaydin & Kaynak 1998), as packaged in scikit-learn."""

from __future__ import annotations

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.learning.dataset import Dataset, Split, split_test
from node.learning.errors import DataError
from node.learning.loaders.source import Request, label_groups

_PACKAGED = Path("datasets") / "data" / "digits.csv.gz"
_SHAPE = (1797, 65)
_CLASSES = tuple(str(digit) for digit in range(10))
_LARGEST_PIXEL = 16
_MEAN, _STD = 0.305, 0.376
"""Of all pixels in 0..1: public constants, so that every node scales alike without a look at others' data.

Centred features let plain SGD take steps several times as long as those of 0..1 do before it becomes unstable."""


def load(request: Request) -> Split:
    """1,438 training and 359 test rows of 64 features, standardised by fixed constants; ten classes."""
    if request.path is not None:
        raise DataError('the data set "digits" is embedded and takes no path', 'Write dataset = "digits".')
    table = _packaged_table()
    if table is None:
        table = _table_by_scikit_learn()
    labels = table[:, 64].astype(np.int64)
    dataset = Dataset(
        features=((table[:, :64] / _LARGEST_PIXEL - _MEAN) / _STD).astype(np.float32),
        labels=labels,
        classes=_CLASSES,
        feature_names=tuple(f"pixel-{row}-{column}" for row in range(8) for column in range(8)),
        groups=label_groups(request, _CLASSES, labels),
    )
    return split_test(dataset)


def _packaged_table() -> NDArray[np.float64] | None:
    """The (1797, 65) table straight from scikit-learn's package data; None unless it is exactly what is expected.

    Importing `sklearn.datasets` brings in scipy, seconds of start-up on a small device for a file of 57 kB.
    `find_spec` finds the package without running any of it.
    """
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations if package else None) or ():
        try:
            text = gzip.decompress((Path(folder) / _PACKAGED).read_bytes()).decode("ascii")
            table = np.fromstring(text.replace("\n", ","), sep=",")
        except (OSError, EOFError, zlib.error, ValueError):
            continue
        if table.size == _SHAPE[0] * _SHAPE[1] and _plausible(table.reshape(_SHAPE)):
            return table.reshape(_SHAPE)
    return None


def _plausible(table: NDArray[np.float64]) -> bool:
    pixels, labels = table[:, :64], table[:, 64]
    return bool(
        pixels.min() == 0 and pixels.max() == _LARGEST_PIXEL and np.isin(labels, np.arange(10)).all()
    )  # fmt: skip


def _table_by_scikit_learn() -> NDArray[np.float64]:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow, and rarely needed

    digits = load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.float64)
