"""Local SGD on one node's rows. One thread, no DataLoader: at this size the bookkeeping costs more than the algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from node.learning.dataset import Dataset
from node.learning.errors import Diverged
from node.learning.vector import FlatModel
from overlay.topology_schema import Task

_EVALUATION_ROWS = 1024
"""Rows of one forward pass: 3 MB of MNIST, which a processor's cache holds."""
_SHUFFLE = 0x5F1E


@dataclass(frozen=True, slots=True)
class Trained:
    """A node's training in one round."""

    loss: float | None
    """Mean over the samples as they were seen; None where nothing was trained."""
    samples: int
    epsilon: float | None = None
    """Of all that may have left the node once this has; None where none is claimed."""
    spent: str | None = None
    """Why nothing is trained any more: given once, in the round that the budget of privacy would not allow."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """A model on some rows: mean cross-entropy in nats (infinite or nan if blown up), share of rows it gets right."""

    loss: float
    accuracy: float


def no_pulse() -> None:
    """Nobody asks to be called between batches."""


class Rows:
    """The rows of a data set as tensors that share its memory."""

    def __init__(self, dataset: Dataset) -> None:
        self.features = torch.from_numpy(dataset.features)
        self.labels = torch.from_numpy(dataset.labels)

    def __len__(self) -> int:
        return len(self.labels)


class Trainer:
    """SGD with momentum: v ← m v + g + λ w, w ← w - η v, as in `torch.optim.SGD`, on the flat vector.

    The velocity begins at zero in every round. It points where *this* node's rows pull; carried over an average it
    would push every node back towards its own data, and a node that resumed from a checkpoint without it would
    train differently from one that never stopped.
    """

    def __init__(self, model: FlatModel, rows: Rows, task: Task, *, seed: int, node: int) -> None:
        self._model = model
        self._rows = rows
        self._task = task
        self._seed = (seed, node)
        self._velocity = torch.zeros(model.size)
        self.pace = 1.0
        """What the task's learning rate is multiplied by."""

    def train(self, round: int, epochs: int, pulse: Callable[[], None] = no_pulse) -> Trained:  # noqa: A002 - our word
        """`epochs` passes over the rows, from the model's present values; `pulse` is called between batches.

        The order of rows follows from (seed, node, round) alone: no generator's state needs to be kept to resume.
        Raises `Diverged` when loss or values cease to be finite; the values are then spoilt.
        """
        rng = np.random.default_rng([*self._seed, round, _SHUFFLE])
        self._velocity.zero_()
        total = torch.zeros(())
        for _ in range(epochs):
            self._epoch(torch.from_numpy(rng.permutation(len(self._rows))), total, pulse)
        loss = float(total) / (epochs * len(self._rows))
        if not (np.isfinite(loss) and bool(torch.isfinite(self._model.values).all())):
            raise Diverged(
                f"training left the finite numbers in round {round}",
                f"Lower learning_rate (it is {self._task.learning_rate:g}) in [task].",
            )
        return Trained(loss, epochs * len(self._rows))

    def _epoch(self, order: Tensor, total: Tensor, pulse: Callable[[], None]) -> None:
        # One gather for the whole epoch; batches are then views.
        features, labels = self._rows.features[order], self._rows.labels[order]
        size = self._task.batch_size
        for at in range(0, len(labels), size):
            x, y = features[at : at + size], labels[at : at + size]
            total.add_(self._differentiate(x, y), alpha=len(y))
            self._descend()
            pulse()

    def _differentiate(self, x: Tensor, y: Tensor) -> Tensor:
        """Put the gradient of the batch's mean loss into `model.gradient`; the loss, shape ().

        x (b, p), y (b,). The one place that knows how a batch becomes a gradient.
        """
        self._model.gradient.zero_()
        loss = cross_entropy(self._model.module(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _descend(self) -> None:
        gradient, values = self._model.gradient, self._model.values
        if self._task.weight_decay:
            gradient.add_(values, alpha=self._task.weight_decay)
        self._velocity.mul_(self._task.momentum).add_(gradient)
        values.add_(self._velocity, alpha=-self._task.learning_rate * self.pace)


def evaluate(model: FlatModel, rows: Rows) -> Metrics:
    """The model on all of `rows`."""
    loss, right = torch.zeros((), dtype=torch.float64), 0
    with torch.inference_mode():
        for at in range(0, len(rows), _EVALUATION_ROWS):
            x, y = rows.features[at : at + _EVALUATION_ROWS], rows.labels[at : at + _EVALUATION_ROWS]
            logits = model.module(x)
            loss += cross_entropy(logits, y, reduction="sum")
            right += int((logits.argmax(dim=1) == y).sum())
    return Metrics(loss=float(loss) / len(rows), accuracy=right / len(rows))


def predict(model: FlatModel, features: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The class that the model gives each row of `features` (n, p), as (n,) numbers of classes."""
    with torch.inference_mode():
        labels: npt.NDArray[np.int64] = model.module(torch.from_numpy(features)).argmax(dim=1).numpy()
    return labels
