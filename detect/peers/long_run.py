"""Sums of many rounds side by side: what a steady direction shows where noise hides that of a few rounds.

Under the noise of differential privacy one opened mean says little of where learning goes, and all of them together say
it well. Let D_r be the sum of all means but m_r, x_r,i = ⟨m_i, D_r⟩ / |D_r|, and s_r the mean of x_r,i over the rounds
around r. Then

    x_r,r − s_r = s_r ⟨a_r − a, β⟩ + noise,     a: the mean of the companies around r,

the model of `detect.peers.group_test`, with a direction that noise hardly turns and a level from many rounds instead of
two. It is a model for learning that goes one way for long. Where it turns, a fading direction foretells a round's mean
better than that of the whole run does, and then nothing is said here (`steady`).

What can be seen at all: with noise of deviation σ a coordinate in a mean of k members of n, one of whom sits out in
turn, R rounds give β_j a standard error of about √(n/R) · kσ/s. Noise for a budget of ε grows as √R, so that more
rounds tell no more: only larger steps of the sums, s, do.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from consensus.messages import Vector

Row: TypeAlias = npt.NDArray[np.float64]

WINDOW: Final = 256
"""Rounds remembered."""
_ROOM: Final = 1 << 22
"""Numbers that the means may take: 16 MiB. Of large models few rounds are remembered, or none."""
_SIDE: Final = 4
"""Rounds before and after one that its level is taken from."""
_FADE: Final = 0.9
"""A round of the direction that this one is held against."""


class LongRun:
    """The last means, by their inner products with each other."""

    def __init__(self) -> None:
        self._means: list[Vector] = []
        self._companies: list[Row] = []
        self._inner = np.empty((0, 0))

    def see(self, company: Row, mean: Vector) -> None:
        """The `mean` (d,) opened over a company (n,), which adds up to one. One of another length begins anew."""
        if self._means and self._means[0].shape != mean.shape:
            self._means, self._companies, self._inner = [], [], np.empty((0, 0))
        room = min(WINDOW, _ROOM // mean.size)
        if room < 2 * _SIDE + 1:
            return
        if len(self._means) == room:
            del self._means[0], self._companies[0]
            self._inner = self._inner[1:, 1:]
        self._means.append(mean.astype(np.float32))
        self._companies.append(company)
        inner = np.array([float(other @ self._means[-1]) for other in self._means])
        count = len(inner)
        grown = np.empty((count, count))
        grown[:-1, :-1] = self._inner
        grown[-1], grown[:, -1] = inner, inner
        self._inner = grown

    @property
    def steady(self) -> bool | None:
        """Whether the direction of all other rounds foretells a round better than that of the rounds around it; None
        of too few.
        """
        count = len(self._means)
        if count < 2 * _SIDE + 1:
            return None
        apart = np.abs(np.arange(count)[:, None] - np.arange(count))
        all_others, near = (apart > 0).astype(np.float64), np.where(apart > 0, _FADE**apart, 0.0)
        return self._foretold(all_others) > self._foretold(near)

    def _foretold(self, weights: Row) -> float:
        """Σ over rounds of a mean's part along the direction that its row of `weights` (R, R) makes."""
        along = weights @ self._inner
        lengths = np.sqrt(np.maximum((along * weights).sum(axis=1), np.finfo(np.float64).tiny))
        return float((np.diag(along) / lengths).sum())

    def rows(self) -> list[tuple[Row, float]]:
        """What the model above says of each round: the row of β, (n,), and what it comes to."""
        count = len(self._means)
        if count < 2 * _SIDE + 1:
            return []
        totals = self._inner.sum(axis=1)
        lengths = np.sqrt(np.maximum(totals.sum() - 2 * totals + np.diag(self._inner), np.finfo(np.float64).tiny))
        along = (totals[None, :] - self._inner) / lengths[:, None]
        companies = np.stack(self._companies)
        found = []
        for place in range(count):
            first = max(0, min(place - _SIDE, count - 2 * _SIDE - 1))
            around = [other for other in range(first, first + 2 * _SIDE + 1) if other != place]
            level = float(along[place, around].mean())
            if level > 0:
                row = (companies[place] - companies[around].mean(axis=0)) * level
                found.append((row, float(along[place, place]) - level))
        return found
