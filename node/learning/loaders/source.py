"""What every loader is given, and bounded reading of files that may be compressed."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from node.learning.dataset import LABEL_COLUMN
from node.learning.errors import DataError

MAX_FILE_BYTES = 512 << 20
"""Largest file, after decompression: past it memory, not time, is the question on a small device."""


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed data set specification.

    `path` is what stands behind the colon ("" where nothing does); `label` the label column of sources that have no
    fixed one; `column` the column by which rows will be dealt to nodes; `classes` a fixed, sorted set of class names.
    """

    path: Path | None
    label: str | None = None
    column: str | None = None
    classes: tuple[str, ...] | None = None

    def file(self, *names: str) -> Path:
        """The first of `names` that exists in the folder `path`."""
        folder = self.path or Path()
        for name in names:
            if (folder / name).is_file():
                return folder / name
        raise DataError(f"{folder}: no file {' or '.join(names)} here", "Give the folder that holds it.")


def read_bytes(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """All of a file, decompressed if its name ends in .gz or .xz; at most `limit` bytes. Raises `DataError`."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: not a plain file", "Name the file itself.")
    try:
        with _open(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", "Check the path behind the colon of the data set.") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})", "Check the file, or fetch it again.") from error
    if len(data) > limit:
        raise DataError(f"{path}: holds more than {limit} bytes", "Cut it into smaller files.")
    return data


def read_text(path: Path, limit: int = MAX_FILE_BYTES) -> str:
    """`read_bytes` as UTF-8, a byte order mark dropped."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8 text", "Convert the file to UTF-8.") from error


def label_groups(request: Request, classes: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.str_] | None:
    """Groups of a source whose only column is its class."""
    if request.column is None:
        return None
    if request.column != LABEL_COLUMN:
        raise DataError(
            f"the data set has no column {request.column!r}", f"Deal its rows by {LABEL_COLUMN!r}, its only one."
        )
    return np.array(classes, dtype=np.str_)[labels]


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    return path.open("rb")
