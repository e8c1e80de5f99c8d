"""Rules that judge the others' vectors by one's own: by how long it is, or by how well it does on one's own data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from consensus.company import Chosen, Company, Row
from consensus.errors import PlanError
from consensus.messages import Vector

_BALANCE_GAMMA, _BALANCE_KAPPA, _BALANCE_OWN = 0.3, 1.0, 0.5
_UBAR_OWN = 0.5


@dataclass(frozen=True, slots=True)
class Standpoint:
    """From where a rule looks."""

    own: int | None = None
    """The place of the own vector among those given; None where there is none."""
    progress: float = 0.0
    """The share of the run's rounds that is over, in [0, 1]."""
    loss: Callable[[Vector], float] | None = None
    """Of a model on the node's own rows; None where nobody has any."""


def balance(company: Company, vectors: Sequence[Vector], standpoint: Standpoint) -> Row:
    """Half one's own, half the mean of who is within γ exp(−κ progress) |x| of it.

    BALANCE: Fang et al., "Byzantine-robust decentralized federated learning" (2024), equation 6, with γ = 0.3, κ = 1
    and α = 0.5.
    """
    distances = company.of_own()
    length = math.sqrt(_squared_norm(vectors[_own(company)]))
    reach = _BALANCE_GAMMA * math.exp(-_BALANCE_KAPPA * standpoint.progress) * length
    return _shared(company, distances <= reach, _BALANCE_OWN)


def ubar(company: Company, vectors: Sequence[Vector], standpoint: Standpoint) -> Row:
    """Half one's own, half the mean of those near it that do no worse on one's own rows.

    UBAR: Guo et al., "Byzantine-resilient decentralized stochastic gradient descent" (2021), algorithm 2: first the
    k − 1 − f nearest, then of these whose loss is not above the own model's, or the best of them where none is.
    """
    if standpoint.loss is None:
        raise PlanError("ubar judges models by their loss on a node's own rows: it needs a node that has some")
    own, distances = _own(company), company.of_own()
    order = [int(place) for place in np.argsort(distances, kind="stable") if place != own]
    near = order[: max(1, company.size - 1 - company.byzantine)]
    if not near:
        return _shared(company, np.zeros(company.size, dtype=np.bool_), _UBAR_OWN)
    losses = {place: standpoint.loss(vectors[place]) for place in near}
    bar = standpoint.loss(vectors[own])
    chosen = np.zeros(company.size, dtype=np.bool_)
    # `not >` would let NaN pass
    good = [place for place, loss in losses.items() if loss <= bar]
    chosen[good or [min(near, key=lambda place: (not math.isfinite(losses[place]), losses[place]))]] = True
    return _shared(company, chosen, _UBAR_OWN)


def _shared(company: Company, accepted: Chosen, own_share: float) -> Row:
    """`own_share` for oneself and the rest in equal parts for the `accepted`; all for oneself where there are none."""
    own = _own(company)
    chosen = accepted.copy()
    chosen[own] = False
    weights = np.zeros(company.size)
    count = int(chosen.sum())
    weights[chosen] = (1 - own_share) / max(count, 1)
    weights[own] = 1 - weights.sum()
    return weights


def _own(company: Company) -> int:
    company.of_own()  # raises where there is none
    assert company.own is not None  # noqa: S101 - just checked
    return company.own


def _squared_norm(vector: Vector) -> float:
    return float(np.square(vector, dtype=np.float64).sum())
