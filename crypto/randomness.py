"""Random streams from AES-256 in counter mode: uniform field elements, words, and discrete Gaussian noise.

The generators of numpy and torch are made for simulation; whoever sees some of their output can compute the rest. Here
a stream is a pseudo-random permutation of a counter that never repeats (NIST SP 800-38A), under a key derived from a
32-byte seed and a label (HKDF-Expand, RFC 5869, one block). One seed with two labels gives two independent streams;
one seed with one label gives one stream, whatever the sizes of the blocks in which it is read.
"""

import hashlib
import hmac
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from crypto.field import PRIME, Vector

SEED_BYTES = 32
MAX_STREAM_BYTES = 1 << 36
"""64 GiB, 2³² counter blocks: a distinguisher against AES in counter mode gains at most 2⁻⁶⁵ (the PRP/PRF switching
lemma).
"""

_MASK = np.uint32(PRIME)
_AES_BLOCK = 16


class RandomnessError(ValueError):
    """A seed or a deviation that cannot be used, or a stream that has been read to its end."""


class Stream:
    """The random bytes of one seed and label, read once from front to back."""

    def __init__(self, seed: bytes, label: str) -> None:
        if len(seed) != SEED_BYTES:
            raise RandomnessError(f"a seed has {SEED_BYTES} bytes, got {len(seed)}")
        key = hmac.digest(seed, b"grapevine stream v1\x00" + label.encode() + b"\x01", hashlib.sha256)
        self._cipher = Cipher(AES(key), CTR(bytes(_AES_BLOCK))).encryptor()
        self._read = 0
        self._zeros = b""
        self._scratch: npt.NDArray[np.uint8] = np.empty(0, dtype=np.uint8)

    def __repr__(self) -> str:
        return f"Stream(read={self._read})"  # the key stays out of logs

    def _next(self, size: int) -> npt.NDArray[np.uint8]:
        """The next `size` bytes, as a view that the next call overwrites."""
        if self._read + size > MAX_STREAM_BYTES:
            raise RandomnessError(
                f"a stream gives at most {MAX_STREAM_BYTES} bytes: derive another one with a new label"
            )
        self._read += size
        if len(self._zeros) < size:
            self._zeros = bytes(size)
            self._scratch = np.empty(size + _AES_BLOCK, dtype=np.uint8)  # the cipher asks for room for one block more
        self._cipher.update_into(memoryview(self._zeros)[:size], self._scratch.data)
        return self._scratch[:size]

    def take_bytes(self, size: int) -> bytes:
        """The next `size` bytes."""
        return self._next(size).tobytes()

    def words(self, count: int) -> Vector:
        """The next `count` uniform 32-bit words, (count,)."""
        return self._next(4 * count).view("<u4").astype(np.uint32)

    def octets(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """The next uniform bytes as an array of `shape`, valid until the stream is read again."""
        return self._next(math.prod(shape)).reshape(shape)

    def fill(self, out: Vector) -> None:
        """Fill a contiguous `out` (n,) with uniform field elements.

        A word masked to 31 bits is p itself with probability 2⁻³¹; such a word is dropped and the next one takes its
        place. (To keep it as 0 would make 0 twice as likely as the rest.)
        """
        missing = out
        while missing.size:
            np.bitwise_and(self._next(4 * missing.size).view("<u4"), _MASK, out=missing)
            if int(missing.max()) != PRIME:
                return
            kept = missing[missing != _MASK]
            missing[: kept.size] = kept
            missing = missing[kept.size :]

    def elements(self, *shape: int) -> Vector:
        """The next uniform field elements as an array of `shape`."""
        out = np.empty(math.prod(shape), dtype=np.uint32)
        self.fill(out)
        return out.reshape(shape)


class DiscreteGaussian:
    """The discrete Gaussian N_Z(0, σ²): P(k) ∝ exp(−k² / 2σ²) on the integers, for σ in lattice units.

    Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (2020), Definition 1, gives the
    mechanism and its privacy; sums of it over honest members are treated by Kairouz, Liu and Steinke (2021). Sampled
    by inverting the distribution function, tabulated as integers of 192 bits: a uniform 64-bit word decides, and a
    word that equals the leading word of an entry draws further words until one decides. The mass that is cut off, and
    every error of the table, is below 2⁻¹²⁰ of the whole: the statistical distance of a vector of 10⁹ coordinates from
    the exact law is below 2⁻⁹⁰.
    """

    MIN_SIGMA = 0.25
    MAX_SIGMA = 4096.0
    _BITS = 192

    def __init__(self, sigma: float) -> None:
        if not self.MIN_SIGMA <= sigma <= self.MAX_SIGMA:
            raise RandomnessError(
                f"{self.MIN_SIGMA} <= sigma <= {self.MAX_SIGMA} lattice units, got {sigma}: change the scale"
            )
        self.sigma = sigma
        one = 1 << self._BITS
        reach = math.ceil(13 * sigma) + 1  # 2 exp(-13**2 / 2) < 2**-120
        half = [weight for weight in _weights(sigma, reach, one) if weight]
        self.reach = len(half) - 1
        weights = half[:0:-1] + half
        mass, running, table = sum(weights), 0, []
        for weight in weights[:-1]:
            running += weight
            table.append(running * one // mass)
        self._table: Sequence[int] = table
        self._leading = np.array([entry >> (self._BITS - 64) for entry in table], dtype=np.uint64)

    def sample(self, stream: Stream, count: int) -> npt.NDArray[np.int32]:
        """`count` independent samples, (count,) int32, |k| ≤ `reach`."""
        words = stream.octets((count, 8)).reshape(-1).view("<u8").astype(np.uint64)
        low = np.searchsorted(self._leading, words, side="left")
        high = np.searchsorted(self._leading, words, side="right")
        for tie in np.flatnonzero(low != high):  # about count * 26 sigma / 2**64 of them
            low[tie] = self._resolve(stream, int(words[tie]))
        return (low - self.reach).astype(np.int32)

    def _resolve(self, stream: Stream, word: int) -> int:
        rest = int.from_bytes(stream.take_bytes((self._BITS - 64) // 8), "big")
        uniform = word << (self._BITS - 64) | rest
        return sum(entry <= uniform for entry in self._table)


def _weights(sigma: float, reach: int, one: int) -> list[int]:
    """exp(−k² / 2σ²) · one for k = 0 … reach, by the recurrence w(k+1) = w(k) · r(k), r(k+1) = r(k) · exp(−1/σ²)."""
    numerator, denominator = (sigma * sigma).as_integer_ratio()
    guard = 64  # bits that the roundings of the recurrence may eat
    unit = one << guard
    step = _exp_minus(denominator, numerator, unit)
    ratio = _exp_minus(denominator, 2 * numerator, unit)
    weights, weight = [], unit
    for _ in range(reach + 1):
        weights.append(weight >> guard)
        weight = weight * ratio // unit
        ratio = ratio * step // unit
    return weights


def _exp_minus(numerator: int, denominator: int, unit: int) -> int:
    """exp(−numerator / denominator) · unit by its power series, after halving the argument below 1."""
    halvings = max(0, (numerator // denominator).bit_length())
    argument = numerator * unit // (denominator << halvings)
    result, term, n = 0, unit, 0
    while term:
        result += -term if n % 2 else term
        n += 1
        term = term * argument // (unit * n)
    for _ in range(halvings):
        result = result * result // unit
    return result
