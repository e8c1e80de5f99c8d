"""Vectors over the prime field of p = 2³¹ − 1 as uint32 arrays: exact, and as fast as numpy allows.

Every element is canonical (0 ≤ x < p) on entry and on exit. Only coefficients of a matrix may use another prime, below
2³¹: small fields make secrecy a thing that a test can count.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

PRIME = (1 << 31) - 1
BLOCK = 16384
"""Columns that a kernel handles at a time: a handful of such rows stays in the second-level cache."""

Vector: TypeAlias = npt.NDArray[np.uint32]
Signed: TypeAlias = npt.NDArray[np.int32]
Floats: TypeAlias = npt.NDArray[np.float64]

_P = np.uint32(PRIME)
_HALF = np.uint32(PRIME // 2)
_ROUND = 1.5 * 2**52  # added to |q| < 2**51 leaves the nearest integer of q in the low bits of the mantissa
_LIMB = np.uint32(0xFFFF)
_LIMB_BITS = np.uint32(16)
_EXACT_TERMS = 1 << 20  # sums of this many products of two 16-bit limbs stay below 2**52, hence exact in float64


class FieldError(ValueError):
    """Values that are no vectors of the field, or an operation that would not be exact."""


def require_canonical(values: Vector, what: str) -> None:
    """Refuse `values` (any shape) of another type than uint32 or with an element ≥ p; `what` names them in the
    message.
    """
    if values.dtype != np.uint32:
        raise FieldError(f"{what}: elements must be uint32, got {values.dtype}")
    if values.size and int(values.max()) >= PRIME:
        raise FieldError(f"{what}: elements must be below p = {PRIME}, found {int(values.max())}")


def from_signed(values: npt.NDArray[np.signedinteger[npt.NBitBase]]) -> Vector:
    """Map integers of |x| ≤ (p − 1) / 2, any shape, to field elements. Raises FieldError beyond that."""
    if values.size and max(int(values.max()), -int(values.min())) > PRIME // 2:
        raise FieldError(
            f"|x| <= (p - 1) / 2 = {PRIME // 2} is needed for a sign to survive, got up to {int(np.abs(values).max())}"
        )
    low: Vector = values.astype(np.int32).view(np.uint32)
    canonical: Vector = np.minimum(low, low + _P)
    return canonical


def to_signed(values: Vector) -> Signed:
    """The representative in [−(p−1)/2, (p−1)/2] of each element, any shape, int32."""
    signed = np.empty(values.shape, dtype=np.uint32)
    flat, source = signed.reshape(-1), values.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        add(source[start : start + BLOCK], _HALF, out=block)  # so that what is negative wraps, and comes back below 0
        block -= _HALF
    return signed.view(np.int32)


def add(a: Vector, b: Vector | np.uint32, out: Vector | None = None) -> Vector:
    """a + b, element by element."""
    total = np.add(a, b, out=out)
    return np.minimum(total, total - _P, out=total)


def subtract(a: Vector, b: Vector | np.uint32, out: Vector | None = None) -> Vector:
    """a − b, element by element."""
    difference = np.subtract(a, b, out=out)
    return np.minimum(difference, difference + _P, out=difference)


def multiply(a: Vector, b: Vector | np.uint32) -> Vector:
    """a · b, element by element, by folding the upper half: 2³¹ ≡ 1."""
    product = np.multiply(a, b, dtype=np.uint64)
    folded = ((product & np.uint64(PRIME)) + (product >> np.uint64(31))).astype(np.uint32)
    canonical: Vector = np.minimum(folded, folded - _P)
    return canonical


class Columns(Protocol):
    """A vector (n,) that may be worked out where it is looked at."""

    @property
    def size(self) -> int:
        """n."""

    def __getitem__(self, where: slice, /) -> Vector:
        """Some of it."""


def total(vectors: Sequence[Columns]) -> Vector:
    """Sum of one or more vectors of one shape (n,)."""
    result = np.empty(vectors[0].size, dtype=np.uint32)
    scratch = np.empty(min(BLOCK, result.size), dtype=np.uint32)
    for start in range(0, result.size, BLOCK):
        where = slice(start, min(start + BLOCK, result.size))
        block, lower = result[where], scratch[: where.stop - start]
        np.copyto(block, vectors[0][where])
        for vector in vectors[1:]:
            np.add(block, vector[where], out=block)
            np.minimum(block, np.subtract(block, _P, out=lower), out=block)
    return result


def weighted(vectors: Sequence[Columns], weights: Sequence[int]) -> Vector:
    """Σ w_i v_i of one or more vectors of one shape (n,), weights in 0 … p − 1."""
    result = np.zeros(vectors[0].size, dtype=np.uint32)
    for start in range(0, result.size, BLOCK):
        where = slice(start, min(start + BLOCK, result.size))
        for vector, weight in zip(vectors, weights, strict=True):
            result[where] = add(result[where], multiply(vector[where], np.uint32(weight)))
    return result


def sum_of(values: Vector) -> int:
    """Sum of all elements of an array of any shape, as one field element."""
    return int(values.sum(dtype=np.uint64)) % PRIME  # exact up to 2**33 elements


def inverse(value: int, prime: int = PRIME) -> int:
    """1 / value. Raises FieldError for zero."""
    if value % prime == 0:
        raise FieldError("zero has no inverse")
    return pow(value, -1, prime)


@lru_cache(maxsize=1024)
def lagrange(sources: tuple[int, ...], targets: tuple[int, ...], prime: int = PRIME) -> tuple[tuple[int, ...], ...]:
    """Rows of the (targets, sources) matrix that takes the values of a polynomial of degree < len(sources) to other
    points.
    """
    if len({point % prime for point in sources}) != len(sources):
        raise FieldError(f"interpolation points must differ modulo p, got {sources}")
    rows = []
    for target in targets:
        row = []
        for one in sources:
            above = below = 1
            for other in sources:
                if other != one:
                    above = above * (target - other) % prime
                    below = below * (one - other) % prime
            row.append(above * inverse(below, prime) % prime)
        rows.append(tuple(row))
    return tuple(rows)


class Matrix:
    """A small constant matrix (r, c) over the field, to be multiplied with long rows.

    Quotient and residue are found apart. The quotient q of Σ M·x by p comes from one float64 product with M/p, rounded
    to the nearest integer; its error stays below 1 as long as c ≤ 512 (|q| < 2⁴⁰, so that c roundings cost less than
    2⁻²). The residue Σ M·x − q·p then lies in (−p, p) and is exact in 32-bit arithmetic, which wraps.
    """

    MAX_INNER = 512

    def __init__(self, rows: Sequence[Sequence[int]], prime: int = PRIME) -> None:
        if not 2 <= prime <= PRIME:
            raise FieldError(f"the kernel is exact for primes below 2**31, got {prime}")
        entries = np.array(rows, dtype=np.uint32)
        if entries.ndim != 2 or not 1 <= entries.shape[1] <= self.MAX_INNER:
            raise FieldError(f"the kernel is exact for 1 <= c <= {self.MAX_INNER} columns, got shape {entries.shape}")
        self.shape: tuple[int, int] = (entries.shape[0], entries.shape[1])
        self.prime = prime
        self._quotients: Floats = entries / prime
        self._columns = tuple(np.ascontiguousarray(column)[:, None] for column in entries.T)
        self._buffers: tuple[Floats, Floats, Vector, Vector] | None = None

    def _scratch(self, width: int) -> tuple[Floats, Floats, Vector, Vector]:
        r, c = self.shape
        if self._buffers is None or self._buffers[0].shape[1] != width:
            self._buffers = (
                np.empty((c, width)),
                np.empty((r, width)),
                np.empty((r, width), np.uint32),
                np.empty((r, width), np.uint32),
            )
        return self._buffers

    def block(self, inputs: Sequence[Vector], out: Vector) -> None:
        """out (r, w) = M · inputs, c rows of (w,); w about BLOCK."""
        floats, quotients, residues, terms = self._scratch(out.shape[1])
        for row, values in zip(floats, inputs, strict=True):
            np.copyto(row, values.view(np.int32))  # below 2**31, and signed integers convert faster
        np.matmul(self._quotients, floats, out=quotients)
        quotients += _ROUND
        np.copyto(
            residues, quotients.view(np.uint64), casting="unsafe"
        )  # keeps the low 32 bits of the rounded quotient
        residues *= np.uint32((1 << 32) - self.prime)
        for column, values in zip(self._columns, inputs, strict=True):
            np.multiply(column, values, out=terms)
            residues += terms
        np.add(residues, np.uint32(self.prime), out=terms)
        np.minimum(residues, terms, out=out)  # a negative residue reads as more than 2**31

    def apply(self, inputs: Sequence[Vector] | Vector, out: Vector | None = None) -> Vector:
        """M · inputs for c rows of (n,); gives (r, n)."""
        if len(inputs) != self.shape[1]:
            raise FieldError(f"a {self.shape} matrix takes {self.shape[1]} rows, got {len(inputs)}")
        length = len(inputs[0])
        result = np.empty((self.shape[0], length), dtype=np.uint32) if out is None else out
        for start in range(0, length, BLOCK):
            stop = min(start + BLOCK, length)
            self.block([values[start:stop] for values in inputs], result[:, start:stop])
        return result


def limbs(values: Vector, out: Floats | None = None) -> Floats:
    """Split (k, n) elements into (2k, n) float64: the k rows of low 16 bits, then the k rows of high 15 bits."""
    k, n = values.shape
    split = np.empty((2 * k, n)) if out is None else out
    scratch = values & _LIMB
    np.copyto(split[:k], scratch.view(np.int32))
    np.copyto(split[k:], np.right_shift(values, _LIMB_BITS, out=scratch).view(np.int32))
    return split


def join(sums: Iterable[tuple[int, npt.NDArray[np.int64]]]) -> npt.NDArray[np.int64]:
    """Σ 2^shift · part mod p over pairs (shift, int64 part of |part| < 2⁶³)."""
    result: npt.NDArray[np.int64] | None = None
    for shift, part in sums:
        term = (part % PRIME) * (1 << shift % 31) % PRIME
        result = term if result is None else (result + term) % PRIME
    if result is None:
        raise FieldError("nothing to join")
    return result


def inner(left: Vector, right: Vector) -> Vector:
    """left (k, n) times the transpose of right (v, n): all k · v dot products, exact for any n; gives (k, v)."""
    (k, n), v = left.shape, right.shape[0]
    if right.shape[1] != n:
        raise FieldError(f"dot products need one length, got {left.shape} and {right.shape}")
    result = np.zeros((k, v), dtype=np.int64)
    widest = min(BLOCK, n)
    lefts, rights = np.empty((2 * k, widest)), np.empty((2 * v, widest))
    for first in range(0, n, _EXACT_TERMS):
        sums = np.zeros((2 * k, 2 * v))
        for start in range(first, min(first + _EXACT_TERMS, n), BLOCK):
            stop = min(start + BLOCK, n)
            one = limbs(left[:, start:stop], lefts[:, : stop - start])
            sums += np.matmul(one, limbs(right[:, start:stop], rights[:, : stop - start]).T)
        whole = sums.astype(np.int64)
        result += join(((0, whole[:k, :v]), (16, whole[:k, v:] + whole[k:, :v]), (32, whole[k:, v:])))
        result %= PRIME
    return result.astype(np.uint32)
