"""Who pulls the sums away: peers are seen only together, and in ever other company.

Round r opens a mean over the members S_r. Its alignment is a_r = ⟨mean_r, g⟩ / |g| with a reference direction g, the
running mean of what was opened. If member j adds b_j to the sum, a_r |S_r| = Σ_{j ∈ S_r} b_j + noise: a linear model
whose coefficients are found by ridge regression of the sums on the memberships (n columns), with every round a row and
older rows fading. Where cells never change, nothing is found, and the standard errors say so: a member counts as
pulling away only where its coefficient is below the median by so many standard errors.

Group testing for attackers under secure aggregation: FedGT (Xhemrishi et al. 2024); by regression, "Ridge regression
and the group test" is ours, measured in `tests/benchmarks`. What it finds weighs less; it never evicts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

import numpy as np

from consensus.messages import Vector
from crypto.identity import PeerId

WINDOW = 256
"""Rounds remembered."""
_RIDGE = 1.0
_LEAST_ROUNDS = 8
_FADE = 0.9
"""Of the reference direction a round."""


class GroupTest:
    """Collects what sums show and says how far each member pulls them away."""

    def __init__(self, peers: Collection[PeerId]) -> None:
        self._peers = tuple(sorted(peers))
        self._place = {peer: place for place, peer in enumerate(self._peers)}
        self._rows: deque[tuple[frozenset[PeerId], float]] = deque(maxlen=WINDOW)
        self._direction: Vector | None = None

    def see(self, members: Collection[PeerId], mean: Vector) -> None:
        """The mean (d,) opened over `members`. Members that are not on the list count for nothing."""
        listed = frozenset(peer for peer in members if peer in self._place)
        if not listed or not np.isfinite(mean).all():
            return
        if self._direction is not None:
            length = float(np.linalg.norm(self._direction))
            if length > 0:
                alignment = float(mean.astype(np.float64) @ self._direction.astype(np.float64)) / length
                self._rows.append((listed, alignment * len(members)))
        direction = mean if self._direction is None else _FADE * self._direction + (1 - _FADE) * mean
        self._direction = direction.astype(np.float32)

    def pulls(self) -> Mapping[PeerId, float]:
        """By how many standard errors each member's part lies below the median member's; positive: it pulls away.

        Empty until there are enough rounds, in enough different companies.
        """
        design = np.zeros((len(self._rows), len(self._peers)))
        target = np.array([value for _, value in self._rows])
        for row, (members, _) in enumerate(self._rows):
            design[row, [self._place[peer] for peer in members]] = 1.0
        if len(self._rows) < max(_LEAST_ROUNDS, len(self._peers)) or len({members for members, _ in self._rows}) < 2:
            return {}
        information = design.T @ design + _RIDGE * np.eye(len(self._peers))
        inverse = np.linalg.inv(information)
        parts = inverse @ design.T @ target
        residual = target - design @ parts
        freedom = max(1.0, len(target) - float(np.trace(inverse @ design.T @ design)))
        variance = float(residual @ residual) / freedom
        # Of the difference to the mean member: what all have in common is told by no change of company.
        others = np.eye(len(self._peers)) - 1 / len(self._peers)
        # Members that are always together cannot be told apart: their directions keep the prior's variance.
        errors = np.sqrt(np.maximum(variance * np.diag(others @ inverse @ others), np.finfo(np.float64).tiny))
        below = np.median(parts) - parts
        return {peer: float(below[place] / errors[place]) for peer, place in self._place.items()}
