"""Who pulls the sums away: peers are seen only together, and in ever other company.

Round r opens a mean m_r over the members S_r. Learning slows down and turns, so that sums of different rounds cannot
be compared as they are. But over three rounds they change evenly, nearly: what is left of m_r − (m_{r−1} + m_{r+1})/2
is due to who was there. Let g be the direction of what was opened so far, fading, and s_r the length along it in the
rounds around r; member j brings β_j s_r to a sum, 1 being the usual part. With a_r = 1_{S_r} / |S_r|, or the weights
of a screen over their sum, that is a linear model without what all have in common,

    ⟨m_r − (m_{r−1} + m_{r+1})/2, g⟩ / |g| = s_r ⟨a_r − (a_{r−1} + a_{r+1})/2, β⟩ + noise,     Σ β_j = n,

solved by ridge regression (n columns, a row a round, the last `WINDOW` of them). Who brings little has β near 0, as
honest members with few rows do; who works against the others has β < 0, and its pull is −β in standard errors (the
larger of the usual and the heteroscedastic ones: White 1980). Where cells never change nothing is found, and where
noise hides the direction the standard errors say so. Where learning goes one way for long, under noise above all, all
rounds side by side say more (`detect.peers.long_run`), and are asked instead.

Group testing for attackers under secure aggregation: FedGT (Xhemrishi et al. 2024), by codes; the regression of second
differences is ours, measured in `tests/benchmarks`. What it finds weighs less than what is seen; it never evicts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from consensus.messages import Vector
from crypto.identity import PeerId
from detect.peers.long_run import WINDOW, LongRun

_FADE: Final = 0.9
"""Of the direction a round: shorter, and noise hides it; longer, and honest members turn first."""
_RIDGE: Final = 1e-3
"""Times the mean diagonal of the information."""
_AROUND: Final = 5
"""Rounds that one row is made of: the middle one, two before and two after it."""
_ROWS_A_MEMBER: Final = 2
"""Rows that are there at least before anybody is judged: with as many unknowns as rows any residual is small."""
_MAX_STORED: Final = 4 * WINDOW

Row: TypeAlias = npt.NDArray[np.float64]


class GroupTest:
    """Collects what sums show and says how far each member pulls them away."""

    def __init__(self, peers: Collection[PeerId]) -> None:
        self._peers = tuple(sorted(peers))
        self._place = {peer: place for place, peer in enumerate(self._peers)}
        self._recent: deque[tuple[Row, Vector]] = deque(maxlen=_AROUND)
        self._past: Row | None = None
        """The fading mean of what was opened before the round that is judged."""
        self._rows: deque[tuple[Row, float]] = deque(maxlen=WINDOW)
        self._long = LongRun()
        self._stored: list[tuple[Row, float]] = []
        """Rows of the long run before a restart."""
        self._was_steady = False
        """What the long run found of itself before it; believed until it can tell again."""

    def see(self, members: Sequence[PeerId], mean: Vector, weights: Sequence[int] = ()) -> None:
        """The mean (d,) opened over `members`, round after round, by `weights` where they were weighed: one a member.
        Members off the list count for nothing.
        """
        counted = dict(zip(members, weights or [1] * len(members), strict=True))
        known = [peer for peer in counted if peer in self._place]
        if not known or not np.isfinite(mean).all() or not self._fits(mean):
            return
        company = np.zeros(len(self._peers))
        company[[self._place[peer] for peer in known]] = [counted[peer] / sum(counted.values()) for peer in known]
        self._recent.append((company, mean.astype(np.float32)))
        self._long.see(company, mean)
        if len(self._recent) == _AROUND:
            self._compare()

    def _fits(self, mean: Vector) -> bool:
        return not self._recent or self._recent[0][1].shape == mean.shape

    def _compare(self) -> None:
        companies = [company for company, _ in self._recent]
        means = [mean.astype(np.float64) for _, mean in self._recent]
        past = (means[0] + means[1]) / 2 if self._past is None else self._past
        self._past = _FADE * past + (1 - _FADE) * means[2]
        weight = 1 / (1 - _FADE)
        direction = (weight * past + means[3] + means[4]) / (weight + 2)  # without the one that is judged
        length = float(np.linalg.norm(direction))
        size = float((means[0] + means[1] + means[3] + means[4]) @ direction) / (4 * length) if length > 0 else 0.0
        if not size > 0:
            return
        company = companies[2] - (companies[1] + companies[3]) / 2
        moved = means[2] - (means[1] + means[3]) / 2
        self._rows.append((company * size, float(moved @ direction) / length))

    def pulls(self) -> Mapping[PeerId, float]:
        """By how many standard errors each member's part lies below nothing; positive: it works against the others.

        Empty until there are enough rounds, in enough different companies.
        """
        rows = self._stored + self._long.rows() if self._is_steady else list(self._rows)
        count = len(self._peers)
        if len(rows) < _ROWS_A_MEMBER * count or not any(row.any() for row, _ in rows):
            return {}
        design = np.stack([row for row, _ in rows])
        target = np.array([value for _, value in rows])
        information = design.T @ design
        inverse = np.linalg.inv(information + _RIDGE * float(np.trace(information)) / count * np.eye(count))
        parts = inverse @ design.T @ target
        # What all have in common is told by no change of company.
        others = np.eye(count) - 1 / count
        residual = target - design @ parts
        freedom = max(1, len(target) - count + 1)
        plain = others @ inverse @ others * float(residual @ residual) / freedom
        robust = inverse @ (design.T @ (design * np.square(residual)[:, None])) @ inverse * len(target) / freedom
        variances = np.maximum(np.diag(plain), np.diag(others @ robust @ others))
        errors = np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny))
        pulls = -(1 + others @ parts) / errors
        return {peer: float(pulls[place]) for peer, place in self._place.items()}

    @property
    def _is_steady(self) -> bool:
        steady = self._long.steady
        return self._was_steady if steady is None else steady

    # --- a restart ------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The rows, in plain values. Not the means and the direction, which are as long as models: it goes on four
        rounds later than it would have, eight for the long run, and finds the direction again.
        """
        long = (self._stored + self._long.rows())[-WINDOW:]
        return {"peers": list(self._peers), "steady": self._is_steady} | {
            name: [[*row.tolist(), value] for row, value in rows]
            for name, rows in (("rows", self._rows), ("long", long))
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from `snapshot`; one of other peers is forgotten. Raises `ValueError`, and changes nothing, where it is
        none.
        """
        try:
            if tuple(snapshot["peers"]) != self._peers:
                return
            rows, long = (
                deque((_row(values, len(self._peers)) for values in snapshot[name][:_MAX_STORED]), maxlen=WINDOW)
                for name in ("rows", "long")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the stored group test cannot be read: {error!r}") from error
        self._rows, self._stored = rows, list(long)
        self._long, self._was_steady = LongRun(), snapshot.get("steady") is True
        self._recent.clear()
        self._past = None


def _row(values: Sequence[float], count: int) -> tuple[Row, float]:
    numbers = np.array([float(value) for value in values])
    if len(numbers) != count + 1 or not np.isfinite(numbers).all():
        raise ValueError(f"a row of {len(numbers)} numbers, expected {count + 1} finite ones")
    return numbers[:-1], float(numbers[-1])
