"""Rows with labels, and the ways to cut them: training and test, training and holdout. No torch."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from node.learning.errors import DataError, PartitionError

Indices = NDArray[np.int64]
TEST_SHARE = 0.2
"""Share of the rows that becomes the test set where a source brings none of its own."""
TEST_SEED = 20_240_229
"""Fixed for all runs: a test set that moved with the run's seed would make accuracies incomparable."""
LABEL_COLUMN = "label"
"""Name under which every data set's class is a partition column."""
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, MemoryError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)
"""What zipfile and numpy raise on flipped bits, found by flipping them."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """n labelled rows of p features.

    features (n, p) float32, finite, contiguous · labels (n,) int64, index into `classes` · classes sorted names ·
    feature_names p names · groups (n,) text: each row's value of the column by which rows are dealt to nodes, if one
    was asked for. Raises `ValueError` where these do not fit together.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    groups: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.features.dtype != np.float32 or self.labels.dtype != np.int64:
            raise ValueError(f"features must be float32, labels int64; not {self.features.dtype}, {self.labels.dtype}")
        if self.features.shape != (n, len(self.feature_names)) or self.labels.ndim != 1:
            names = len(self.feature_names)
            raise ValueError(f"features {self.features.shape} do not fit {n} labels and {names} feature names")
        if n and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels {self.labels.min()}..{self.labels.max()} of {len(self.classes)} classes")
        if self.features.size and not (np.isfinite(self.features.min()) and np.isfinite(self.features.max())):
            raise ValueError("features must be finite")
        if self.groups is not None and self.groups.shape != (n,):
            raise ValueError(f"groups {self.groups.shape} for {n} rows")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Indices) -> Self:
        """The given rows, copied."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, features=self.features[rows], labels=self.labels[rows], groups=groups)


@dataclass(frozen=True, slots=True)
class Split:
    """What a source holds: rows to deal out to nodes, and the test set that no node trains on."""

    train: Dataset
    test: Dataset


@dataclass(frozen=True, slots=True)
class Shard:
    """One node's own rows: those it trains on, and the holdout on which it judges models."""

    train: Dataset
    holdout: Dataset


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """All rows of datasets of the same classes and features, in order; groups are dropped. Else `DataError`."""
    first = datasets[0]
    if any(d.classes != first.classes or d.feature_names != first.feature_names for d in datasets):
        raise DataError(
            "the nodes' data sets have different classes, columns or categories",
            "Give every node's file the same columns, and rows of every class and category.",
        )
    return Dataset(
        features=np.concatenate([d.features for d in datasets]),
        labels=np.concatenate([d.labels for d in datasets]),
        classes=first.classes,
        feature_names=first.feature_names,
    )


def stratified_rows(labels: NDArray[np.int64], share: float, seed: int) -> tuple[Indices, Indices]:
    """Row numbers (rest, chosen), ascending: of each class of k rows, round(k * share) are chosen at random."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen[rng.permutation(rows)[: round(len(rows) * share)]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def split_test(dataset: Dataset) -> Split:
    """Cut off the test set of a source that brings none: 20 % of each class, the same rows in every run."""
    train, test = stratified_rows(dataset.labels, TEST_SHARE, TEST_SEED)
    return Split(dataset.take(train), dataset.take(test))


def deal(train: Dataset, parts: Iterable[Indices], holdout: float, seed: int) -> tuple[Shard, ...]:
    """The nodes' shards from their row numbers; node i cuts its holdout by (seed, i), so it can do so alone."""
    return tuple(split_holdout(train.take(rows), holdout, seed, node) for node, rows in enumerate(parts))


def split_holdout(own: Dataset, share: float, seed: int, node: int = 0) -> Shard:
    """Keep round(n * share) of a node's n rows, at least 1 and at most n - 1, out of its training."""
    if len(own) < 2:
        raise PartitionError(
            f"node {node} has {len(own)} rows, and needs one to train on and one to hold out",
            "Give it more data, or use fewer nodes.",
        )
    held = min(max(1, round(len(own) * share)), len(own) - 1)
    order = np.random.default_rng([seed, node, 0x401D]).permutation(len(own))
    return Shard(train=own.take(np.sort(order[held:])), holdout=own.take(np.sort(order[:held])))


def save_dataset(path: Path, dataset: Dataset) -> None:
    """Write `dataset` as an npz file; whoever opens `path` finds all of it or nothing."""
    arrays = {
        "features": dataset.features,
        "labels": dataset.labels,
        "classes": np.array(dataset.classes, dtype=np.str_),
        "feature_names": np.array(dataset.feature_names, dtype=np.str_),
    }
    if dataset.groups is not None:
        arrays["groups"] = dataset.groups
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy types the keywords as its own flags
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def load_saved(path: Path) -> Dataset:
    """Read what `save_dataset` wrote. Raises `DataError` for anything else; never unpickles."""
    try:
        with path.open("rb") as raw, np.lib.npyio.NpzFile(raw, allow_pickle=False) as file:
            return Dataset(
                features=file["features"],
                labels=file["labels"],
                classes=tuple(file["classes"].tolist()),
                feature_names=tuple(file["feature_names"].tolist()),
                groups=file.get("groups"),
            )
    except _DAMAGE as error:
        raise DataError(f"{path}: not a data set that this program saved ({error})", "Prepare it again.") from error
