"""`csv:FILE`: any table with a header line and a label column, .csv, .csv.gz or .csv.xz.

A column in which every cell is a number (or missing) becomes one feature, standardised with the mean and the standard
deviation of the training rows of *this* file; a node that loads its own file thus uses its own statistics. Any other
column is one-hot. A missing cell ("", "?", "nan", "NA") is the mean of a numeric column, a category of its own
elsewhere. The column by which rows are dealt to nodes is no feature: it says where a row comes from, and on a node it
is constant.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.learning.dataset import LABEL_COLUMN, TEST_SEED, TEST_SHARE, Dataset, Split, stratified_rows
from node.learning.errors import DataError
from node.learning.loaders.source import Request, read_text

MAX_ROWS = 2_000_000
MAX_COLUMNS = 4_096
MAX_FEATURES = 16_384
MAX_CELLS = 20_000_000
MAX_CATEGORIES = 64
"""Distinct values of a column that is not numeric; more is an identifier or a typing error, not a category."""
MAX_CLASSES = 1_000
MAX_CELL = 1_000
"""Letters of a cell: longer ones are text, and no category either."""
MAX_VALUES = 250_000_000
"""Rows times features: a gigabyte, of which dealing the rows out makes a second one."""
MAX_LETTERS = 64_000_000
"""Rows times the longest cell of the column that deals them: an array of text has the same room for each, 4 bytes a
letter."""
_MISSING = frozenset({"", "?", "nan", "NaN", "NA", "N/A", "null"})
_LARGEST = 1e30
"""Larger magnitudes overflow a float32 when squared, so they could not be standardised."""


def load(request: Request) -> Split:
    """80 % of each class to train, 20 % to test; the same rows in every run."""
    if request.path is None:
        raise DataError("csv needs a file", 'Write dataset = "csv:FILE".')
    path = request.path
    header, lines, rows = _read(path)
    label = _find(path, header, request.label or LABEL_COLUMN, "label")
    group = None if request.column is None else _find(path, header, request.column, "column")
    columns = list(zip(*rows, strict=True))
    classes, labels = _labels(path, header[label], lines, columns[label], request.classes)
    train, test = stratified_rows(labels, TEST_SHARE, TEST_SEED)
    if not len(train) or not len(test):
        raise DataError(
            f"{path}: {len(rows)} rows are too few to keep a fifth of each class for testing",
            "Give at least 3 rows of one class.",
        )
    encoded = [at for at in range(len(header)) if at not in (label, group)]
    _check_size(path, [(header[at], columns[at]) for at in encoded], lines)
    if group is not None:
        _check_letters(path, header[group], columns[group])
    blocks: list[NDArray[np.float32]] = []
    names: list[str] = []
    for at in encoded:
        block, block_names = _encode(path, header[at], lines, columns[at], train)
        blocks.append(block)
        names += block_names
    whole = Dataset(
        features=np.ascontiguousarray(np.hstack(blocks)),
        labels=labels,
        classes=classes,
        feature_names=tuple(names),
        groups=None if group is None else np.array(columns[group], dtype=np.str_),
    )
    return Split(whole.take(train), whole.take(test))


def _read(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, the line number of each row, the rows with their cells stripped of blanks."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}:{reader.line_num}: {len(row)} cells where the header has {len(header)}",
                    "Correct the line; a cell with a comma in it needs quotes.",
                )
            if len(max(row, key=len)) > MAX_CELL:
                raise DataError(f"{path}:{reader.line_num}: a cell of more than {MAX_CELL} letters", "Drop its column.")
            lines.append(reader.line_num)
            rows.append([cell.strip() for cell in row])
            if len(rows) > MAX_ROWS or len(rows) * len(header) > MAX_CELLS:
                raise DataError(f"{path}: more than {MAX_ROWS} rows or {MAX_CELLS} cells", "Cut it into smaller files.")
    except csv.Error as error:
        problem = f"{path}:{reader.line_num}: not a comma-separated table ({error})"
        raise DataError(problem, "Correct the line.") from error
    if not rows:
        raise DataError(f"{path}: no row below the header", "Give a table with a header line and rows.")
    return header, lines, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not 2 <= len(header) <= MAX_COLUMNS:
        raise DataError(f"{path}:1: {len(header)} columns", f"Give from 2 to {MAX_COLUMNS}, a label among them.")
    for at, name in enumerate(header):
        if not name or name in header[:at]:
            raise DataError(f"{path}:1: the name {name!r} of column {at + 1} is empty or taken", "Name each column.")
        if len(name) > MAX_CELL:
            raise DataError(f"{path}:1: the name of column {at + 1} has more than {MAX_CELL} letters", "Shorten it.")


def _find(path: Path, header: Sequence[str], name: str, key: str) -> int:
    if name not in header:
        shown = ", ".join(header[:20])
        raise DataError(f"{path}:1: no column {name!r}", f"Set `{key}` in [task] to one of {shown}.")
    return header.index(name)


def _labels(
    path: Path, column: str, lines: Sequence[int], cells: Sequence[str], fixed: tuple[str, ...] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    for line, cell in zip(lines, cells, strict=True):
        if cell in _MISSING:
            raise DataError(f"{path}:{line}: column {column!r}: no label", "Fill it in or drop the line.")
    classes = fixed if fixed is not None else tuple(sorted(set(cells)))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataError(f"{path}: column {column!r} has {len(classes)} classes", f"Give from 2 to {MAX_CLASSES}.")
    known = {name: code for code, name in enumerate(classes)}
    for line, cell in zip(lines, cells, strict=True):
        if cell not in known:
            problem = f"{path}:{line}: column {column!r}: {cell!r} is none of {', '.join(classes)}"
            raise DataError(problem, "Correct the label, or add it to the classes.")
    return classes, np.array([known[cell] for cell in cells], dtype=np.int64)


def _check_size(path: Path, columns: Sequence[tuple[str, Sequence[str]]], lines: Sequence[int]) -> None:
    """Refuse what would take too much room, before any of it is taken: a text column is as many features as it has
    values, and a short file of them becomes gigabytes.
    """
    features = 0
    for name, cells in columns:
        features += 1 if _numbers(cells) is not None else len(_values(path, name, lines, cells))
    if not 0 < features <= MAX_FEATURES:
        raise DataError(f"{path}: {features} features", f"Give from 1 to {MAX_FEATURES} beside label and column.")
    if features * len(lines) > MAX_VALUES:
        raise DataError(
            f"{path}: {len(lines)} rows of {features} features are more than {MAX_VALUES} values",
            "Cut it into smaller files, or drop text columns: each is a feature a value.",
        )


def _check_letters(path: Path, name: str, cells: Sequence[str]) -> None:
    longest = max(map(len, cells))
    if longest * len(cells) > MAX_LETTERS:
        raise DataError(
            f"{path}: column {name!r} deals the rows and has a cell of {longest} letters: too long for {len(cells)} "
            f"rows",
            f"Shorten it: rows times letters may be {MAX_LETTERS}.",
        )


def _encode(
    path: Path, name: str, lines: Sequence[int], cells: Sequence[str], train: NDArray[np.int64]
) -> tuple[NDArray[np.float32], list[str]]:
    """Features (n, k) of one column and their k names."""
    numbers = _numbers(cells)
    if numbers is None:
        return _one_hot(path, name, lines, cells)
    too_large = np.flatnonzero(np.abs(numbers) > _LARGEST)  # false for nan, which marks a missing cell
    if len(too_large):
        row = int(too_large[0])
        problem = f"{path}:{lines[row]}: column {name!r}: {cells[row]!r} is beyond ±{_LARGEST:g}"
        raise DataError(problem, "Correct the cell, or leave it empty.")
    seen = numbers[train]
    seen = seen[~np.isnan(seen)]
    mean, deviation = (seen.mean(), seen.std()) if len(seen) else (0.0, 0.0)
    # A column that is constant in training carries nothing; dividing by its (near) zero deviation would blow it up.
    scale = deviation if deviation > 1e-9 * max(1.0, abs(mean)) else np.inf
    standardised = np.where(np.isnan(numbers), 0.0, (numbers - mean) / scale)
    return standardised.astype(np.float32)[:, None], [name]


def _numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The column as numbers, nan where a cell is missing; None if any cell is something else."""
    try:
        return np.array([np.nan if cell in _MISSING else float(cell) for cell in cells])
    except ValueError:
        return None


def _one_hot(
    path: Path, name: str, lines: Sequence[int], cells: Sequence[str]
) -> tuple[NDArray[np.float32], list[str]]:
    values = _values(path, name, lines, cells)
    codes = {value: code for code, value in enumerate(values)}
    block = np.zeros((len(cells), len(values)), dtype=np.float32)
    block[np.arange(len(cells)), [codes[cell] for cell in cells]] = 1
    return block, [f"{name}={value}" for value in values]


def _values(path: Path, name: str, lines: Sequence[int], cells: Sequence[str]) -> list[str]:
    """The categories of a column that is not numeric, sorted."""
    values = sorted(set(cells))
    if len(values) > MAX_CATEGORIES:
        row = next(row for row, cell in enumerate(cells) if _numbers([cell]) is None)
        raise DataError(
            f"{path}:{lines[row]}: column {name!r} has {len(values)} distinct values that are not all numbers "
            f"(here {cells[row]!r}); at most {MAX_CATEGORIES} can be categories",
            "Correct the cell, or drop the column.",
        )
    return values
