"""From a budget to the noise that keeps it: what all nodes of a swarm compute alike from their topology file.

Nothing here looks at a record. `rows`, by which sums become means, is a number that everybody may know (the average
number of rows a node, say), not a node's own count: under "add or remove a record" a count is itself private.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from crypto.accountant import Release, calibrate
from crypto.mechanisms import LatticeGaussian

_FAILURE_SHARE = 1e-3
"""Share of δ that the roundings to the lattice may use up."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Where noise is shared among members: what their sum must hold."""

    members: int
    """m."""
    shares: int
    """h = m − t − f − e (`crypto.mechanisms.noise_shares`)."""
    room: float
    """Norm of an honest update, in lattice units (`ProofParameters.honest_norm`)."""


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """Differential privacy for one record of one node: `steps` releases of a noised sum of clipped gradients."""

    clip: float
    """c: norm that each record's gradient is clipped to."""
    sampling: float
    """q: probability with which a record takes part in a step."""
    steps: int
    """Releases over the whole run."""
    rows: float
    """Public number of rows a node; q · rows divides the sums."""
    multiplier: float
    """z."""
    failure: float
    """β of a release."""

    @classmethod
    def within(cls, epsilon: float, delta: float, *, clip: float, sampling: float, steps: int, rows: float) -> Self:
        """The plan with the least noise that `steps` releases need to stay within (epsilon, delta)."""
        if not (math.isfinite(rows) and rows > 0):
            raise ValueError(f"rows must be positive and finite, got {rows}")
        failure = _FAILURE_SHARE * delta / steps
        multiplier = _agreed(calibrate(epsilon, delta, steps=steps, sampling=sampling, failure=failure * steps))
        return cls(clip, sampling, steps, rows, multiplier, failure)

    def local(self, dimension: int) -> LatticeGaussian:
        """Noise on the gradient sum of one node that protects by itself; unit: the gradient's."""
        return LatticeGaussian.fitted(
            dimension=dimension,
            clip=self.clip,
            multiplier=self.multiplier,
            cap=self._cap,
            failure=self.failure,
        )

    def distributed(self, dimension: int, learning_rate: float, cell: Cell) -> LatticeGaussian:
        """One member's share of noise on its update −η / (q · rows) · Σ g; unit: the model's."""
        rate = self.step_size(learning_rate)
        return LatticeGaussian.fitted(
            dimension=dimension,
            clip=rate * self.clip,
            multiplier=self.multiplier,
            cap=rate * self._cap,
            room=cell.room,
            shares=cell.shares,
            members=cell.members,
            failure=self.failure,
        )

    def step_size(self, learning_rate: float) -> float:
        """What a sum of gradients is multiplied by: η / (q · rows)."""
        return learning_rate / (self.sampling * self.rows)

    def release(self, steps: int = 1) -> Release:
        """What `steps` releases cost."""
        return Release(self.multiplier, self.sampling, steps, self.failure * steps)

    @property
    def _cap(self) -> float:
        # All of an expected batch pointing the same way. Longer sums are rare and shortened; that costs no privacy.
        return max(1.0, self.sampling * self.rows) * self.clip


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Differential privacy for a node's updates: each of `rounds` updates clipped to `clip` and noised.

    Neighbours: a node that contributes as it does, or zero in the place of every update; so all of a node's data is
    covered, while that the node takes part is public.
    """

    clip: float
    """Norm that a whole update is clipped to."""
    rounds: int
    multiplier: float
    failure: float

    @classmethod
    def within(cls, epsilon: float, delta: float, *, clip: float, rounds: int) -> Self:
        """The plan with the least noise that `rounds` updates need to stay within (epsilon, delta)."""
        failure = _FAILURE_SHARE * delta / rounds
        multiplier = _agreed(calibrate(epsilon, delta, steps=rounds, failure=failure * rounds))
        return cls(clip, rounds, multiplier, failure)

    def mechanism(self, dimension: int, cell: Cell | None = None) -> LatticeGaussian:
        """Noise on an update: by itself where `cell` is None, else one member's share."""
        return LatticeGaussian.fitted(
            dimension=dimension,
            clip=self.clip,
            multiplier=self.multiplier,
            cap=self.clip,
            room=math.inf if cell is None else cell.room,
            shares=1 if cell is None else cell.shares,
            members=1 if cell is None else cell.members,
            failure=self.failure,
        )

    def release(self) -> Release:
        """What one update costs."""
        return Release(self.multiplier, 1.0, 1, self.failure)


def _agreed(multiplier: float) -> float:
    """At most one part in 2¹⁵ more. All members must have the same, and mathematical libraries differ in the last
    place.
    """
    mantissa, exponent = math.frexp(multiplier)
    return math.ldexp(math.ceil(mantissa * 2**16), exponent - 16)
