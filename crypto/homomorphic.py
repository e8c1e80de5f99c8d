"""Sums of encrypted vectors: what CKKS and BFV have in common.

A keeper generates a key pair; others encrypt to its public key; anybody adds ciphertexts; the keeper decrypts the sum.
Keys and ciphertexts are bytes, so that each operation can be handed to another process (TenSEAL holds the interpreter
lock while it works). Adding needs no key and no library: it is addition modulo q.

Security: N = 8192 and q·P of 96 bits, ternary secrets, errors of σ = 3.2 (SEAL's). The standard of
HomomorphicEncryption.org (Albrecht et al. 2018, tables 1 and 2) allows 218 bits at N = 8192 for 128 bits of classical
security and 118 for 256; against quantum computers 202 for 128. Guidelines of 2024 (Bossuat et al.) allow 214 and 161.
Randomness is SEAL's own (BLAKE2 keyed by the operating system), and so cannot be injected.

What is not secured: ciphertexts are malleable. Whoever adds can add anything, and a keeper that decrypts what one
member alone encrypted has read that member. Both are for the protocol around this to prevent.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import tenseal

from crypto.field import Signed
from crypto.fixedpoint import FixedPoint
from crypto.homomorphic_errors import HomomorphicError, LibraryError
from crypto.seal_format import (
    COEFFICIENT_BYTES,
    DATA_PRIME,
    DEGREE,
    KEY_PRIME,
    POLYNOMIALS,
    Coefficients,
    Layout,
    pack,
    unpack,
)

Values: TypeAlias = npt.NDArray[np.float32]

SLICE_BYTES = POLYNOMIALS * DEGREE * COEFFICIENT_BYTES
"""A ciphertext of one slice, 98,304."""
PUBLIC_KEY_BYTES = 2 * SLICE_BYTES
"""Modulo q and modulo P."""
MAX_MEMBERS = 256
"""Ciphertexts in a sum: the noise of so many, and their unreduced coefficients, stay far from every bound."""

_MODULUS_BITS = [48, 48]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Of one keeper and one sum."""

    secret: bytes = field(repr=False)
    """TenSEAL's own bytes; they stay on this device and in this program."""
    public: bytes = field(repr=False)
    """PUBLIC_KEY_BYTES, to be sent."""


class Scheme(ABC):
    """One homomorphic scheme, and how it carries float32 vectors."""

    layout: ClassVar[Layout]
    name: ClassVar[str]

    fixed: FixedPoint | None
    """The lattice that vectors are written on, if any."""

    @property
    @abstractmethod
    def description(self) -> tuple[str | int, ...]:
        """All that the members of a round must agree on, for a digest."""

    @property
    @abstractmethod
    def resolution(self) -> float:
        """The spacing of the sums that `decrypt` gives back."""

    @abstractmethod
    def encode(self, values: Values, weight: float, seed: bytes, noise: Signed | None = None) -> npt.NDArray[Any]:
        """`weight` · `values` (d,) as the scheme takes them, plus `noise`, int32 (d,), on its lattice. Raises
        HomomorphicError for what it cannot carry; `seed` (32 bytes, fresh) is for rounding.
        """

    @abstractmethod
    def decode(self, slots: npt.NDArray[Any]) -> Values:
        """A sum of encoded vectors (d,) in float32."""

    @abstractmethod
    def _vector(self, context: Any, slots: npt.NDArray[Any]) -> Any: ...

    @abstractmethod
    def _load_vector(self, context: Any, serialized: bytes) -> Any: ...

    def slices(self, size: int) -> int:
        """Ciphertexts that carry a vector of d = `size`."""
        return -(-size // self.layout.slots)

    def body_bytes(self, size: int) -> int:
        """Bytes of an encrypted vector of d = `size`: known beforehand, and so checked before anything is read."""
        return self.slices(size) * SLICE_BYTES

    def generate(self) -> KeyPair:
        """A fresh key pair, without Galois or relinearisation keys: they are large, and a sum needs neither."""
        with _mapped("generating a key pair"):
            context = tenseal.context(
                _SCHEMES[self.layout.scheme],
                DEGREE,
                self.layout.plain_modulus or None,
                coeff_mod_bit_sizes=_MODULUS_BITS,
                n_threads=1,
            )
            context.global_scale = self.layout.scale
            secret = _serialize(context, secret=True)
            public = _serialize(context, secret=False)
        return KeyPair(secret, pack(self.layout.public_key(public)))

    def check_public(self, public: bytes | memoryview) -> Coefficients:
        """The coefficients (2, 2, N) of a public key that a peer sent. Raises HomomorphicError for bytes that are
        none; of the rest any might be one (that it hides what it encrypts is the keeper's own concern).
        """
        key = unpack(public, POLYNOMIALS, 2, DEGREE)
        for place, prime in enumerate((DATA_PRIME, KEY_PRIME)):
            _require_reduced(key[:, place], prime, "a public key")
        if not key[1].any():
            raise HomomorphicError("a public key that encrypts nothing: its second polynomial is zero")
        return key

    def check_body(self, body: bytes | memoryview, size: int) -> Coefficients:
        """The coefficients (slices, 2, N) of an encrypted vector that a peer sent. Raises HomomorphicError."""
        coefficients = unpack(body, self.slices(size), POLYNOMIALS, DEGREE)
        _require_reduced(coefficients, DATA_PRIME, "a ciphertext")
        return coefficients

    def encrypt(
        self, public: bytes | memoryview, values: Values, weight: float, seed: bytes, noise: Signed | None = None
    ) -> bytes:
        """`weight` · `values` (d,), with `noise`, encrypted to `public`. Raises HomomorphicError.

        The weights of all that are added must not sum to more than 1.
        """
        encoded = self.encode(values, weight, seed, noise)
        serialized = self.layout.public_context(self.check_public(public))
        with _mapped("encrypting"):
            context = tenseal.context_from(serialized, n_threads=1)
            if context.is_private() or context.has_galois_keys() or context.has_relin_keys():
                raise LibraryError("a context with a public key alone holds more: install tenseal==0.3.18")
            return b"".join(pack(self._encrypted(context, part)) for part in self._parts(encoded))

    def _parts(self, encoded: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        slots = self.layout.slots
        for start in range(0, encoded.size, slots):
            part = np.zeros(slots, dtype=encoded.dtype)
            part[: min(slots, encoded.size - start)] = encoded[start : start + slots]
            yield part

    def _encrypted(self, context: Any, part: npt.NDArray[Any]) -> Coefficients:
        return self.layout.ciphertext(self._vector(context, part).serialize())

    def add(self, bodies: Iterable[bytes | memoryview], size: int) -> bytes:
        """The sum of 1 to MAX_MEMBERS encrypted vectors. Raises HomomorphicError for bodies that are none."""
        total: Coefficients = np.zeros((self.slices(size), POLYNOMIALS, DEGREE), dtype=np.uint64)
        count = 0
        for body in bodies:
            total += self.check_body(body, size)
            count += 1
        if not 1 <= count <= MAX_MEMBERS:
            raise HomomorphicError(f"a sum has 1 to {MAX_MEMBERS} ciphertexts, got {count}")
        total %= np.uint64(DATA_PRIME)
        return pack(total)

    def decrypt(self, secret: bytes, body: bytes | memoryview, size: int) -> Values:
        """The sum (d,) inside `body`, a multiple of `resolution`. Raises HomomorphicError for a body that is none."""
        coefficients = self.check_body(body, size)
        parts = []
        with _mapped("decrypting"):
            context = tenseal.context_from(secret, n_threads=1)
            for ciphertext in coefficients:
                vector = self._load_vector(context, self.layout.vector(ciphertext))
                parts.append(np.array(vector.decrypt()))
        return self.decode(np.concatenate(parts)[:size])


def require_values(values: Values, weight: float) -> None:
    """Refuse what no scheme carries."""
    if values.ndim != 1 or not values.size or values.dtype != np.float32:
        raise HomomorphicError(f"a vector is float32 (d,), d >= 1: got {values.dtype} {values.shape}")
    if not 0.0 < weight <= 1.0 or not math.isfinite(weight):
        raise HomomorphicError(f"a weight lies in (0, 1]: got {weight}")
    if not np.isfinite(values).all():
        raise HomomorphicError("the vector has values that are not finite: refuse the training step that made it")


def _require_reduced(coefficients: Coefficients, prime: int, what: str) -> None:
    if int(coefficients.max()) >= prime:
        raise HomomorphicError(f"{what} has a coefficient of {int(coefficients.max())}, all are below {prime}")


def _serialize(context: Any, *, secret: bool) -> bytes:
    serialized: bytes = context.serialize(
        save_public_key=not secret, save_secret_key=secret, save_galois_keys=False, save_relin_keys=False
    )
    return serialized


@contextmanager
def _mapped(doing: str) -> Iterator[None]:
    """Whatever pybind11 makes of a C++ exception, as one of ours."""
    try:
        yield
    except HomomorphicError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise LibraryError(f"TenSEAL failed while {doing}: {error}") from error


_SCHEMES = {1: tenseal.SCHEME_TYPE.BFV, 2: tenseal.SCHEME_TYPE.CKKS}
