"""What a distinguishing game proves about privacy: lower bounds that hold with a stated confidence.

A game: a record (a canary) is in the data or not, an attacker looks at what colluders saw and says which. By the
definition of (ε, δ)-differential privacy TPR ≤ e^ε FPR + δ for every attacker, and the same for "not in": so observed
error rates bound ε from below (Jagielski, Ullman and Oprea, "Auditing Differentially Private Machine Learning", 2020,
section 4; Nasr et al., "Adversary Instantiation", 2021). Rates are taken at the unfavourable ends of Clopper–Pearson
intervals, half of the allowed error on each side.

A claim that is stronger than (ε, δ), "as private as a Gaussian of noise multiplier z", bounds the whole trade-off: no
attacker has Φ⁻¹(TPR) − Φ⁻¹(FPR) > μ = 1/z (Dong, Roth and Su, "Gaussian Differential Privacy", 2022). One threshold in
the middle then shows nearly all of z with a few thousand games (Nasr et al., "Tight Auditing of Differentially Private
Machine Learning", 2023). It is the claim of `crypto.mechanisms`, and so this audits that claim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from crypto.accountant import gaussian_epsilon

Scores = npt.NDArray[np.float64]
CONFIDENCE = 0.95
_NORMAL = NormalDist()


def clopper_pearson(hits: int, trials: int, error: float) -> tuple[float, float]:
    """Bounds of a rate, each wrong with probability `error` at most (Clopper and Pearson 1934)."""
    low = 0.0 if hits == 0 else float(beta.ppf(error, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(beta.ppf(1 - error, hits + 1, trials - hits))
    return low, high


@dataclass(frozen=True, slots=True)
class Rates:
    """How an attacker did with one threshold, chosen before the games: counts of right and wrong cries of "in"."""

    found: int
    """Cries where the canary was in."""
    present: int
    false: int
    """Cries where it was not."""
    missing: int

    @classmethod
    def of(cls, present: Scores, missing: Scores, threshold: float) -> Rates:
        """Of an attacker that cries "in" above `threshold`."""
        return cls(
            int(np.count_nonzero(present > threshold)), present.size,
            int(np.count_nonzero(missing > threshold)), missing.size,
        )  # fmt: skip

    def bounds(self, confidence: float) -> tuple[float, float, float, float]:
        """(least TPR, largest TPR, least FPR, largest FPR)."""
        error = (1 - confidence) / 2
        return (*clopper_pearson(self.found, self.present, error), *clopper_pearson(self.false, self.missing, error))

    def epsilon(self, delta: float, confidence: float = CONFIDENCE) -> float:
        """The lower bound on ε at `delta`, whatever the mechanism is; 0 where nothing is shown."""
        low, _, _, most = self.bounds(confidence)
        return max(0.0, _log_ratio(low - delta, most), _log_ratio(1 - most - delta, 1 - low))

    def mu(self, confidence: float = CONFIDENCE) -> float:
        """The lower bound on μ = 1/z."""
        low, _, _, most = self.bounds(confidence)
        if not (low > 0 and most < 1):
            return 0.0
        return max(0.0, _NORMAL.inv_cdf(min(low, 1 - 1e-12)) - _NORMAL.inv_cdf(max(most, 1e-12)))

    def gaussian_epsilon(self, delta: float, confidence: float = CONFIDENCE) -> float:
        """The ε that a Gaussian mechanism of that μ has."""
        mu = self.mu(confidence)
        return gaussian_epsilon(1 / mu, delta) if mu > 1e-3 else 0.0


def _log_ratio(above: float, below: float) -> float:
    return math.log(above / below) if above > 0 and below > 0 else 0.0


def tail_threshold(mu: float, trials: int, delta: float) -> float:
    """Where an attacker cries "in" on scores N(b, 1/μ²) for the largest bound to be expected of so many games a side.

    A function of the claim alone, so that choosing it proves nothing wrong.
    """

    def expected(threshold: float) -> float:
        false = 1 - _NORMAL.cdf(mu * threshold)
        found = 1 - _NORMAL.cdf(mu * (threshold - 1))
        return Rates(round(found * trials), trials, round(false * trials), trials).epsilon(delta)

    return max((0.5 + 0.05 * step for step in range(120)), key=expected)


def auc(present: Scores, missing: Scores) -> float:
    """Probability that a canary that is in scores above one that is not; 0.5 is chance."""
    order = np.sort(missing)
    below = np.searchsorted(order, present, side="left")
    ties = np.searchsorted(order, present, side="right") - below
    return float(np.mean(below + ties / 2) / missing.size)


def auc_deviation(present: int, missing: int) -> float:
    """Deviation of the AUC of an attacker who guesses (Mann and Whitney 1947)."""
    return math.sqrt((present + missing + 1) / (12 * present * missing))
