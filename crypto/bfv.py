"""BFV (Brakerski 2012, Fan and Vercauteren 2012): exact sums of integers, 8192 values a ciphertext, 12 bytes a value.

Vectors are written as lattice points (`FixedPoint`) and added modulo the prime t ≈ 2³⁰. What a decryption gives holds
no noise, as long as that is below q / 2t = 2¹⁷; SEAL's, after its division by P, is about 21 · √n (σ) for n
ciphertexts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import tenseal

from crypto.field import Signed
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.homomorphic import MAX_MEMBERS, Scheme, Values, require_values
from crypto.homomorphic_errors import HomomorphicError
from crypto.lattice import lattice_points
from crypto.randomness import Stream
from crypto.seal_format import DEGREE, Layout

PLAIN_MODULUS = 1073692673
"""t: the largest prime below 2³⁰ that is 1 modulo 2N, so that a ciphertext has N slots."""


@dataclass(frozen=True)
class Bfv(Scheme):
    """Sums without an error other than that of the lattice.

    `fixed` says how weighted vectors are written: its clip is for weight · vector. Raises HomomorphicError unless
    members · bound ≤ (t − 1) / 2.
    """

    fixed: FixedPoint
    layout: ClassVar[Layout] = Layout(scheme=1, slots=DEGREE, plain_modulus=PLAIN_MODULUS, scale=1.0)
    name: ClassVar[str] = "bfv"

    def __post_init__(self) -> None:
        members, room = self.fixed.members, PLAIN_MODULUS // 2
        if members > MAX_MEMBERS or members * self.fixed.bound > room:
            raise HomomorphicError(
                f"a sum could wrap: members <= {MAX_MEMBERS} and members * (clip * scale + 1) <= (t - 1) / 2 are "
                f"needed: {members} * {self.fixed.bound} > {room}; use a smaller scale"
            )

    @property
    def description(self) -> tuple[str | int, ...]:
        """See `Scheme`."""
        fixed = self.fixed
        return self.name, DEGREE, PLAIN_MODULUS, fixed.scale.hex(), fixed.clip.hex(), fixed.members, fixed.noise

    @property
    def resolution(self) -> float:
        """See `Scheme`."""
        return 1.0 / self.fixed.scale

    def encode(self, values: Values, weight: float, seed: bytes, noise: Signed | None = None) -> npt.NDArray[np.int64]:
        """See `Scheme`; int64 (d,), |x| ≤ `fixed.bound`, rounded at random."""
        require_values(values, weight)
        weighted = (values * np.float32(weight)).astype(np.float32, copy=False)
        try:
            return lattice_points(self.fixed, weighted, noise, Stream(seed, "bfv rounding")).astype(np.int64)
        except FixedPointError as error:
            raise HomomorphicError(str(error)) from error

    def decode(self, slots: npt.NDArray[Any]) -> Values:
        """See `Scheme`."""
        return (slots / self.fixed.scale).astype(np.float32)

    def _vector(self, context: Any, slots: npt.NDArray[Any]) -> Any:
        return tenseal.bfv_vector(context, slots)

    def _load_vector(self, context: Any, serialized: bytes) -> Any:
        return tenseal.bfv_vector_from(context, serialized)
