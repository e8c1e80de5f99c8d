"""What a swarm is measured against: one model on all rows, and each node alone. Same shards, same training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from node.learning.dataset import Dataset, Shard, concatenate
from node.learning.models import build
from node.learning.trainer import Rows, Trainer, evaluate
from node.learning.vector import FlatModel
from overlay.topology_schema import Task

Progress = Callable[[int, int], None]
"""Called with rounds done and rounds in all."""


def centralised(
    task: Task, shards: Sequence[Shard], test: Dataset, *, rounds: int, seed: int, progress: Progress | None = None
) -> float:
    """Test accuracy of one model trained on the training rows of all shards, for rounds × local_epochs epochs."""
    pooled = concatenate([shard.train for shard in shards])
    return _train_alone(task, pooled, Rows(test), rounds, seed, len(shards), progress or _silent)


def local_only(
    task: Task, shards: Sequence[Shard], test: Dataset, *, rounds: int, seed: int, progress: Progress | None = None
) -> tuple[float, ...]:
    """Test accuracy of each node trained on its own rows alone, for as many epochs as in the swarm."""
    report = progress or _silent
    rows = Rows(test)
    total = rounds * len(shards)

    def alone(node: int, own: Dataset) -> float:
        return _train_alone(task, own, rows, rounds, seed, node, lambda done, _: report(node * rounds + done, total))

    return tuple(alone(node, shard.train) for node, shard in enumerate(shards))


def _train_alone(
    task: Task, train: Dataset, test: Rows, rounds: int, seed: int, node: int, progress: Progress
) -> float:
    torch.set_num_threads(1)
    model = FlatModel(build(task.model, len(train.feature_names), len(train.classes), task.hidden, seed))
    trainer = Trainer(model, Rows(train), task, seed=seed, node=node)
    for round_ in range(rounds):
        trainer.train(round_, task.local_epochs)
        progress(round_ + 1, rounds)
    return evaluate(model, test).accuracy


def _silent(_done: int, _total: int) -> None:
    pass
