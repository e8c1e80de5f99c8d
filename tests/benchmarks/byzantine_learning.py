"""Softmax regression at all nodes at once, in numpy: what the Byzantine benchmark's nodes learn, and on which rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from node.learning.data import Split, load_dataset
from node.learning.partition import partition
from tests.benchmarks.machine import BenchmarkError


@dataclass(frozen=True)
class Rows:
    """Features (n, f) float32, the last a constant 1 for the bias, and labels (n,)."""

    features: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Problem:
    """A data set as the benchmark uses it."""

    name: str
    train: Rows
    test: Rows
    classes: int

    @property
    def size(self) -> int:
        """d: parameters of a model."""
        return self.train.features.shape[1] * self.classes


def mnist_folder() -> Path:
    """Raises BenchmarkError where there is none."""
    root = Path(os.environ.get("GRAPEVINE_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    if not (root / "mnist").is_dir():
        raise BenchmarkError(
            f"no MNIST at {root / 'mnist'}\nPut the four idx files there, or set GRAPEVINE_DATA to what holds mnist/."
        )
    return root / "mnist"


def problem(name: str, *, symmetric: bool = False) -> Problem:
    """`digits` or `mnist`; `symmetric`: MNIST's pixels in [−1, 1] instead of standardised ones."""
    split: Split = load_dataset(name if name == "digits" else f"mnist:{mnist_folder()}")
    return Problem(name, _rows(split.train, symmetric), _rows(split.test, symmetric), len(split.train.classes))


def _rows(data: object, symmetric: bool) -> Rows:
    features: np.ndarray = data.features  # type: ignore[attr-defined]
    if symmetric:
        low, high = features.min(), features.max()
        features = (features - low) * (2 / (high - low)) - 1
    ones = np.ones((len(features), 1), dtype=np.float32)
    return Rows(np.hstack([features, ones]).astype(np.float32), data.labels)  # type: ignore[attr-defined]


def dealt(rows: Rows, kind: str, nodes: int, seed: int) -> list[np.ndarray]:
    """Places of each node's rows. `kind`: iid, dirichlet-ALPHA, or classes: one class a node (some share one)."""
    if kind == "classes":
        return by_class(rows.labels, nodes)
    name, _, alpha = kind.partition("-")
    return list(partition(rows.labels, name, nodes, seed, alpha=float(alpha or 1)))


def by_class(labels: np.ndarray, nodes: int) -> list[np.ndarray]:
    """One class a node where there are as many nodes; the nodes of a class share its rows. Fewer: several a node."""
    classes = int(labels.max()) + 1
    if nodes <= classes:
        return [np.flatnonzero(labels % nodes == node) for node in range(nodes)]
    bounds = [group * nodes // classes for group in range(classes + 1)]
    parts: list[np.ndarray] = []
    for group in range(classes):
        parts += np.array_split(np.flatnonzero(labels == group), bounds[group + 1] - bounds[group])
    return parts


class Learners:
    """n softmax regressions, (n, f, classes), each on its own rows."""

    def __init__(self, shards: Sequence[Rows], classes: int, batch: int, seed: int) -> None:
        self._shards, self._classes, self._batch = shards, classes, batch
        self._rng = np.random.default_rng([seed, 0xBA7C])
        self._lengths = np.array([len(shard) for shard in shards])
        order = [np.random.default_rng([seed, node]).permutation(len(shard)) for node, shard in enumerate(shards)]
        wrapped = [np.resize(places, len(places) + batch) for places in order]
        self._features = [shard.features[places] for shard, places in zip(shards, wrapped, strict=True)]
        self._labels = [shard.labels[places] for shard, places in zip(shards, wrapped, strict=True)]
        self._eye = np.eye(classes, dtype=np.float32)

    @property
    def nodes(self) -> int:
        return len(self._shards)

    @property
    def size(self) -> int:
        return self._features[0].shape[1] * self._classes

    def _slice(self, node: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(first, first + self._batch)
        return self._features[node][rows], self._labels[node][rows]

    def gradients(self, models: np.ndarray, decay: float = 0.0) -> np.ndarray:
        """Of the mean loss of a drawn batch at each node, (n, d), for the models (n, d)."""
        # Consecutive rows from a random one on, round the end: a gather of single rows costs ten times as much.
        firsts = (self._rng.random(self.nodes) * self._lengths).astype(np.int64)
        slices = [self._slice(node, int(first)) for node, first in enumerate(firsts)]
        features = np.stack([features for features, _ in slices])  # (n, b, f)
        places = np.stack([labels for _, labels in slices])
        weights = models.reshape(self.nodes, -1, self._classes)
        wrong = softmax(features @ weights) - self._eye[places]
        gradient = features.transpose(0, 2, 1) @ (wrong / self._batch)
        return gradient.reshape(self.nodes, -1) + decay * models

    def updates(self, models: np.ndarray, rate: float, steps: int, decay: float = 0.0) -> np.ndarray:
        """What `steps` of SGD change, (n, d)."""
        at = models.copy()
        for _ in range(steps):
            at -= rate * self.gradients(at, decay)
        return at - models


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def predicted(models: np.ndarray, features: np.ndarray, classes: int) -> np.ndarray:
    """What the models (k, d) call the rows, (k, n)."""
    return np.stack([(features @ model.reshape(-1, classes)).argmax(axis=1) for model in models])


def accuracies(models: np.ndarray, test: Rows, classes: int) -> np.ndarray:
    """Of the models (k, d), in per cent, (k,)."""
    return 100 * (predicted(models, test.features, classes) == test.labels).mean(axis=1)
