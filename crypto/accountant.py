"""What a sequence of noisy releases reveals about one record or one update, as (ε, δ). Pure mathematics.

A `Release` is a Gaussian mechanism of noise multiplier z (deviation over sensitivity), on a Poisson sample at rate q.
Without sampling, releases compose to one Gaussian mechanism of 1/z² = Σ 1/z_i², whose (ε, δ) is known exactly (Balle
and Wang, "Improving the Gaussian Mechanism for Differential Privacy", 2018, Theorem 8). With sampling, Rényi
divergences add up: those of the sampled Gaussian by Mironov, Talwar and Zhang ("Rényi Differential Privacy of the
Sampled Gaussian Mechanism", 2019), at real orders, converted by Canonne, Kamath and Steinke (2020, Proposition 12).
Every figure is an upper bound at every order; no central limit is taken anywhere.

Neighbours differ in one element, present or absent ("add or remove"): sampling decides for each element by itself,
and nobody but its owner sees the outcome. Whoever sees the samples, or replaces an element by another, is not covered
by these figures (replacing costs at most two elements: Release with z / 2 where nothing is sampled).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MAX_STEPS: Final = 1 << 40
MIN_MULTIPLIER: Final = 0.05
"""Below it ε is in the hundreds; the quadrature is not made for it."""
MAX_ORDER: Final = 1 << 14

_ROUNDED_UP: Final = 1 + 1e-9
"""What the roundings of this file may err by, many times over."""
_NODES: Final = 8  # to a deviation, or to the half-width of the strip
_LEAST_ORDER: Final = 1 + 2**-7
_SEARCH_STEPS: Final = 32
_TAIL: Final = 13.0  # exp(-13**2 / 2) < 2**-120


class AccountingError(ValueError):
    """A release or a target outside of what can be accounted for."""


@dataclass(frozen=True, slots=True)
class Release:
    """`steps` results of the Poisson-sampled Gaussian mechanism, published one after the other."""

    multiplier: float
    """z: deviation of the noise over the largest Euclidean change that one element makes."""
    sampling: float = 1.0
    """q: probability with which an element takes part in a step; 1 where nothing is sampled."""
    steps: int = 1
    failure: float = 0.0
    """Probability, over all the steps, that an element changed more than z was computed for. Taken off δ."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.multiplier) and self.multiplier >= MIN_MULTIPLIER):
            raise AccountingError(f"a noise multiplier z >= {MIN_MULTIPLIER} is needed, got {self.multiplier}")
        if not 0 < self.sampling <= 1:
            raise AccountingError(f"a sampling rate 0 < q <= 1 is needed, got {self.sampling}")
        if not 1 <= self.steps <= MAX_STEPS:
            raise AccountingError(f"1 <= steps <= {MAX_STEPS} is needed, got {self.steps}")
        if not 0 <= self.failure < 1:
            raise AccountingError(f"a probability 0 <= failure < 1 is needed, got {self.failure}")


def steps_of(epochs: int, sampling: float) -> int:
    """Steps in which a record takes part `epochs` times on average, when it does so with probability `sampling`."""
    return max(1, round(epochs / sampling))


def epsilon(releases: Iterable[Release], delta: float) -> float:
    """ε such that all `releases` together are (ε, δ)-differentially private; inf where δ is used up by failures.

    The releases may be chosen one after the other in the light of what the earlier ones showed, their parameters not
    (those are fixed by the topology).
    """
    _require_delta(delta)
    steps: Counter[tuple[float, float]] = Counter()
    failure = 0.0
    for release in releases:
        steps[release.multiplier, release.sampling] += release.steps
        failure += release.failure
    if not steps:
        return 0.0
    left = (delta - failure) / _ROUNDED_UP
    if left <= 0:
        return math.inf
    found = rdp_epsilon(lambda order: math.fsum(n * rdp(z, q, order) for (z, q), n in steps.items()), left)
    if all(q == 1 for _, q in steps):
        found = min(found, gaussian_epsilon(math.fsum(n / z**2 for (z, _), n in steps.items()) ** -0.5, left))
    return found * _ROUNDED_UP


def calibrate(target: float, delta: float, *, steps: int, sampling: float = 1.0, failure: float = 0.0) -> float:
    """The least z, up to one part in 10⁵, with which `steps` steps stay within (target, delta).

    Raises AccountingError where no z does.
    """
    if not (math.isfinite(target) and target > 0):
        raise AccountingError(f"a finite target ε > 0 is needed, got {target}")

    def spent(multiplier: float) -> float:
        return epsilon([Release(multiplier, sampling, steps, failure)], delta)

    low, high = 2 * MIN_MULTIPLIER, 1.0
    while spent(high) > target:
        low, high = high, 2 * high
        if high > 1e9:
            raise AccountingError(
                f"no noise reaches ε = {target} at δ = {delta} with q = {sampling} and {steps} steps: allow a larger ε"
            )
    if spent(low) <= target:
        raise AccountingError(f"ε = {target} asks for next to no noise (z < {low}): that is no privacy; lower it")
    while high > low * (1 + 1e-5):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if spent(middle) <= target else (middle, high)
    return high


# --- without sampling -------------------------------------------------------------------------------------------------


def gaussian_delta(multiplier: float, epsilon: float) -> float:
    """δ of one Gaussian release at `epsilon`, exactly: Φ(1/2z − εz) − e^ε Φ(−1/2z − εz) (Balle and Wang, Theorem 8)."""
    half, shift = 0.5 / multiplier, epsilon * multiplier
    return max(0.0, _normal_tail(shift - half) - _exp(epsilon + _log_normal_tail(shift + half)))


def gaussian_epsilon(multiplier: float, delta: float) -> float:
    """The least ε of one Gaussian release at `delta`; δ falls strictly in ε, so bisection finds it."""
    _require_delta(delta)
    low, high = 0.0, 1.0
    if gaussian_delta(multiplier, 0.0) <= delta:
        return 0.0
    while gaussian_delta(multiplier, high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if gaussian_delta(multiplier, middle) <= delta else (middle, high)
    return high


def _normal_tail(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))


def _log_normal_tail(x: float) -> float:
    """Log of the standard normal mass above x; beyond the range of erfc by its upper bound φ(x)/x, hence from above."""
    if x < 37:
        return math.log(_normal_tail(x))
    return -x * x / 2 - math.log(x * math.sqrt(2 * math.pi)) + math.log1p(-1 / (x * x) if x < 1e8 else 0.0)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


# --- with sampling ----------------------------------------------------------------------------------------------------


def rdp(multiplier: float, sampling: float, order: float) -> float:
    """Rényi divergence, in nats, of real order α > 1 between the outputs of one step on two neighbours.

    Mironov et al. 2019: with μ₀ = N(0, z²) and μ = (1 − q) μ₀ + q N(1, z²), the larger of the two directions is
    D_α(μ ‖ μ₀) (Theorem 5), and exp((α − 1) D_α) = E_{μ₀}[(μ/μ₀)^α]: a sum in closed form at whole orders (section
    3.3), computed by quadrature at the others.
    """
    if order <= 1:
        raise AccountingError(f"Rényi orders are above 1, got {order}")
    if sampling == 1:
        return order / (2 * multiplier**2)
    whole = float(order).is_integer() and order <= 256
    moment = _log_moment_whole(multiplier, sampling, int(order)) if whole else _log_moment(multiplier, sampling, order)
    return max(0.0, moment) / (order - 1)


def _log_moment_whole(z: float, q: float, order: int) -> float:
    """ln Σ_k C(α, k) (1 − q)^{α−k} q^k exp((k² − k) / 2z²)."""
    k = np.arange(order + 1, dtype=np.float64)
    binomial = math.lgamma(order + 1) - np.array([math.lgamma(i + 1) + math.lgamma(order - i + 1) for i in k])
    return _log_sum(binomial + (order - k) * math.log1p(-q) + k * math.log(q) + (k * k - k) / (2 * z * z))


def _log_moment(z: float, q: float, order: float) -> float:
    """ln E_{x ~ N(0, z²)} [((1 − q) + q exp((2x − 1) / 2z²))^α] by the trapezoidal rule.

    The integrand is analytic for |Im x| < πz² and falls like a Gaussian, with its mass between 0 and α: there the rule
    converges geometrically (Trefethen and Weideman 2014, Theorem 5.1), here to below 10⁻²⁰ of the whole.
    """
    spacing = min(z, math.pi * z * z) / _NODES
    nodes = np.arange(math.floor(-_TAIL * z / spacing), math.ceil((order + _TAIL * z) / spacing) + 1) * spacing
    ratio = np.logaddexp(math.log1p(-q), math.log(q) + (2 * nodes - 1) / (2 * z * z))
    integral = _log_sum(order * ratio - nodes * nodes / (2 * z * z))
    return integral + math.log(spacing / (z * math.sqrt(2 * math.pi)))


def _log_sum(logs: npt.NDArray[np.float64]) -> float:
    top = float(logs.max())
    return top + math.log(math.fsum(np.exp(logs - top)))


def rdp_epsilon(divergence: Callable[[float], float], delta: float) -> float:
    """The least ε over all orders at `delta`, from the Rényi `divergence` at an order.

    ε = D_α + ln(1 − 1/α) − (ln δ + ln α) / (α − 1) (Canonne, Kamath and Steinke 2020, Proposition 12; Balle et al.
    2020, Theorem 21). Any order gives a true bound, so that a search that stops early errs to the safe side. As
    (α − 1) D_α is convex in α, the bound is a convex function over a positive linear one: it has one valley, which a
    golden-section search over ln(α − 1) finds.
    """
    _require_delta(delta)

    def bound(position: float) -> float:
        below = math.exp(position)  # α − 1
        order = 1 + below
        return divergence(order) + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / below

    ratio = (math.sqrt(5) - 1) / 2
    low, high = math.log(_LEAST_ORDER - 1), math.log(MAX_ORDER - 1)
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = bound(left), bound(right)
    for _ in range(_SEARCH_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = bound(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = bound(right)
    return max(0.0, min(at_left, at_right))


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise AccountingError(f"0 < delta < 1 is needed, got {delta}; less than one in the number of records is usual")
