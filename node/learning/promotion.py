"""Champion and challenger on a node's holdout. Pure.

The champion is the model in use: the average that did best on the holdout so far. Each round's average is its
challenger, and what the node trains on from, promoted or not. A holdout of a few dozen rows with few of the classes
must not be asked too much:

- *Both are averages.* A model fresh from local training would beat the average on the node's own skewed holdout for
  many rounds. If it could be champion, the node would cling to itself.
- *Not promoted is not rejected.* The average stays the working model; going back to an old champion whenever a round
  was a little worse would break the consensus that mixing builds.
- *Rolled back* is what is much worse for `PATIENCE` rounds in a row, or blown up beyond doubt, at once.

Much worse is an excess in holdout loss of `rollback_margin` × ln(classes), the loss of a guess. A ratio to the
champion's loss would be no measure: that falls towards zero, and a fraction of a nat is then many times as much. In
simulations of honest swarms (eight nodes, ring and clique, Dirichlet 0.5 and 0.1, 60 rounds, several learning rates)
the excess over three rounds in a row stays below 0.2 ln(classes), over a single round below 1.1; a model that knows
nothing has about 1. So the default margin of 0.5 never rolls an honest swarm back, and a replaced model always.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

PATIENCE = 3
"""Rounds in a row that a challenger must be much worse for."""
BLOWN_UP = 10.0
"""Margins of excess that no honest average has: no patience with them."""
NORM_LIMIT = 100.0
"""A challenger longer than this many champions has been scaled. The loss cannot tell: on a small holdout that it gets
all right, a model times a thousand has a loss of zero. In the simulations above no average is two champions
long; a hundred leaves room for many local epochs."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """An average on the holdout: mean cross-entropy in nats, and Euclidean norm. Either may be infinite or nan."""

    loss: float
    norm: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The champion, and for how many rounds in a row its challengers have been much worse.

    Version 0 is the initial model.
    """

    version: int
    loss: float
    norm: float
    worse: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a challenger, and the standing after it. `reason` is given for a rollback."""

    outcome: Literal["promoted", "kept", "rolled back"]
    standing: Standing
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """The rule. `promote_margin` is a share of the champion's loss, `rollback_margin` of ln(classes)."""

    classes: int
    promote_margin: float
    rollback_margin: float

    def judge(self, standing: Standing, challenger: Challenger, *, averaged: bool = True) -> Verdict:
        """The verdict on `challenger`. One that no peer took part in (`averaged` false) is never promoted."""
        blown_up = self.blown_up(standing, challenger)
        if blown_up is not None:
            return Verdict("rolled back", replace(standing, worse=0), blown_up)
        excess = self._excess(standing, challenger)
        if excess > self.rollback_margin:
            return self._much_worse(standing, challenger)
        if averaged and challenger.loss < standing.loss * (1 - self.promote_margin):
            return Verdict("promoted", Standing(standing.version + 1, challenger.loss, challenger.norm))
        return Verdict("kept", replace(standing, worse=0))

    def blown_up(self, standing: Standing, challenger: Challenger) -> str | None:
        """Why `challenger` can be no honest model; None if it can."""
        if not (math.isfinite(challenger.loss) and math.isfinite(challenger.norm)):
            return "the model or its holdout loss is not finite"
        # The floor of 1: a linear model may begin near zero, and grows many times over without harm.
        limit = NORM_LIMIT * max(standing.norm, 1.0)
        if challenger.norm > limit:
            return f"the model's norm is {challenger.norm:.3g}, the champion's {standing.norm:.3g}"
        if self._excess(standing, challenger) > BLOWN_UP * self.rollback_margin:
            return f"the holdout loss is {challenger.loss:.3g}, the champion's {standing.loss:.3g}"
        return None

    def _much_worse(self, standing: Standing, challenger: Challenger) -> Verdict:
        worse = standing.worse + 1
        # The initial model knows nothing. Where a node holds classes that few others have, the first averages are
        # worse than a guess on its holdout; going back to the guess would keep the node there.
        if standing.version == 0 or worse < PATIENCE:
            return Verdict("kept", replace(standing, worse=worse))
        reason = (
            f"the holdout loss is {challenger.loss:.3g}, the champion's {standing.loss:.3g}, "
            f"and has been much worse for {worse} rounds"
        )
        return Verdict("rolled back", replace(standing, worse=0), reason)

    def _excess(self, standing: Standing, challenger: Challenger) -> float:
        """How much worse the challenger is, in losses of a guess."""
        return (challenger.loss - standing.loss) / math.log(self.classes)
