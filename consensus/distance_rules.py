"""Rules that need distances alone: from a company to the weights (k,) of an average, ≥ 0 and of sum 1.

`f` is the number of vectors that may be anything. Where a rule has a breakdown point, fewer honest vectors than it
needs are refused with the bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from consensus.company import Company, Places, Row
from consensus.errors import PlanError

DistanceRule: TypeAlias = Callable[[Company], Row]

_WEISZFELD_STEPS = 100
_WEISZFELD_FLOOR = 1e-6
"""Share of a usual squared distance below which a vector counts as being at the centre: keeps the steps moving."""
_CLIPPING_STEPS = 3
_WHOLE, _GONE = 1.5, 2.0
"""Usual distances up to which a vector counts whole, and from which it does not count."""
_TIE = 1e-12


def krum(company: Company) -> Row:
    """The vector whose k − f − 2 nearest are the nearest: Blanchard et al. 2017, section 4."""
    return _best_by_krum(company, 1)


def multi_krum(company: Company) -> Row:
    """The mean of the k − f vectors with the best Krum scores: Blanchard et al. 2017, section 5, m = k − f."""
    return _best_by_krum(company, company.size - company.byzantine)


def _best_by_krum(company: Company, count: int) -> Row:
    _need(company, 2 * company.byzantine + 3, "Krum needs n >= 2f + 3")
    near = company.size - company.byzantine - 2
    scores = np.sort(company.squared, axis=1)[:, 1 : 1 + near].sum(axis=1)
    return _uniform_over(company, _lowest(scores, count))


def faba(company: Company) -> Row:
    """f times leave out whoever is furthest from the mean of the rest: Xia et al. 2019, algorithm 1."""
    _need_majority(company)
    return _scissored(company, np.full(company.size, 1 / company.size), keep=None)


def ios(company: Company) -> Row:
    """Iterative outlier scissor: f times leave out whoever is furthest from the weighted mean of the rest, but oneself.

    Wu, Chen & Ling, "Byzantine-resilient decentralized stochastic optimization with robust aggregation rules" (2023),
    algorithm 2. The weight of who is left out goes to the others in proportion.
    """
    _need_majority(company)
    return _scissored(company, company.weights, keep=company.own)


def _scissored(company: Company, weights: Row, keep: int | None) -> Row:
    kept = np.ones(company.size, dtype=np.bool_)
    for _ in range(company.byzantine):
        trusted = np.where(kept, weights, 0.0)
        if not trusted.sum() > 0:
            break
        distances = company.centre_distances(trusted / trusted.sum())
        candidates = kept.copy()
        if keep is not None:
            candidates[keep] = False
        furthest = int(np.where(candidates, distances, -1.0).argmax())
        kept[furthest] = False
    trusted = np.where(kept, weights, 0.0)
    result: Row = trusted / trusted.sum()
    return result


def geometric_median(company: Company) -> Row:
    """The point with the least sum of weighted distances, by smoothed Weiszfeld steps (Pillutla et al. 2022) from the
    vector with the least sum on.
    """
    _need_majority(company)
    weights = np.zeros(company.size)
    weights[int((np.sqrt(company.squared) @ company.weights).argmin())] = 1.0
    floor = _WEISZFELD_FLOOR * max(float(np.median(company.squared.max(axis=1))), np.finfo(np.float64).tiny)
    for _ in range(_WEISZFELD_STEPS):
        to_each = company.squared @ weights  # as `centre_distances`, with the higher floor at once
        pulled = company.weights / np.sqrt(np.maximum(to_each - 0.5 * float(weights @ to_each), floor))
        moved = pulled / np.add.reduce(pulled)
        if np.maximum.reduce(np.abs(moved - weights)) < _TIE:
            break
        weights = moved
    return weights


def fading_mean(company: Company) -> Row:
    """The mean, in which those of the f furthest from the geometric median that are far out fade.

    The usual distance is the one that all but f keep, so no longer than an honest one. Up to 1.5 of it each counts
    whole, from 2 on not at all, and in proportion between: a redescending estimator (Hampel 1974, section 5). Scissors
    always cut f, so where each honest vector is unlike the others (one class a node) they cut those whose data nobody
    else has, and liars need only stand among the honest; this cuts who is out of reach. Oneself does not fade.
    """
    _need_majority(company)
    distances = np.sqrt(company.centre_distances(geometric_median(company)))
    usual = max(_reach(company, distances), np.finfo(np.float64).tiny)
    furthest = np.argsort(-distances, kind="stable")
    furthest = furthest[furthest != company.own][: company.byzantine]
    weights = company.weights.copy()
    weights[furthest] *= np.clip((_GONE - distances[furthest] / usual) / (_GONE - _WHOLE), 0.0, 1.0)
    if not weights.sum() > 0:
        return geometric_median(company)
    result: Row = weights / weights.sum()
    return result


def centred_clipping(company: Company) -> Row:
    """v ← v + Σ w_i clip(x_i − v, τ), from the own vector (or the geometric median): Karimireddy et al. 2021.

    τ is the distance that all but the f furthest keep, so that no scale has to be known beforehand.
    """
    _need_majority(company)
    at: Row = np.zeros(company.size)
    if company.own is None:
        at = geometric_median(company)
    else:
        at[company.own] = 1.0
    for _ in range(_CLIPPING_STEPS):
        distances = np.sqrt(company.centre_distances(at))
        pull = company.weights * _shortening(distances, _reach(company, distances))
        at = at * (1 - pull.sum()) + pull
    return at


def self_centred_clipping(company: Company) -> Row:
    """x + Σ w_j clip(x_j − x, τ): ClippedGossip, He, Karimireddy & Jaggi 2022, with its section 4.3's adaptive τ:

    τ² = Σ w_j |x_j − x|² over all but the f furthest others, divided by the weight of those f.
    """
    distances = company.of_own()
    others = np.argsort(distances, kind="stable")
    others = others[others != company.own]
    split = max(0, len(others) - company.byzantine)
    near, far = others[:split], others[split:]
    mass = float(company.weights[far].sum())
    if not mass > 0:
        return company.weights.copy()
    tau = float(np.sqrt((company.weights[near] * distances[near] ** 2).sum() / mass))
    return _clipped(company, distances, tau)


def clipped_sum(company: Company) -> Row:
    """x + Σ w_j clip(x_j − x, τ), τ so that twice the weight of f neighbours is clipped: CS+ of Gaucher, Dieuleveut &
    Hendrikx, "Unified breakdown analysis for Byzantine robust gossip" (2025), section 4.
    """
    distances = company.of_own()
    others = np.argsort(-distances, kind="stable")
    others = others[others != company.own]
    heaviest = np.sort(company.weights[others])[::-1][: company.byzantine]
    budget, tau = 2 * float(heaviest.sum()), np.inf
    clipped = 0.0
    for place in others:
        if clipped >= budget * (1 - _TIE):
            break
        clipped += float(company.weights[place])
        tau = float(distances[place])
    else:
        tau = 0.0 if clipped < budget * (1 - _TIE) else tau
    return _clipped(company, distances, tau)


def _clipped(company: Company, distances: Row, tau: float) -> Row:
    result: Row = company.weights * _shortening(distances, tau)
    result[company.own] += 1 - result.sum()
    return result


def _reach(company: Company, distances: Row) -> float:
    return float(np.sort(distances)[company.size - company.byzantine - 1])


def _shortening(distances: Row, tau: float) -> Row:
    longer = distances > tau
    factors: Row = np.where(longer, tau / np.where(longer, distances, 1.0), 1.0)
    return factors


def _lowest(scores: Row, count: int) -> Places:
    order: Places = np.argsort(scores, kind="stable")[:count]
    return order


def _uniform_over(company: Company, chosen: Places) -> Row:
    weights = np.zeros(company.size)
    weights[chosen] = 1 / len(chosen)
    return weights


def _need_majority(company: Company) -> None:
    _need(company, 2 * company.byzantine + 1, "cannot tolerate 2f >= n")


def _need(company: Company, least: int, theorem: str) -> None:
    if company.size < least:
        raise PlanError(f"{theorem}: f={company.byzantine}, n={company.size}")
