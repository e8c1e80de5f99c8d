"""A node's learning in one object: its rows, its working model, its champion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from consensus.messages import Vector
from consensus.sharing import Update
from node.learning.contribution import Bench, Plain, Strategy
from node.learning.dataset import Dataset, Shard, split_holdout
from node.learning.errors import Diverged, LearningError
from node.learning.models import build
from node.learning.pace import Pace
from node.learning.promotion import Challenger, Promotion, Standing, Verdict
from node.learning.snapshot import Snapshot, Value, damaged
from node.learning.trainer import Metrics, Rows, Trained, evaluate, no_pulse
from node.learning.vector import FlatModel, Layout, changes_by_layer, check_vector
from overlay.topology_schema import Task

__all__ = ["Assessment", "Learner", "Promoted", "Trained"]


@dataclass(frozen=True, slots=True)
class Promoted:
    """A champion was replaced: holdout loss of the new one and of the one before."""

    holdout_loss: float
    previous_holdout_loss: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """A round's outcome as the node sees it. All numbers are finite, and of the working model it goes on with."""

    holdout_loss: float
    """Nats."""
    holdout_accuracy: float
    test_accuracy: float | None
    """On the lab's global test set; None outside the lab."""
    promoted: Promoted | None
    rolled_back: str | None
    """Why the champion became the working model again, this round or in the training before it; the reason says where
    it was the initial model."""
    champion_version: int
    epsilon: float | None = None
    """Of all that may have left the node so far; None where none is claimed."""
    layer_change: Mapping[str, float] = field(default_factory=dict, compare=False)
    """What changed in the working model since the last assessment, or the restart: see `changes_by_layer`."""


@dataclass(frozen=True, slots=True)
class Restored:
    """An older champion is in use again, as `version`."""

    version: int
    holdout_loss: float
    previous_holdout_loss: float


class Learner:
    """Trains, takes averages over, keeps a champion. Not thread-safe: one caller at a time.

    Where ε is claimed, the holdout is looked at without noise, and so decides nothing that others can see: it chooses
    the champion, which stays on the node, and nothing is ever rolled back.
    """

    def __init__(
        self,
        task: Task,
        shard: Shard,
        *,
        seed: int,
        node: int,
        test: Dataset | None = None,
        strategy: Strategy = Plain,
    ) -> None:
        """`seed` is the swarm's: the same initial model on every node. (`seed`, `node`) orders the batches.

        `test` is the lab's global test set: assessed on, never trained on.
        """
        # More threads only fight: a batch is a few thousand multiplications, and a lab runs a node a process.
        torch.set_num_threads(1)
        features, classes = len(shard.train.feature_names), len(shard.train.classes)
        module = build(task.model, features, classes, task.hidden, seed)
        self._model = FlatModel(module)
        self._layout = Layout.of(module, shard.train).digest()
        self._contribution = strategy(Bench(self._model, Rows(shard.train), task, seed, node))
        self._holdout = Rows(shard.holdout)
        self._test = None if test is None else Rows(_matching(test, shard.train))
        self._promotion = Promotion(classes, task.promote_margin, task.rollback_margin)
        self._champion = self._initial = self._model.vector()
        self._metrics = evaluate(self._model, self._holdout)
        self._standing = Standing(0, self._metrics.loss, _norm(self._champion))
        self._fell_back: str | None = None
        self._pace = Pace() if task.adaptive_rate else None
        self._assessed = self._champion
        """The working model at the last assessment, never written to."""

    @classmethod
    def from_task(
        cls,
        task: Task,
        own: Dataset,
        *,
        seed: int,
        node: int,
        test: Dataset | None = None,
        strategy: Strategy = Plain,
    ) -> Self:
        """A learner of a node's own rows, of which the task's share becomes its holdout."""
        shard = split_holdout(own, task.holdout, seed, node)
        return cls(task, shard, seed=seed, node=node, test=test, strategy=strategy)

    # --- what the swarm agrees on ---------------------------------------------------------------------------------

    @property
    def layout(self) -> bytes:
        """32 bytes that peers compare: what each number of the vector stands for."""
        return self._layout

    @property
    def parameters(self) -> int:
        """d, the length of the vector."""
        return self._model.size

    @property
    def layers(self) -> tuple[int, ...]:
        """Where the weights and biases of each layer begin in the vector."""
        sizes = [parameter.numel() for parameter in self._model.module.parameters()]
        return tuple(sum(sizes[:place]) for place in range(len(sizes)))

    # --- a round --------------------------------------------------------------------------------------------------

    def train(self, round: int, pulse: Callable[[], None] = no_pulse) -> Trained:  # noqa: A002 - the glossary's word
        """Train for a round, from the working model on; `pulse` is called between batches and may raise.

        A model may look sound on the holdout and still blow up in training (one layer a million times too large, the
        next as much too small). Then the champion is trained instead, and the next assessment says so. Averages become
        champions, so that a liar can lead them to where none can be trained on; if the champion blows up too, the
        initial model is trained. If that blows up, the settings are to blame: raises `Diverged`. Where ε is claimed it
        is raised at once.
        """
        if self._contribution.private:
            return self._contribution.train(round, pulse)
        try:
            return self._train(round, pulse)
        except Diverged:
            trained, instead = self._train_anew(round, pulse)
        self._fell_back = f"training blew up in round {round}; {instead} was trained instead"
        return trained

    def _train_anew(self, round: int, pulse: Callable[[], None]) -> tuple[Trained, str]:  # noqa: A002
        self._model.load(self._champion)
        try:
            return self._train(round, pulse), "the champion"
        except Diverged:
            if self._standing.version == 0:  # the champion is the initial model
                raise
        self._model.load(self._initial)
        return self._train(round, pulse), "the initial model"

    def update(self, base: Vector) -> Update | None:
        """What the last training brings to a cell whose base this node holds as `base`, shape (d,), float32; None where
        it brings nothing. Ask once for every secret round that is begun.
        """
        check_vector(base, self._model.size)
        return self._contribution.update(base)

    def vector(self) -> Vector:
        """A copy of the working model, shape (d,)."""
        return self._model.vector()

    def adopt(self, vector: Vector, round: int, *, averaged: bool = True) -> Assessment:  # noqa: A002, ARG002
        """Make a round's outcome, shape (d,), the working model, and judge it on the holdout.

        `averaged` is false where no peer took part: the vector is then the node's own, and no challenger. Raises
        `LearningError` where the length does not fit. A vector that is not finite is rolled back, or, where ε is
        claimed, passed over.
        """
        private = self._contribution.private
        if private and not np.isfinite(vector).all():
            vector = self._model.vector()
        if averaged:
            self._keep_pace(self._model.vector(), vector)
        self._model.load(vector)
        metrics = evaluate(self._model, self._holdout)
        verdict = self._promotion.judge(self._standing, Challenger(metrics.loss, _norm(vector)), averaged=averaged)
        if private and verdict.outcome == "rolled back":
            verdict = Verdict("kept", self._standing)
        promoted = self._take(verdict, vector, metrics)
        rolled_back, self._fell_back = verdict.reason or self._fell_back, None
        shown = metrics if verdict.outcome != "rolled back" and np.isfinite(metrics.loss) else self._metrics
        before, self._assessed = self._assessed, self._model.vector()
        return Assessment(
            holdout_loss=shown.loss,
            holdout_accuracy=shown.accuracy,
            test_accuracy=None if self._test is None else evaluate(self._model, self._test).accuracy,
            promoted=promoted,
            rolled_back=rolled_back,
            champion_version=self._standing.version,
            epsilon=self._contribution.epsilon(),
            layer_change=changes_by_layer(self._model.module, before, self._assessed),
        )

    def _take(self, verdict: Verdict, vector: Vector, metrics: Metrics) -> Promoted | None:
        previous, self._standing = self._standing, verdict.standing
        if verdict.outcome == "rolled back":
            self._model.load(self._champion)
        if verdict.outcome != "promoted":
            return None
        self._champion, self._metrics = vector.copy(), metrics
        return Promoted(holdout_loss=metrics.loss, previous_holdout_loss=previous.loss)

    def _keep_pace(self, trained: Vector, vector: Vector) -> None:
        if self._pace is not None:
            self._pace.see(_norm(trained - vector))
            self._slow(self._pace)

    def _slow(self, pace: Pace) -> None:
        if isinstance(self._contribution, Plain):  # where ε is claimed the rate tells nothing of the rows
            self._contribution.slow(pace.factor)

    def _train(self, round: int, pulse: Callable[[], None]) -> Trained:  # noqa: A002
        trained = self._contribution.train(round, pulse)
        # The trainer sees to finite numbers. A model that grew a thousandfold is as lost, and would go to the peers.
        challenger = Challenger(self._standing.loss, _norm(self._model.vector()))
        blown_up = self._promotion.blown_up(self._standing, challenger)
        if blown_up is not None:
            raise Diverged(f"training blew up in round {round}: {blown_up}", "Lower learning_rate in [task].")
        return trained

    def judge(self) -> Callable[[Vector], float] | None:
        """The loss of a model (d,) on the holdout, in nats; None where ε is claimed: others would see what it decides.

        Not while a training is under way.
        """
        return None if self._contribution.private else self._loss

    def _loss(self, vector: Vector) -> float:
        working = self._model.vector()
        self._model.load(vector)
        try:
            return evaluate(self._model, self._holdout).loss
        finally:
            self._model.load(working)

    # --- the champion ---------------------------------------------------------------------------------------------

    @property
    def champion_version(self) -> int:
        """How many champions there have been; 0 is the initial model."""
        return self._standing.version

    @property
    def champion_holdout_accuracy(self) -> float:
        """The champion's share of holdout rows that it gets right."""
        return self._metrics.accuracy

    def champion(self) -> Vector:
        """A copy of the model in use, shape (d,)."""
        return self._champion.copy()

    @property
    def private(self) -> bool:
        """Whether ε is claimed."""
        return self._contribution.private

    def reinstate(self, champion: Vector) -> Restored:
        """Make an older `champion` (d,) champion and working model again, as the next version.

        Raises `LearningError` where it does not fit, and where ε is claimed: which models became champions was decided
        by the holdout, looked at without noise. One that peers get to see would tell of it what nobody charged for.
        """
        if self._contribution.private:
            raise LearningError(
                "the holdout chose the champions, and peers would see its choice, for which no privacy was charged",
                "Where ε is claimed a champion stays on its node: it serves there, and the rounds go on without it.",
            )
        check_vector(champion, self._model.size)
        self._model.load(champion)
        before = self._standing
        self._champion, self._metrics = champion.copy(), evaluate(self._model, self._holdout)
        self._standing = Standing(before.version + 1, self._metrics.loss, _norm(champion))
        self._fell_back = None
        return Restored(self._standing.version, self._metrics.loss, before.loss)

    # --- resuming -------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Value]:
        """All that a resumed node needs to go on as if it had never stopped, but for its rows and its task."""
        return Snapshot(
            layout=self._layout,
            working=self._model.vector(),
            champion=self._champion,
            version=self._standing.version,
            worse=self._standing.worse,
            pace=() if self._pace is None else self._pace.state,
        ).pack()

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Go on from `snapshot`. Raises `LearningError`, and changes nothing, where it does not fit this model.

        Losses are measured anew on the holdout, not believed.
        """
        saved = Snapshot.unpack(snapshot)
        if saved.layout != self._layout:
            raise LearningError(
                "the checkpoint is of a model with other layers, features or classes",
                "Resume with the topology and data that it was made with, or start in a new state folder.",
            )
        check_vector(saved.working, self._model.size)
        check_vector(saved.champion, self._model.size)
        if self._pace is not None and saved.pace:
            try:
                self._pace = Pace(saved.pace[1:], saved.pace[0])
            except ValueError as error:
                raise damaged("pace") from error
            self._slow(self._pace)
        self._model.load(saved.champion)
        self._champion = saved.champion
        self._metrics = evaluate(self._model, self._holdout)
        self._standing = Standing(saved.version, self._metrics.loss, _norm(saved.champion), saved.worse)
        self._fell_back = None
        self._model.load(saved.working)
        self._assessed = saved.working


def _norm(vector: Vector) -> float:
    """Euclidean, in double precision: the square of a large float32 overflows."""
    return float(np.linalg.norm(vector.astype(np.float64)))


def _matching(test: Dataset, own: Dataset) -> Dataset:
    if test.classes != own.classes or test.feature_names != own.feature_names:
        raise LearningError(
            "the test set has other classes or features than the node's own rows",
            "Load both from the same source.",
        )
    return test
