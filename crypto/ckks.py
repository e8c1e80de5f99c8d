"""CKKS (Cheon, Kim, Kim and Song 2017): approximate sums of real vectors, 4096 values a ciphertext, 24 bytes a value.

What a decryption gives is the sum plus the noise of the ciphertext, and whoever knows noise and ciphertext to the last
bit solves for the secret key (Li and Micciancio, EUROCRYPT 2021): a relay that holds all ciphertexts and is sent the
exact result would read every member. So `decrypt` rounds to a grid of 2⁻²²: the noise, about 1.2e-9 · √n for n
ciphertexts (σ), vanishes in a rounding error of σ = 6.9e-8, and what is left of it is a hint that lowers the variance
of few errors a little (Dachman-Soled, Ducas, Gong and Rossi, CRYPTO 2020, treat such hints). This is an argument, not
a proof with a bound: where one is wanted, take BFV, whose decryption holds no noise.

With a lattice (`fixed`), sums are of its points, and `decrypt` gives the nearest one: exactly the sum, since ERROR is
below half its spacing. That is what noise for differential privacy is added on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import tenseal

from crypto.field import Signed
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.homomorphic import Scheme, Values, require_values
from crypto.homomorphic_errors import HomomorphicError
from crypto.lattice import lattice_points
from crypto.randomness import Stream
from crypto.seal_format import DEGREE, Layout

SCALE_BITS = 40
LIMIT = 64.0
"""Largest |value|: the sum, at most 2⁶⁺⁴⁰ in a coefficient, stays below q / 2 = 2⁴⁷."""
GRID_BITS = 22
ERROR = 2.0**-22
"""Bound of |error| of a sum of up to MAX_MEMBERS, before float32: half for the grid, half for noise (six σ of theirs).
Mostly it is the grid's: σ = 6.9e-8.
"""


@dataclass(frozen=True)
class Ckks(Scheme):
    """Sums with an error below ERROR, and that of float32; with `fixed`, exact sums of lattice points.

    Raises HomomorphicError for a lattice that is too fine, or whose sums could wrap.
    """

    fixed: FixedPoint | None = None
    layout: ClassVar[Layout] = Layout(scheme=2, slots=DEGREE // 2, plain_modulus=0, scale=2.0**SCALE_BITS)
    name: ClassVar[str] = "ckks"

    def __post_init__(self) -> None:
        if self.fixed is None:
            return
        largest = self.fixed.members * self.fixed.bound / self.fixed.scale
        if self.fixed.scale * ERROR >= 0.5 or largest > LIMIT:
            raise HomomorphicError(
                f"scale < {0.5 / ERROR:.0f} is needed to read lattice points out of an approximate sum, and "
                f"members * bound / scale <= {LIMIT} for it not to wrap: {self.fixed.scale:.6g}, {largest:.6g}"
            )

    @property
    def description(self) -> tuple[str | int, ...]:
        """See `Scheme`."""
        plain = (self.name, DEGREE, SCALE_BITS, GRID_BITS)
        fixed = self.fixed
        if fixed is None:
            return plain
        return *plain, fixed.scale.hex(), fixed.clip.hex(), fixed.members, fixed.noise

    @property
    def resolution(self) -> float:
        """See `Scheme`."""
        return 2.0**-GRID_BITS if self.fixed is None else 1.0 / self.fixed.scale

    def encode(
        self, values: Values, weight: float, seed: bytes, noise: Signed | None = None
    ) -> npt.NDArray[np.float64]:
        """See `Scheme`; float64 (d,). `seed` is used with a lattice alone: CKKS does not round."""
        require_values(values, weight)
        if self.fixed is not None:
            return self._points(self.fixed, values, weight, seed, noise)
        if noise is not None:
            raise HomomorphicError("noise is added on a lattice, and there is none: give the scheme a FixedPoint")
        if (largest := float(np.abs(values).max())) > LIMIT:
            raise HomomorphicError(f"|value| <= {LIMIT} is needed for a sum not to wrap, got {largest}: clip, or scale")
        return values.astype(np.float64) * weight

    @staticmethod
    def _points(
        fixed: FixedPoint, values: Values, weight: float, seed: bytes, noise: Signed | None
    ) -> npt.NDArray[np.float64]:
        weighted = (values * np.float32(weight)).astype(np.float32, copy=False)
        try:
            points = lattice_points(fixed, weighted, noise, Stream(seed, "ckks rounding"))
        except FixedPointError as error:
            raise HomomorphicError(str(error)) from error
        return points / fixed.scale

    def decode(self, slots: npt.NDArray[Any]) -> Values:
        """See `Scheme`."""
        if self.fixed is not None:
            return (np.rint(slots * self.fixed.scale) / self.fixed.scale).astype(np.float32)
        rounded: Values = np.ldexp(np.rint(np.ldexp(slots, GRID_BITS)), -GRID_BITS).astype(np.float32)
        return rounded

    def _vector(self, context: Any, slots: npt.NDArray[Any]) -> Any:
        return tenseal.ckks_vector(context, slots)

    def _load_vector(self, context: Any, serialized: bytes) -> Any:
        return tenseal.ckks_vector_from(context, serialized)
