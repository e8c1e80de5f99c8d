"""Gaussian noise on the integer lattice: what is added to an update before it is shared or shown.

An update v (d,) is shortened to a cap (a projection onto a ball: it brings no two vectors further apart), written in
lattice units, rounded stochastically, and discrete Gaussian noise is added. Floating point never carries noise, whose
low bits would betray the update (Mironov 2012).

What is claimed, for one release of the sum of `shares` noise shares, between neighbours whose updates differ by at
most `clip` in Euclidean norm: it is as private as the continuous Gaussian mechanism of noise multiplier `multiplier`
(so that `crypto.accountant` counts it exactly, sampled or not), except with probability `failure`. In three steps:

1. Rounding. Neighbours rounded with the same offsets differ by a stochastic rounding of their difference, of norm² at
   most c² + d/4 + √(2 ln 1/β) (c + √d/2) except with probability β (c in lattice units; Hoeffding's inequality; also
   Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism", 2021, section 4), and never above
   (c + √d)². The offsets do not hang on the data, so showing them would change nothing: β adds to δ.
2. Sum. h shares of variance σ²/h are within e^{±τ} a coordinate of one discrete Gaussian of variance σ², with
   τ = 10 (h − 1) exp(−π² σ²/h) (Kairouz et al. 2021, Corollary 12, its largest term in place of each).
3. Lattice. A discrete Gaussian of variance σ² is within e^{±2ε_s} a coordinate of what follows when a discrete
   Gaussian of variance s² is drawn around a continuous one of variance σ² − s², ε_s ≤ 2.01 exp(−2π² s²): the sum of
   a Gaussian over the integers hardly hangs on its centre (Poisson summation). To draw so is post-processing that
   commutes with whole shifts, so that the discrete mechanism inherits all of the continuous one's privacy with σ² − s²
   in the place of σ².

With s = 2 and shares of at least 3 units, 2 and 3 cost less than 10⁻³² a coordinate and release: nothing that a
double could show. `sigma` is larger than `multiplier` · sensitivity by just what 1 and 3 ask for.

Who must not see what. With one share the noised update itself may be shown to anybody. With h shares only the sum may
be opened, and at least h of its shares must come from members who keep theirs secret: t colluders subtract their own,
f absentees and e refused liars never add theirs, so h = m − t − f − e. A member that only pretends to add noise counts
as a colluder. All of it is computational in one place: noise comes from AES-256 in counter mode under a secret seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from crypto.accountant import Release
from crypto.field import PRIME, Signed
from crypto.fixedpoint import FixedPoint, Update
from crypto.randomness import SEED_BYTES, DiscreteGaussian, Stream

RandBytes = Callable[[int], bytes]

SMOOTHING: Final = 2.0
"""s, in lattice units."""
MIN_SHARE_SIGMA: Final = 3.0
FLOAT_ALLOWANCE: Final = 2.0**-10
"""Share by which sensitivity is counted larger than `clip`, for the arithmetic that makes updates: sums of n clipped
float32 gradients, in whatever order, err by n · 2⁻²⁴ clips or so. An allowance, not a proof.
"""
_REACH: Final = 13  # deviations that DiscreteGaussian reaches to
_EXCESS: Final = 60 * math.log(2)  # an honest norm is exceeded with probability 2⁻⁶⁰


class MechanismError(ValueError):
    """Noise that would not protect, or does not fit into the lattice; the message states the bound."""


def noise_shares(members: int, tolerated: int, absentees: int, liars: int = 0) -> int:
    """h = m − t − f − e, the shares of noise that protect whatever t members pool, f do not send and e send in vain."""
    shares = members - tolerated - absentees - liars
    if min(members, tolerated, absentees, liars) < 0 or shares < 1:
        raise MechanismError(
            f"noise needs m - t - f - e >= 1 members who keep it secret: m={members}, t={tolerated}, f={absentees}, "
            f"e={liars}"
        )
    return shares


@dataclass(frozen=True, slots=True)
class LatticeGaussian:
    """The mechanism. Raises MechanismError for parameters outside the claim above."""

    dimension: int
    """d."""
    clip: float
    """Largest Euclidean change that one element (a record, or the whole update) makes; in units of the update."""
    multiplier: float
    """z that is accounted for."""
    scale: float
    """Lattice units in 1.0 of an update."""
    cap: float
    """Largest norm of an update before noise; a longer one is shortened to it."""
    shares: int = 1
    """h: members whose noise together protects. 1: local noise, which protects alone."""
    failure: float = 1e-12
    """β of a release."""
    _noise: DiscreteGaussian = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("clip", "multiplier", "scale", "cap"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise MechanismError(f"{name} must be positive and finite, got {value}")
        if self.dimension < 1 or self.shares < 1 or not 0 < self.failure < 1:
            raise MechanismError(f"dimension >= 1, shares >= 1 and 0 < failure < 1 are needed: {self}")
        if not MIN_SHARE_SIGMA <= self.share_sigma <= DiscreteGaussian.MAX_SIGMA:
            raise MechanismError(
                f"{MIN_SHARE_SIGMA} <= sigma of a share <= {DiscreteGaussian.MAX_SIGMA} lattice units is needed, "
                f"got {self.share_sigma:.4g}: multiply the scale ({self.scale:.4g}) by "
                f"{MIN_SHARE_SIGMA / self.share_sigma:.3g} to {DiscreteGaussian.MAX_SIGMA / self.share_sigma:.3g}"
            )
        object.__setattr__(self, "_noise", DiscreteGaussian(self.share_sigma))

    @classmethod
    def fitted(
        cls,
        *,
        dimension: int,
        clip: float,
        multiplier: float,
        cap: float,
        room: float = math.inf,
        shares: int = 1,
        members: int = 1,
        failure: float = 1e-12,
    ) -> Self:
        """The mechanism with the finest lattice on which an honest update keeps a norm of `room` lattice units.

        `room` is 0.9 C of the norm proof (`ProofParameters.honest_norm`), infinite where nothing is proved. In any case
        a share of noise has a deviation of at most `DiscreteGaussian.MAX_SIGMA` units, and the sum of `members` updates
        does not wrap. Raises MechanismError where no scale does.
        """

        def fits(scale: float) -> bool:
            sigma = _sigma(clip * scale, dimension, multiplier, failure) / math.sqrt(shares)
            entry = members * (cap * scale + _REACH * sigma + 4)
            norm = _norm(cap * scale, sigma, dimension)
            return sigma <= DiscreteGaussian.MAX_SIGMA and norm <= room and entry <= PRIME // 2

        low, high = 1 / clip, 1e9 / clip
        if not fits(low):
            sigma = _sigma(1.0, dimension, multiplier, failure) / math.sqrt(shares)
            raise MechanismError(
                f"with clip written as one lattice unit, an update of {dimension} coordinates has noise of {sigma:.4g} "
                f"units a coordinate and a norm of {_norm(cap / clip, sigma, dimension):.4g}; the most are "
                f"{DiscreteGaussian.MAX_SIGMA} and {room:.4g} (entries of the sum: {PRIME // 2}): use a larger norm "
                f"bound C in lattice units (bound_bits), a smaller model, or less noise"
            )
        while high > low * (1 + 1e-9):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if fits(middle) else (low, middle)
        return cls(dimension, clip, multiplier, max(1 / clip, _coarser(low)), cap, shares, failure)

    @property
    def sensitivity(self) -> float:
        """Largest change that one element makes to the rounded update, in lattice units."""
        return _sensitivity(self.clip * self.scale, self.dimension, self.failure)

    @property
    def sigma(self) -> float:
        """Deviation of the sum of `shares` shares a coordinate, in lattice units."""
        return _sigma(self.clip * self.scale, self.dimension, self.multiplier, self.failure)

    @property
    def share_sigma(self) -> float:
        """Deviation of one member's noise a coordinate, in lattice units."""
        return self.sigma / math.sqrt(self.shares)

    @property
    def overhead(self) -> float:
        """Noise beyond what the continuous mechanism would add, as a share of it: what this lattice costs."""
        return self.sigma / (self.multiplier * self.clip * self.scale) - 1

    @property
    def honest_norm(self) -> float:
        """What a noised update keeps below, in lattice units, except with probability 2⁻⁶⁰.

        Discrete Gaussian and rounding are sub-Gaussian, of variance proxies σ² and 1/4; Hsu, Kakade and Zhang 2012
        bound the norm of such vectors.
        """
        return _norm(self.cap * self.scale, self.share_sigma, self.dimension)

    def encoding(self, members: int) -> FixedPoint:
        """How the updates of `members` who add this noise are written and summed."""
        return FixedPoint(self.scale, self.cap, members, noise=self._noise.reach)

    def carrying(self, members: int) -> FixedPoint:
        """How a sharing sums what `noised` has made, brought to it as noise on an update of zeros: same lattice."""
        return FixedPoint(self.scale, 1 / self.scale, members, noise=self.encoding(members).bound)

    def noised(self, update: Update, randbytes: RandBytes) -> Signed:
        """`update` (d,) on the lattice with one share of noise, (d,) int32.

        Every call draws from a new secret seed: noise that came twice would cancel between two releases.
        """
        if update.shape != (self.dimension,):
            raise MechanismError(f"an update of shape ({self.dimension},) is needed, got {update.shape}")
        seed = randbytes(SEED_BYTES)
        rounded = self.encoding(1).encode(update, Stream(seed, "mechanism rounding"))
        return rounded + self._noise.sample(Stream(seed, "mechanism noise"), self.dimension)

    def decoded(self, total: Signed, members: int = 1) -> Update:
        """The mean update of `members` from their sum on the lattice, (d,) float32."""
        return self.encoding(members).decode(total, members)

    def release(self, *, sampling: float = 1.0, steps: int = 1) -> Release:
        """What `steps` releases cost, for the accountant."""
        return Release(self.multiplier, sampling, steps, min(1 - 2**-53, self.failure * steps))


def _coarser(scale: float) -> float:
    """At most one part in 2¹⁰ less. All members must have the same scale, and mathematical libraries differ in the last
    place.
    """
    mantissa, exponent = math.frexp(scale)
    return math.ldexp(math.floor(mantissa * 2**11), exponent - 11)


def _sensitivity(clip: float, dimension: int, failure: float) -> float:
    clip *= 1 + FLOAT_ALLOWANCE
    root = math.sqrt(dimension)
    likely = clip**2 + dimension / 4 + math.sqrt(2 * math.log(1 / failure)) * (clip + root / 2)
    return min(math.sqrt(likely), clip + root)


def _sigma(clip: float, dimension: int, multiplier: float, failure: float) -> float:
    return math.hypot(multiplier * _sensitivity(clip, dimension, failure), SMOOTHING)


def _norm(signal: float, sigma: float, dimension: int) -> float:
    squares = dimension + 2 * math.sqrt(dimension * _EXCESS) + 2 * _EXCESS
    return signal + math.sqrt((sigma**2 + 0.25) * squares)
