"""What a node brings to a private round: its update on the lattice, with its share of the noise.

A contribution by itself protects nothing when its noise is a share: it may leave the node only secret-shared, so that
no more than the sum over a cell is ever opened. The sum then holds the noise of h members or more whom no t colluders
control: (ε, δ) for each record (or update) of each member, against those t together with all who see the sums. More
than t colluders, or members who see each other's contributions, are not covered.
"""

from __future__ import annotations

import numpy as np

from consensus.messages import Vector
from crypto.accountant import Release
from crypto.field import Signed
from crypto.mechanisms import LatticeGaussian, RandBytes
from node.learning.dp_plan import RecordPlan, UpdatePlan
from node.learning.dp_trainer import SampledGradients
from node.learning.trainer import Rows, Trained
from node.learning.vector import FlatModel, check_vector
from node.ledger import Charge


class SharedStep:
    """One step of DP-SGD with distributed noise: u = −η / (q · rows) · Σ clipped gradients + a share of noise.

    The mean of a cell's contributions is a step on the pooled rows of its members, at the common public vector y.
    """

    def __init__(
        self,
        model: FlatModel,
        rows: Rows,
        plan: RecordPlan,
        mechanism: LatticeGaussian,
        learning_rate: float,
        charge: Charge,
        randbytes: RandBytes,
    ) -> None:
        """`mechanism` is `plan.distributed(model.size, learning_rate, cell)`, the same on every member."""
        if mechanism.clip != plan.step_size(learning_rate) * plan.clip or mechanism.multiplier != plan.multiplier:
            raise ValueError("the mechanism was made for another plan or learning rate: use plan.distributed")
        self.mechanism = mechanism
        self._plan = plan
        self._step_size = plan.step_size(learning_rate)
        self._charge = charge
        self._randbytes = randbytes
        self._sampled = SampledGradients(model, rows, plan, randbytes)

    def make(self, round: int) -> tuple[Signed, Trained]:  # noqa: A002
        """The noised step from the model's present values, (d,) int32 lattice units; the model stays as it is.

        Charges first: raises BudgetSpent where the budget does not allow it. The cell's sum is decoded by
        `mechanism.encoding(m)`.
        """
        self._charge(round, self._plan.release())
        drawn = self._sampled.draw()
        update = drawn.total.mul(-self._step_size).float().numpy()
        noised = self.mechanism.noised(update, self._randbytes)
        return noised, Trained(drawn.loss / max(1, drawn.examples), drawn.examples)


class SharedUpdate:
    """A whole local update, clipped and noised: by itself, or with a share of noise."""

    def __init__(self, plan: UpdatePlan, mechanism: LatticeGaussian, charge: Charge, randbytes: RandBytes) -> None:
        """`mechanism` is `plan.mechanism(d, cell)`, the same on every member."""
        if mechanism.clip != plan.clip or mechanism.multiplier != plan.multiplier:
            raise ValueError("the mechanism was made for another plan: use plan.mechanism")
        self.mechanism = mechanism
        self._release: Release = plan.release()
        self._charge = charge
        self._randbytes = randbytes

    def make(self, round: int, before: Vector, after: Vector) -> Signed:  # noqa: A002
        """after − before, (d,) float32 each, on the lattice (d,) int32.

        Numbers that are not finite count as 0, since a refusal would tell of the data.
        """
        check_vector(before, self.mechanism.dimension)
        check_vector(after, self.mechanism.dimension)
        self._charge(round, self._release)
        with np.errstate(over="ignore", invalid="ignore"):
            update = np.nan_to_num(after - before, nan=0.0, posinf=0.0, neginf=0.0)
        return self.mechanism.noised(update, self._randbytes)

    def shown(self, before: Vector, noised: Signed) -> Vector:
        """The noised model (d,) float32, for local noise: `before` and the update that anybody may see."""
        return before + self.mechanism.decoded(noised)
