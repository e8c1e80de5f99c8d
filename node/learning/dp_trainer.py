"""DP-SGD on one node's rows, with noise that protects alone.

Abadi et al. 2016, "Deep Learning with Differential Privacy", with Poisson samples and lattice noise.

Every vector that comes out of `PrivateTrainer.train` is (ε, δ)-differentially private for each record it trained on,
against everybody else together, whatever is done with it afterwards. What is not covered: the losses (they stay on
the node), rows that are used otherwise (a holdout that decides on rollback), and that a node takes part.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from crypto.accountant import steps_of
from crypto.mechanisms import LatticeGaussian, RandBytes
from crypto.randomness import SEED_BYTES
from node.learning.dp_gradients import ClippedGradients, ClippedSum
from node.learning.dp_plan import RecordPlan
from node.learning.dp_sampling import PoissonSampler
from node.learning.errors import Diverged
from node.learning.trainer import Rows, Trained, no_pulse
from node.learning.vector import FlatModel
from node.ledger import Charge
from overlay.topology_schema import Task


class SampledGradients:
    """Sums of clipped gradients over Poisson samples of a node's rows: what every kind of noise is added to."""

    def __init__(self, model: FlatModel, rows: Rows, plan: RecordPlan, randbytes: RandBytes) -> None:
        self._rows = rows
        self._gradients = ClippedGradients(model, plan.clip)
        self._sampler = PoissonSampler(len(rows), plan.sampling)
        self._randbytes = randbytes

    def draw(self) -> ClippedSum:
        """At the model's present values; not noised yet."""
        chosen = self._sampler.draw(self._randbytes(SEED_BYTES))
        return self._gradients.sum(self._rows, torch.from_numpy(chosen))


class PrivateTrainer:
    """As `Trainer`, with clipped gradients of Poisson samples and noise in each step.

    g = (Σ clipped gradients + noise of deviation z c) / (q · rows); v ← m v + g + λ w; w ← w − η v. An epoch is 1/q
    steps. Two trainings of one round are two releases: each is charged for.
    """

    def __init__(
        self,
        model: FlatModel,
        rows: Rows,
        task: Task,
        plan: RecordPlan,
        charge: Charge,
        randbytes: RandBytes,
    ) -> None:
        """`charge` is `Ledger.charging`; `randbytes` gives secret bytes (os.urandom), never the same twice."""
        self._model = model
        self._task = task
        self._plan = plan
        self._charge = charge
        self._randbytes = randbytes
        self._sampled = SampledGradients(model, rows, plan, randbytes)
        self._mechanism: LatticeGaussian = plan.local(model.size)
        self._velocity = torch.zeros(model.size)

    def train(self, round: int, epochs: int, pulse: Callable[[], None] = no_pulse) -> Trained:  # noqa: A002 - our word
        """`epochs` expected passes over the rows, from the model's present values; `pulse` is called between steps.

        Charges before the first step: raises BudgetSpent, with the model untouched, where the steps exceed the budget.
        Raises `Diverged` when the values cease to be finite; that shows in what is released anyway.
        """
        steps = steps_of(epochs, self._plan.sampling)
        self._charge(round, self._plan.release(steps))
        self._velocity.zero_()
        loss, examples = 0.0, 0
        for _ in range(steps):
            drawn = self._sampled.draw()
            loss, examples = loss + drawn.loss, examples + drawn.examples
            self._descend(drawn)
            pulse()
        if not bool(torch.isfinite(self._model.values).all()):
            raise Diverged(
                f"training left the finite numbers in round {round}",
                f"Lower learning_rate (it is {self._task.learning_rate:g}) in [task].",
            )
        return Trained(loss / max(1, examples), examples)

    def _descend(self, drawn: ClippedSum) -> None:
        noised = self._mechanism.noised(drawn.total.float().numpy(), self._randbytes)
        gradient = torch.from_numpy(self._mechanism.decoded(noised)).div_(self._plan.sampling * self._plan.rows)
        values = self._model.values
        if self._task.weight_decay:
            gradient.add_(values, alpha=self._task.weight_decay)
        self._velocity.mul_(self._task.momentum).add_(gradient)
        values.add_(self._velocity, alpha=-self._task.learning_rate)
