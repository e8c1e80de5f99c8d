"""Sees to it that every champion of a running node is in its store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from consensus.messages import Vector
from node import journal
from node.store.database import StoreFailed
from node.store.models import Models


class Learner(Protocol):
    """What is asked of the learning room."""

    @property
    def champion_version(self) -> int:
        """How many champions there have been."""

    @property
    def champion_holdout_accuracy(self) -> float:
        """The champion's share of holdout rows that it gets right."""

    def champion(self) -> Vector:
        """The model in use, shape (d,)."""


class Champions:
    """Keeps the champion of one learner. One thread at a time."""

    def __init__(
        self, models: Models, learner: Learner, record: Callable[[journal.Event], None], wall_clock: Callable[[], float]
    ) -> None:
        self._models = models
        self._learner = learner
        self._record = record
        self._wall_clock = wall_clock
        self._kept = {row["version"] for row in models.versions()}

    def keep(self, rounds: int) -> None:
        """Write the champion after `rounds` rounds, where it is not there yet. A database that fails is told of, and
        tried again the next time: the champion is in the checkpoint too.
        """
        version = self._learner.champion_version
        if version in self._kept:
            return
        try:
            self._models.save(
                version,
                self._learner.champion().astype("<f4").tobytes(),
                at=self._wall_clock(),
                round=max(rounds - 1, 0),
                holdout_accuracy=self._learner.champion_holdout_accuracy,
            )
        except StoreFailed as failure:
            told = {"at": self._wall_clock(), "module": "store", "status": "degraded", "reason": failure.problem}
            self._record(journal.ModuleChanged.model_validate(told))
        else:
            self._kept.add(version)


def unpack_champion(content: bytes) -> Vector:
    """The vector, shape (d,), of what `Champions` wrote. Raises ValueError where it is none."""
    return np.frombuffer(content, dtype="<f4").astype(np.float32)
