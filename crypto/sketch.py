"""The public random rows that a norm proof looks through, and what dealers and holders compute with them.

Row a of the sketch of a vector in ℓ stripes X[q] of G columns is y_a = Σ_q c[a,q] · (A_a · X[q]). The entries of A (k,
G) and c (k, ℓ) are independent, −1 and 1 with probability 1/4 and 0 with 1/2: a vector that wraps around the field
keeps a row small with probability at most 3/4 (the wrap-around test of PINE, Rothblum et al. 2023, applied to A and
then to c).

An entry of A is the sum of two coin flips, less one. Tiles of 4096 columns come from an AES stream: byte (g, b) of a
tile holds the flips of column b for rows g, g + k/4, g + k/2, g + 3k/4, two bits each, lowest first.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from crypto.field import PRIME, FieldError, Signed, Vector, join, limbs
from crypto.randomness import Stream

TILE = 4096
"""Columns of A that are drawn together. A part of the protocol: another size is another A."""
MAX_ROWS = 128

Tile: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.int64]

_LOW_FLIPS = np.uint64(0x5555555555555555)
_ENTRY = np.uint64(0x0303030303030303)
_FLOAT32_EXACT = 1 << 24


class Sketch:
    """A and c of one coin; A is drawn anew, tile by tile, whenever it is walked through."""

    def __init__(self, coin: bytes, rows: int, packed: int) -> None:
        if rows % 32 or not 32 <= rows <= MAX_ROWS:
            raise FieldError(f"a sketch has 32, 64, 96 or {MAX_ROWS} rows (128 keep float32 sums exact), got {rows}")
        self.rows = rows
        self.packed = packed
        self._coin = coin
        flips = Stream(coin, "sketch stripes").octets((rows, packed))
        self.stripes: Integers = ((flips & 1) + ((flips >> 1) & 1)).astype(np.int64) - 1
        """c, (k, ℓ)."""

    def tiles(self, columns: int) -> Iterator[tuple[int, Tile]]:
        """Pairs of first column and A + 1 (k, ≤ TILE), entries 0, 1, 2, which the next tile overwrites."""
        stream = Stream(self._coin, "sketch rows")
        quarter = self.rows // 4
        widest = min(TILE, columns)
        buffer = np.empty((self.rows, widest), dtype=np.float32)
        scratch = np.empty((2, quarter * widest // 8), dtype=np.uint64)
        for start in range(0, columns, TILE):
            width = min(TILE, columns - start)
            tile, (entries, plane) = buffer[:, :width], scratch[:, : quarter * width // 8]
            octets = plane.view(np.uint8).reshape(quarter, width)
            flips = stream.octets((quarter * width,)).view(np.uint64)
            np.bitwise_and(flips, _LOW_FLIPS, out=entries)
            np.right_shift(flips, np.uint64(1), out=plane)
            np.bitwise_and(plane, _LOW_FLIPS, out=plane)
            entries += plane
            for place in range(4):
                np.right_shift(entries, np.uint64(2 * place), out=plane)
                np.bitwise_and(plane, _ENTRY, out=plane)
                np.copyto(tile[place * quarter : (place + 1) * quarter], octets)
            yield start, tile

    def matrix(self, columns: int) -> npt.NDArray[np.int8]:
        """A as a whole, (k, columns)."""
        return np.concatenate([(tile - 1).astype(np.int8) for _, tile in self.tiles(columns)], axis=1)

    def values(self, lattice: Signed) -> Integers:
        """y (k,) over the integers, for stripes (ℓ, G) of a vector of int32; exact for every such vector."""
        sums = np.zeros((self.rows, self.packed))
        for start, tile in self.tiles(lattice.shape[1]):
            part = lattice[:, start : start + tile.shape[1]].astype(np.float64)
            heaviest = 2 * float(np.abs(part).sum(axis=1).max())
            if heaviest <= _FLOAT32_EXACT:  # every partial sum is an integer that float32 holds
                sums += np.matmul(tile, part.T.astype(np.float32))
            else:
                sums += np.matmul(tile.astype(np.float64), part.T)
            sums -= part.sum(axis=1)
        values: Integers = (self.stripes * sums.astype(np.int64)).sum(axis=1)
        return values

    def combine(self, weights: Vector, challenges: Sequence[Stream], shares: Sequence[Vector]) -> tuple[Vector, Vector]:
        """Everything that a holder computes over the columns of the shares (G,) that D dealers sent it, in one pass.

        Gives (ℓ, D): Σ_a weights_a · c[a,q] · (A_a · S) for each stripe q, and (n, D): Σ_b ρ_b S_b for each stream of
        challenges ρ. The k rows are combined first, once for all dealers: weights enter as limbs of 16 bits, so that a
        combination of 128 rows is below 2²⁴, which float32 holds, and a tile of its products with limbs of shares is
        below 2⁵², which float64 holds.
        """
        stripes, dealers, n = self.packed, len(shares), len(challenges)
        low_high = np.stack([weights & np.uint32(0xFFFF), weights >> np.uint32(16)]).astype(np.int64)
        coefficients = (low_high[:, None, :] * self.stripes.T[None]).reshape(2 * stripes, self.rows)
        rows = coefficients.astype(np.float32)
        ones = 2 * stripes + 2 * n
        sums = np.zeros((ones + 1, 2 * dealers), dtype=np.int64)
        widest = min(TILE, shares[0].size)
        left, right = np.ones((ones + 1, widest)), np.empty((2 * dealers, widest))
        drawn, gathered = np.empty((n, widest), dtype=np.uint32), np.empty((dealers, widest), dtype=np.uint32)
        for start, tile in self.tiles(shares[0].size):
            width = tile.shape[1]
            for stream, row in zip(challenges, drawn, strict=True):
                stream.fill(row[:width])
            for share, row in zip(shares, gathered, strict=True):
                row[:width] = share[start : start + width]
            left[: 2 * stripes, :width] = np.matmul(rows, tile)
            limbs(drawn[:, :width], left[2 * stripes : ones, :width])
            limbs(gathered[:, :width], right[:, :width])
            sums += np.matmul(left[:, :width], right[:, :width].T).astype(np.int64)
            sums %= PRIME
        sums[: 2 * stripes] -= coefficients.sum(axis=1)[:, None] * sums[ones]  # tiles hold A + 1
        return _joined(sums[: 2 * stripes], dealers), _joined(sums[2 * stripes : ones], dealers)


def _joined(sums: Integers, dealers: int) -> Vector:
    """Elements (v, D) from the products (2v, 2D) of their limbs."""
    low, high = np.split(sums, 2)
    cross = low[:, dealers:] + high[:, :dealers]
    return join(((0, low[:, :dealers]), (16, cross), (32, high[:, dealers:]))).astype(np.uint32)
