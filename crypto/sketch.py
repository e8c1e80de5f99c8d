"""The public random rows that a norm proof looks through, and what dealers and holders compute with them.

The ℓ stripes of a vector, of G columns each, are cut into spans of V = SPAN columns. Row a of the sketch of a vector
with spans X[s] is

    y_a = Σ_s c[a,s] · (A_a · (D[s] ∘ X[s]))

The entries of A (k, V) and c (k, spans) are independent, −1 and 1 with probability 1/4 and 0 with 1/2; those of D are
independent signs, one a coordinate. (Entries drawn apart for every row and coordinate would cost more than the rest of
a round, and say no more.) What the proof asks of the rows:

- **A vector that wraps around the field** keeps a row in [−B, B) with probability at most 3/4, whatever D is, and given
  D the rows are independent. Let 4B ≤ |x| ≤ p/2 at some coordinate. Given the other entries of A_a, the product of its
  span with A_a has one value mod p where the entry is 0 and others, x or −x away, where it is not; [−2B, 2B) holds not
  both kinds, so with probability ≥ 1/2 the product z is outside. Given that, and the other entries of c_a, in the same
  way y_a = rest + c · z is outside [−B, B) with probability ≥ 1/2. (The wrap-around test of PINE, Rothblum et al. 2023,
  applied twice.) Where every |x| < 4B, y_a stays below p/2 over the integers but for 2 exp(−(p/2)² / 32 B² d), by
  Hoeffding's inequality for the signs D: then lengths decide.
- **Lengths**: E y_a² = |x|²/4, E y_a⁴ ≤ 6 (E y_a²)², and the squares of two rows are uncorrelated, for every x. So the
  standard deviation of Σ_a y_a² is at most √(5/k) of its mean; that is what τ allows for. Proof: let w be the entry of
  a coordinate before its sign, a product of two. Over the signs E y⁴ = 3 E(Σ w²x²)² − 2 E Σ w⁴x⁴, and in E y_a² y_b²
  mixed terms hold E[w_i w_j] = 0 for i ≠ j. w² is 1 with probability 1/4; for two coordinates w²w'² is 1 with
  probability 1/16, twice that if they share a span or a column, four times if they are one. With P = x²/|x|² as a law
  on (span, column), and the probabilities R, C, E that two draws share span, column, both: E y⁴ / (E y²)² =
  3 (1 + R + C + E) − 8 E = 3 + 3 (R + C − E) − 2 E, and R + C − E ≤ 1. (Without D, spans that repeat each other come
  to 9.)
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crypto.field import PRIME, FieldError, Floats, Signed, Vector, join, limbs
from crypto.randomness import Stream
from crypto.shamir import Share

SPAN = 1024
"""V. A part of the protocol: another width is another sketch."""
MAX_ROWS = 128

Integers: TypeAlias = npt.NDArray[np.int64]
Tile: TypeAlias = npt.NDArray[np.float32]
Entries: TypeAlias = npt.NDArray[np.int8]

_TOGETHER = 16  # spans of a stripe that a product takes at once: enough for the speed of BLAS, few enough for the cache
_FLOAT32_EXACT = 1 << 24
_LIMB = np.uint32(0xFFFF)
_LIMB_BITS = np.uint32(16)


class Sketch:
    """A, c and D of one coin. c and D are as long as the vector: they are drawn anew whenever they are needed."""

    def __init__(self, coin: bytes, rows: int, packed: int) -> None:
        if rows % 32 or not 32 <= rows <= MAX_ROWS:
            raise FieldError(f"a sketch has 32, 64, 96 or {MAX_ROWS} rows (128 keep float32 sums exact), got {rows}")
        self.rows = rows
        self.packed = packed
        self._coin = coin
        self._columns: Tile = _entries(Stream(coin, "sketch columns").octets((rows, SPAN))).astype(np.float32)

    def _walk(self, columns: int) -> Iterator[tuple[slice, Entries, Tile]]:
        """Columns in order, some spans at a time: which, c (spans, ℓ, k), and D (spans, ℓ, SPAN) as 1 and −1."""
        spans, signs = Stream(self._coin, "sketch spans"), Stream(self._coin, "sketch signs")
        for start in range(0, columns, _TOGETHER * SPAN):
            stop = min(start + _TOGETHER * SPAN, columns)
            count = -(-(stop - start) // SPAN)
            entries = _entries(spans.octets((count, self.packed, self.rows)))
            flips = np.unpackbits(signs.octets((count, self.packed, SPAN // 8)), axis=-1, bitorder="little")
            tile = flips.astype(np.float32)
            tile *= -2
            tile += 1
            yield slice(start, stop), entries, tile

    def matrix(self, columns: int) -> Entries:
        """All entries c[a,s] A[a,v] D[s,v], as (k, ℓ, columns)."""
        parts = []
        for where, entries, signs in self._walk(columns):
            whole = entries[..., None] * signs.astype(np.int8)[:, :, None] * self._columns.astype(np.int8)
            whole = whole.transpose(2, 1, 0, 3).reshape(self.rows, self.packed, -1)
            parts.append(whole[..., : where.stop - where.start])
        return np.concatenate(parts, axis=-1)

    def values(self, lattice: Signed) -> Integers:
        """y (k,) over the integers, for stripes (ℓ, G) of a vector of int32; exact for every such vector."""
        values = np.zeros(self.rows, dtype=np.int64)
        for where, entries, signs in self._walk(lattice.shape[1]):
            part = lattice[:, where]
            largest = max(int(part.max()), -int(part.min()))
            # Where sums over a span are integers that float32 holds, it is twice as fast.
            kind = np.dtype(np.float32 if largest * SPAN <= _FLOAT32_EXACT else np.float64)
            spans = np.zeros(signs.shape, kind)
            _cut(part, spans)
            spans *= signs
            products = np.matmul(spans.reshape(-1, SPAN), self._columns.astype(kind, copy=False).T)
            values += (products.reshape(entries.shape).astype(np.int64) * entries).sum(axis=(0, 1))
        return values

    def combine(self, weights: Vector, challenges: Sequence[Stream], shares: Sequence[Share]) -> tuple[Vector, Vector]:
        """Everything that a holder computes over the columns of the shares (G,) that D dealers sent it, in one pass.

        Gives (ℓ, D): the shares times Σ_a weights_a · row a, for each stripe, and (n, D): Σ_b ρ_b S_b for each stream
        of challenges ρ. The k rows are combined first, once for all dealers: weights enter as limbs of 16 bits, so that
        a combination of 128 rows is below 2²³, which float32 holds, and 2¹⁴ columns of its products with limbs of
        shares are below 2⁵³, which float64 holds.
        """
        stripes, dealers, n, columns = self.packed, len(shares), len(challenges), shares[0].size
        halves = np.stack([weights & _LIMB, weights >> _LIMB_BITS]).astype(np.float32)
        widest = _TOGETHER * SPAN
        left, right = np.empty((2 * (stripes + n), widest)), np.empty((2 * dealers, min(widest, columns)))
        drawn = np.empty((n, min(widest, columns)), dtype=np.uint32)
        sums = np.zeros((2 * (stripes + n), 2 * dealers), dtype=np.int64)
        for where, entries, signs in self._walk(columns):
            width, count = where.stop - where.start, len(signs)
            rows = np.matmul((halves * entries[:, :, None]).reshape(-1, self.rows), self._columns)
            rows = rows.reshape(count, stripes, 2, SPAN)
            rows *= signs[:, :, None]
            np.copyto(left[: 2 * stripes, : count * SPAN].reshape(2, stripes, count, SPAN), rows.transpose(2, 1, 0, 3))
            for stream, row in zip(challenges, drawn, strict=True):
                stream.fill(row[:width])
            limbs(drawn[:, :width], left[2 * stripes :, :width])
            _split([share[where] for share in shares], right[:, :width])
            sums += np.matmul(left[:, :width], right[:, :width].T).astype(np.int64)
            sums %= PRIME
        return _joined(sums[: 2 * stripes], dealers), _joined(sums[2 * stripes :], dealers)


def _entries(octets: npt.NDArray[np.uint8]) -> Entries:
    """Two coin flips, less one: the two lowest bits of each byte."""
    flips: Entries = (octets & 1).view(np.int8)
    flips += ((octets >> 1) & 1).view(np.int8)
    flips -= 1
    return flips


def _cut(part: Signed, spans: npt.NDArray[Any]) -> None:
    """Write columns (ℓ, ≤ n · SPAN) as spans (n, ℓ, SPAN)."""
    for place, span in enumerate(spans):
        columns = part[:, place * SPAN : (place + 1) * SPAN]
        span[:, : columns.shape[1]] = columns


def _split(rows: Sequence[Vector], out: Floats) -> None:
    """Limbs of rows (w,) as (2 · rows, w), as `limbs` does."""
    scratch = np.empty(out.shape[1], dtype=np.uint32)
    for low, high, row in zip(out, out[len(rows) :], rows, strict=False):
        np.copyto(low, np.bitwise_and(row, _LIMB, out=scratch).view(np.int32))
        np.copyto(high, np.right_shift(row, _LIMB_BITS, out=scratch).view(np.int32))


def _joined(sums: Integers, dealers: int) -> Vector:
    """Elements (v, D) from the products (2v, 2D) of their limbs."""
    low, high = np.split(sums, 2)
    cross = low[:, dealers:] + high[:, :dealers]
    return join(((0, low[:, :dealers]), (16, cross), (32, high[:, dealers:]))).astype(np.uint32)
