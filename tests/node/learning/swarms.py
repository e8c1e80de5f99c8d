"""A swarm without a network: learners, a mixing matrix, a loop. And small data sets to learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.learning.data import Dataset, Split, load_dataset
from node.learning.learner import Assessment, Learner
from node.learning.partition import partition
from overlay.topology_schema import Task


def blobs(rows: int = 120, features: int = 4, classes: int = 3, seed: int = 0) -> Dataset:
    """Well separated Gaussian clouds, one a class; every class has rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows, dtype=np.int64) % classes
    centres = 3 * np.random.default_rng(99).standard_normal((classes, features))
    return Dataset(
        features=(centres[labels] + rng.standard_normal((rows, features))).astype(np.float32),
        labels=labels,
        classes=tuple("abcdefgh"[:classes]),
        feature_names=tuple(f"x{i}" for i in range(features)),
    )


def clique(nodes: int) -> NDArray[np.float64]:
    return np.full((nodes, nodes), 1 / nodes)


def ring(nodes: int) -> NDArray[np.float64]:
    """Metropolis–Hastings of a ring: a third each to oneself and both neighbours."""
    step = np.roll(np.eye(nodes), 1, axis=0)
    return (np.eye(nodes) + step + step.T) / 3


@dataclass
class Swarm:
    learners: list[Learner]
    mixing: NDArray[np.float64]
    assessments: list[list[Assessment]] = field(default_factory=list)

    @classmethod
    def of(cls, task: Task, split: Split, mixing: NDArray[np.float64], seed: int, tested: int = 4096) -> Swarm:
        """Only the first `tested` nodes are given the test set; in a clique all adopt the same average."""
        parts = partition(split.train.labels, task.partition, len(mixing), seed, alpha=task.alpha)
        tests = [split.test if node < tested else None for node in range(len(mixing))]
        learners = [
            Learner.from_task(task, split.train.take(rows), seed=seed, node=node, test=tests[node])
            for node, rows in enumerate(parts)
        ]
        return cls(learners, mixing)

    def run(self, rounds: int, corrupt: Callable[[int, NDArray[np.float64]], None] | None = None) -> Swarm:
        """`corrupt(round, averages)` may change the averages before they are adopted."""
        for round_ in range(len(self.assessments), len(self.assessments) + rounds):
            for learner in self.learners:
                learner.train(round_)
            averages = self.mixing @ np.stack([learner.vector() for learner in self.learners])
            if corrupt is not None:
                corrupt(round_, averages)
            self.assessments.append(
                [
                    learner.adopt(average.astype(np.float32), round_)
                    for learner, average in zip(self.learners, averages, strict=True)
                ]
            )
        return self

    def accuracy(self) -> float:
        """Mean test accuracy after the last round."""
        known = [assessment.test_accuracy for assessment in self.assessments[-1]]
        return float(np.mean([accuracy for accuracy in known if accuracy is not None]))

    def rollbacks(self) -> list[tuple[int, int, str]]:
        """(round, node, reason) of every rollback."""
        return [
            (round_, node, assessment.rolled_back)
            for round_, assessments in enumerate(self.assessments)
            for node, assessment in enumerate(assessments)
            if assessment.rolled_back is not None
        ]


def digits() -> Split:
    return load_dataset("digits")


def adult(data_dir: Path) -> Split:
    return load_dataset("adult:adult", folder=data_dir)
