"""How a node trains, and what of it may leave the node: one class for each way.

    dp        noise           what training does                    what the working model is after it
    off       –               SGD                                   the trained model
    record    local           DP-SGD                                the trained model, which anybody may see
    record    distributed     one sum of clipped gradients          as before: what is made may be seen in a sum alone
    update    local           SGD, then clip and noise              the noised model, which anybody may see
    update    distributed     SGD, then clip and noise              as before: what is made may be seen in a sum alone

Under differential privacy the working model is never anything but what the accountant knows of and what follows from
it. Once the budget is spent a node brings nothing: it averages, serves, and says so once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from consensus.messages import Vector
from consensus.sharing import Update
from crypto.field import Signed
from node.learning.dp_contribution import SharedStep, SharedUpdate
from node.learning.dp_trainer import PrivateTrainer
from node.learning.errors import Diverged
from node.learning.trainer import Rows, Trained, Trainer
from node.learning.vector import FlatModel
from node.ledger import BudgetSpent
from overlay.topology_schema import Task

Pulse = Callable[[], None]
Spent = Callable[[], float]
"""ε that may have left the node so far."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every way of training works on."""

    model: FlatModel
    rows: Rows
    task: Task
    seed: int
    node: int

    def trainer(self) -> Trainer:
        """Plain SGD on it."""
        return Trainer(self.model, self.rows, self.task, seed=self.seed, node=self.node)


class Contribution(Protocol):
    """A way of training. Works on the model of its bench."""

    @property
    def private(self) -> bool:
        """Whether ε is claimed: then nothing that looks at the rows beside it may steer what is sent."""

    def train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002 - the glossary's word
        """Train for `round`, from the model's present values."""

    def update(self, base: Vector) -> Update | None:
        """What the node brings to a cell whose base it holds as `base` (d,); None where it brings nothing.

        Asked for a second time after one training, it makes a release of its own: two sums that hold one share of noise
        tell more than one does.
        """

    def epsilon(self) -> float | None:
        """ε of all that may have left the node; None where none is claimed."""


Strategy = Callable[[Bench], Contribution]


class Plain:
    """No noise: the model as it was trained."""

    private = False

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._trainer = bench.trainer()

    def slow(self, factor: float) -> None:
        """From now on train with `factor` times the task's learning rate."""
        self._trainer.pace = factor

    def train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002
        """As `Contribution.train`; raises `Diverged`."""
        return self._trainer.train(round, self._bench.task.local_epochs, pulse)

    def update(self, base: Vector) -> Update | None:
        """All that was learned since `base`."""
        return Update(self._bench.model.vector() - base)

    def epsilon(self) -> float | None:
        """None."""
        return None


class _Accounted:
    """What the ways that noise have in common: the ledger's word, and that a spent budget is told once."""

    private = True

    def __init__(self, bench: Bench, spent: Spent) -> None:
        self._bench = bench
        self._spent = spent
        self._over = False

    def epsilon(self) -> float | None:
        """As `Contribution.epsilon`."""
        return self._spent()

    def _trained(self, work: Callable[[], Trained]) -> Trained:
        """`work`, or nothing where the budget is spent."""
        trained = Trained(None, 0)
        if not self._over:
            try:
                trained = work()
            except BudgetSpent as error:
                self._over, trained = True, replace(trained, spent=error.problem)
        return replace(trained, epsilon=self._spent())

    def _once_more(self, make: Callable[[], object]) -> None:
        """`make`, or nothing where the budget is spent: the next training will tell."""
        if not self._over:
            with suppress(BudgetSpent):
                make()


class NoisedRecords(_Accounted):
    """Differential privacy for rows, by noise that protects alone."""

    def __init__(self, bench: Bench, spent: Spent, trainer: PrivateTrainer) -> None:
        super().__init__(bench, spent)
        self._trainer = trainer

    def train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002
        """As `Contribution.train`. Raises `Diverged`, which says nothing that the noised model would not."""
        return self._trained(lambda: self._trainer.train(round, self._bench.task.local_epochs, pulse))

    def update(self, base: Vector) -> Update | None:
        """What was learned since `base`: noised already, so that it may be brought more than once."""
        return None if self._over else Update(self._bench.model.vector() - base)


class SharedRecords(_Accounted):
    """Differential privacy for rows, by noise of which each member adds a share."""

    def __init__(self, bench: Bench, spent: Spent, step: SharedStep) -> None:
        super().__init__(bench, spent)
        self._step = step
        self._round = 0
        self._made: Signed | None = None

    def train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002, ARG002 - one step
        """As `Contribution.train`: one step at the model's values, which stay."""
        self._round, self._made = round, None
        return self._trained(self._make)

    def update(self, base: Vector) -> Update | None:  # noqa: ARG002 - a step is from where the model stands
        """The step, with its share of noise."""
        if self._made is None:
            self._once_more(self._make)
        made, self._made = self._made, None
        return None if made is None else _on_the_lattice(made)

    def _make(self) -> Trained:
        self._made, trained = self._step.make(self._round)
        return trained


class NoisedUpdates(_Accounted):
    """Differential privacy for all that a node does, by noise that protects alone."""

    def __init__(self, bench: Bench, spent: Spent, noise: SharedUpdate) -> None:
        super().__init__(bench, spent)
        self._noise = noise
        self._trainer = bench.trainer()

    def train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002
        """As `Contribution.train`; leaves the noised model."""
        return self._trained(lambda: self._train(round, pulse))

    def _train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002
        before, after, trained = _apart(self._bench, self._trainer, round, pulse)
        self._bench.model.load(self._noise.shown(before, self._noise.make(round, before, after)))
        return trained

    def update(self, base: Vector) -> Update | None:
        """What was learned since `base`: noised already, so that it may be brought more than once."""
        return None if self._over else Update(self._bench.model.vector() - base)


class SharedUpdates(_Accounted):
    """Differential privacy for all that a node does, by noise of which each member adds a share."""

    def __init__(self, bench: Bench, spent: Spent, noise: SharedUpdate) -> None:
        super().__init__(bench, spent)
        self._noise = noise
        self._trainer = bench.trainer()
        self._learned: tuple[int, Vector, Vector] | None = None
        self._made: Signed | None = None

    def train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002
        """As `Contribution.train`; the model stays as it was."""
        self._learned = self._made = None
        return self._trained(lambda: self._train(round, pulse))

    def _train(self, round: int, pulse: Pulse) -> Trained:  # noqa: A002
        before, after, trained = _apart(self._bench, self._trainer, round, pulse)
        self._learned = round, before, after
        self._make()
        return trained

    def update(self, base: Vector) -> Update | None:  # noqa: ARG002 - an update is from where the model stands
        """What the training taught, with its share of noise."""
        if self._made is None and self._learned is not None:
            self._once_more(self._make)
        made, self._made = self._made, None
        return None if made is None else _on_the_lattice(made)

    def _make(self) -> None:
        if self._learned is not None:
            self._made = self._noise.make(*self._learned)


def _apart(bench: Bench, trainer: Trainer, round: int, pulse: Pulse) -> tuple[Vector, Vector, Trained]:  # noqa: A002
    """The model before and after a training, which leaves it as it was."""
    before = bench.model.vector()
    try:
        trained = trainer.train(round, bench.task.local_epochs, pulse)
        after = bench.model.vector()
    except Diverged:
        # An end with an error would tell of the rows: they have taught nothing.
        trained, after = Trained(None, 0), before
    finally:
        bench.model.load(before)
    return before, after, trained


def _on_the_lattice(made: Signed) -> Update:
    return Update(np.zeros(made.size, dtype=np.float32), made)
