"""`adult:DIR`: UCI Adult / Census Income (Becker & Kohavi 1996), from its original files adult.data and adult.test.

Encodings are fixed: the categories are those that adult.names lists, the numeric scales are public round numbers. So
every node encodes alike, and none has to tell another anything about its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.learning.dataset import LABEL_COLUMN, Dataset, Split
from node.learning.errors import DataError
from node.learning.loaders.source import Request, read_text

_FETCH_AGAIN = "Fetch the original file again."
_CLASSES = ("<=50K", ">50K")
_Scale = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Each maps by about the mean and the deviation of the census. Capital gains and losses are zero for nine in ten and
# have a long tail; left linear, they predict better than as logarithms, by half a point of accuracy.
_NUMERIC: dict[str, _Scale] = {
    "age": lambda years: (years - 40) / 15,
    "fnlwgt": lambda people: (people - 200_000) / 100_000,
    "education-num": lambda grade: (grade - 10) / 2.5,
    "capital-gain": lambda dollars: dollars / 7_500,
    "capital-loss": lambda dollars: dollars / 400,
    "hours-per-week": lambda hours: (hours - 40) / 12,
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_CATEGORIES: dict[str, tuple[str, ...]] = {
    "workclass": _words(
        "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay Never-worked ?"
    ),
    "education": _words(
        "Bachelors Some-college 11th HS-grad Prof-school Assoc-acdm Assoc-voc 9th 7th-8th 12th Masters 1st-4th 10th "
        "Doctorate 5th-6th Preschool"
    ),
    "marital-status": _words(
        "Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent Married-AF-spouse"
    ),
    "occupation": _words(
        "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty Handlers-cleaners "
        "Machine-op-inspct Adm-clerical Farming-fishing Transport-moving Priv-house-serv Protective-serv "
        "Armed-Forces ?"
    ),
    "relationship": _words("Wife Own-child Husband Not-in-family Other-relative Unmarried"),
    "race": _words("White Asian-Pac-Islander Amer-Indian-Eskimo Other Black"),
    "sex": _words("Female Male"),
    "native-country": _words(
        "United-States Cambodia England Puerto-Rico Canada Germany Outlying-US(Guam-USVI-etc) India Japan Greece "
        "South China Cuba Iran Honduras Philippines Italy Poland Jamaica Vietnam Mexico Portugal Ireland France "
        "Dominican-Republic Laos Ecuador Taiwan Haiti Columbia Hungary Guatemala Nicaragua Scotland Thailand "
        "Yugoslavia El-Salvador Trinadad&Tobago Peru Hong Holand-Netherlands ?"
    ),
}

_COLUMNS = _words(
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain "
    "capital-loss hours-per-week native-country"
)
_FEATURES = tuple(
    feature
    for column in _COLUMNS
    for feature in ([column] if column in _NUMERIC else [f"{column}={name}" for name in _CATEGORIES[column]])
)


def load(request: Request) -> Split:
    """32,561 training and 16,281 test rows of 108 features, two classes; any column of the census can deal rows."""
    if request.path is None:
        raise DataError("adult needs the folder of adult.data and adult.test", 'Write dataset = "adult:DIR".')
    if request.column is not None and request.column not in (*_COLUMNS, LABEL_COLUMN):
        known = ", ".join((*_COLUMNS, LABEL_COLUMN))
        raise DataError(f"adult has no column {request.column!r}", f"Choose of {known}.")
    return Split(
        train=_read(request.file("adult.data"), request.column),
        test=_read(request.file("adult.test"), request.column),
    )


def _read(path: Path, group_column: str | None) -> Dataset:
    numbers, rows = _rows(path)
    columns: dict[str, Sequence[str]] = dict(zip((*_COLUMNS, LABEL_COLUMN), zip(*rows, strict=True), strict=True))
    # The test file ends each label with a full stop, the training file does not.
    columns[LABEL_COLUMN] = [text.removesuffix(".") for text in columns[LABEL_COLUMN]]
    features = np.zeros((len(rows), len(_FEATURES)), dtype=np.float32)
    at = 0
    for name in _COLUMNS:
        if name in _NUMERIC:
            features[:, at] = _NUMERIC[name](_numbers(path, numbers, name, columns[name]))
            at += 1
        else:
            codes = _codes(path, numbers, name, columns[name], _CATEGORIES[name])
            features[np.arange(len(rows)), at + codes] = 1
            at += len(_CATEGORIES[name])
    return Dataset(
        features=features,
        labels=_codes(path, numbers, LABEL_COLUMN, columns[LABEL_COLUMN], _CLASSES),
        classes=_CLASSES,
        feature_names=_FEATURES,
        groups=np.array(columns[group_column], dtype=np.str_) if group_column else None,
    )


def _rows(path: Path) -> tuple[list[int], list[list[str]]]:
    """Line numbers from 1, and the cells of each line that holds a row."""
    numbers, rows = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("|"):  # "|1x3 Cross validator" opens the test file
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(_COLUMNS) + 1:
            raise DataError(f"{path}:{number}: {len(cells)} cells, expected {len(_COLUMNS) + 1}", _FETCH_AGAIN)
        numbers.append(number)
        rows.append(cells)
    if not rows:
        raise DataError(f"{path}: holds no rows", _FETCH_AGAIN)
    return numbers, rows


def _numbers(path: Path, lines: Sequence[int], column: str, cells: Sequence[str]) -> NDArray[np.float64]:
    for line, cell in zip(lines, cells, strict=True):
        if not (cell.isascii() and cell.isdigit() and len(cell) <= 9):
            raise DataError(f"{path}:{line}: column {column!r}: {cell!r} is no whole number", _FETCH_AGAIN)
    return np.array(cells, dtype=np.float64)


def _codes(
    path: Path, lines: Sequence[int], column: str, cells: Sequence[str], names: Sequence[str]
) -> NDArray[np.int64]:
    known = {name: code for code, name in enumerate(names)}
    try:
        return np.array([known[cell] for cell in cells], dtype=np.int64)
    except KeyError:
        line, cell = next((line, cell) for line, cell in zip(lines, cells, strict=True) if cell not in known)
        raise DataError(
            f"{path}:{line}: column {column!r}: {cell!r} is none of {', '.join(names)}", _FETCH_AGAIN
        ) from None
