"""Packed Shamir sharing of long vectors (Franklin and Yung 1992), with shares that are seeds.

Holder h (0 … m − 1, its place in the sorted roster) sits at point h + 1; the ℓ secrets of a polynomial at 0, −1, …,
−(ℓ − 1). The polynomial of degree δ = t + ℓ − 1 is fixed by its secrets and by the shares of t holders, which are
drawn at random: those holders are sent a 32-byte seed instead of a share, and only m − t rows are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from crypto.field import BLOCK, Matrix, Vector, lagrange
from crypto.randomness import Stream

_MAX_MEMBERS = 256


class PackingError(ValueError):
    """Parameters outside a bound of the theory, or shares that do not fit them."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Who is trusted with what in a cell. Raises PackingError with the bound that does not hold."""

    members: int
    """m: holders in the cell, each of them a dealer too."""
    tolerated: int
    """t: colluders that learn nothing."""
    packed: int
    """ℓ: secrets that one polynomial carries."""
    liars: int = 0
    """e: holders whose wrong shares are located."""
    absentees: int = 0
    """f: holders that may send nothing."""

    def __post_init__(self) -> None:
        m, t, packed, e, f = self.members, self.tolerated, self.packed, self.liars, self.absentees
        if not 2 <= m <= _MAX_MEMBERS:
            raise PackingError(f"a cell has 2 <= m <= {_MAX_MEMBERS} members: m={m}")
        if t < 1:
            raise PackingError(f"t >= 1: with t={t} every holder reads the update")
        if packed < 1 or e < 0 or f < 0:
            raise PackingError(f"l >= 1, e >= 0 and f >= 0 are needed: l={packed}, e={e}, f={f}")
        if m - f < t + packed + 2 * e:
            raise PackingError(f"m - f >= t + l + 2e is needed to decode a sum: m={m}, f={f}, t={t}, l={packed}, e={e}")
        if m - f < 2 * t + 1 + e:
            raise PackingError(
                f"m - f >= 2t + 1 + e is needed to notice a lie in a quadratic check: m={m}, f={f}, t={t}, e={e}"
            )

    @property
    def degree(self) -> int:
        """δ = t + ℓ − 1: the degree of a packed polynomial; δ + 1 shares give it away."""
        return self.tolerated + self.packed - 1

    @property
    def corrects_quadratic(self) -> bool:
        """Whether m − f ≥ 2t + 1 + 2e: e liars in a quadratic check are located, and not only noticed."""
        return self.members - self.absentees >= 2 * self.tolerated + 1 + 2 * self.liars

    def require_quadratic_correction(self) -> None:
        """Raise PackingError unless liars in a quadratic check can be located."""
        if not self.corrects_quadratic:
            raise PackingError(
                f"m - f >= 2t + 1 + 2e is needed to locate liars in a quadratic check: "
                f"m={self.members}, f={self.absentees}, t={self.tolerated}, e={self.liars}"
            )

    @property
    def secret_points(self) -> tuple[int, ...]:
        """Where the secrets sit: 0, −1, …, −(ℓ − 1)."""
        return tuple(-slot for slot in range(self.packed))

    @property
    def points(self) -> tuple[int, ...]:
        """Where the holders sit: 1 … m."""
        return tuple(range(1, self.members + 1))

    def columns(self, size: int) -> int:
        """G = ⌈d / ℓ⌉: polynomials that carry a vector of d = `size`."""
        return -(-size // self.packed)

    def seeded(self, dealer: int, round_number: int) -> tuple[int, ...]:
        """The t holders whose share is a seed: others than the dealer, rotating from round to round."""
        others = [holder for holder in range(self.members) if holder != dealer]
        first = (dealer + round_number * self.tolerated) % len(others)
        return tuple(sorted(others[(first + step) % len(others)] for step in range(self.tolerated)))


def stripes(values: Vector, packed: int) -> Vector:
    """A vector (d,) as contiguous stripes (ℓ, ⌈d/ℓ⌉), padded with zeros: slot q of column g is values[q · G + g]."""
    columns = -(-values.size // packed)
    if columns * packed == values.size:
        return values.reshape(packed, columns)
    padded = np.zeros(packed * columns, dtype=values.dtype)
    padded[: values.size] = values
    return padded.reshape(packed, columns)


SHARE_BLOCK = 1 << 16
"""Columns that are dealt, sealed and sent together. A part of the protocol: seeds are expanded block by block."""


def share_stream(seed: bytes, block: int) -> Stream:
    """The stream whose field elements are a block of the share of a holder that was sent `seed`."""
    return Stream(seed, f"share {block}")


def blocks_of(columns: int) -> range:
    """Numbers of the blocks of a share of so many columns, at least one."""
    return range(-(-columns // SHARE_BLOCK))


class SeededShare:
    """The share (G,) of a holder that was sent a seed: worked out where it is looked at, from front to back at best."""

    def __init__(self, seed: bytes, columns: int) -> None:
        self.size = columns
        self._seed = seed
        self._at = -1
        self._stream = share_stream(seed, 0)

    def __getitem__(self, where: slice) -> Vector:
        """Columns of the share, where start ≤ stop are given."""
        values = np.empty(min(where.stop, self.size) - where.start, dtype=np.uint32)
        start = where.start
        for rest in np.split(values, range(SHARE_BLOCK - start % SHARE_BLOCK, values.size, SHARE_BLOCK)):
            block, skipped = divmod(start, SHARE_BLOCK)
            if start != self._at or not skipped:
                self._stream = share_stream(self._seed, block)
                self._stream.elements(skipped)
            self._stream.fill(rest)
            self._at = start = start + rest.size
        return values


Share: TypeAlias = Vector | SeededShare


def expand(seed: bytes, columns: int) -> Vector:
    """The share (G,) of a holder that was sent a seed, as a whole."""
    return SeededShare(seed, columns)[0:columns]


class Dealer:
    """Deals vectors of one packing to one choice of seeded holders."""

    def __init__(self, packing: Packing, seeded: Sequence[int]) -> None:
        if (
            sorted(set(seeded)) != list(seeded)
            or len(seeded) != packing.tolerated
            or not set(seeded) <= set(range(packing.members))
        ):
            raise PackingError(
                f"t = {packing.tolerated} holders below m = {packing.members} take seeds, in order: got {seeded}"
            )
        self.packing = packing
        self.seeded = tuple(seeded)
        self.computed = tuple(holder for holder in range(packing.members) if holder not in self.seeded)
        """The holders of the rows that are dealt, in order."""
        sources = packing.secret_points + tuple(packing.points[holder] for holder in self.seeded)
        self._matrix = Matrix(lagrange(sources, tuple(packing.points[holder] for holder in self.computed)))

    def deal(self, secrets: Vector, seeds: Sequence[bytes]) -> Vector:
        """Shares (m − t, G) of the holders in `computed`, for secrets (ℓ, G) and one fresh seed a seeded holder."""
        shares = np.empty((len(self.computed), secrets.shape[1]), dtype=np.uint32)
        for number in blocks_of(secrets.shape[1]):
            where = slice(number * SHARE_BLOCK, (number + 1) * SHARE_BLOCK)
            self.deal_block(secrets[:, where], seeds, number, shares[:, where])
        return shares

    def deal_block(self, secrets: Vector, seeds: Sequence[bytes], number: int, out: Vector) -> None:
        """Write the shares (m − t, w) of block `number`, whose secrets are (ℓ, w), w ≤ SHARE_BLOCK."""
        if secrets.shape[0] != self.packing.packed or len(seeds) != len(self.seeded) or len(set(seeds)) != len(seeds):
            raise PackingError(
                f"{self.packing.packed} stripes and {len(self.seeded)} different seeds are needed, "
                f"got {secrets.shape[0]} stripes and {len(set(seeds))} seeds"
            )
        streams = [share_stream(seed, number) for seed in seeds]
        random = np.empty((len(streams), min(BLOCK, secrets.shape[1])), dtype=np.uint32)
        for start in range(0, secrets.shape[1], BLOCK):
            part = secrets[:, start : start + BLOCK]
            width = part.shape[1]
            for row, stream in zip(random, streams, strict=True):
                stream.fill(row[:width])
            self._matrix.block([*part, *random[:, :width]], out[:, start : start + width])


def share_packed(packing: Packing, secrets: Vector, stream: Stream) -> Vector:
    """Shares (m, n) of short packed secrets (ℓ, n), degree δ, with the random rows taken from `stream`."""
    random = stream.elements(packing.tolerated, secrets.shape[1])
    sources = packing.secret_points + packing.points[: packing.tolerated]
    return Matrix(lagrange(sources, packing.points)).apply([*secrets, *random])


def share_at_zero(packing: Packing, secrets: Vector, degree: int, stream: Stream) -> Vector:
    """Shares (m, n) of secrets (n,) that sit at 0, of `degree` t or 2t, with the random rows taken from `stream`."""
    if not packing.tolerated <= degree < packing.members:
        raise PackingError(f"t <= degree < m is needed: degree={degree}, t={packing.tolerated}, m={packing.members}")
    random = stream.elements(degree, secrets.size)
    return Matrix(lagrange((0, *packing.points[:degree]), packing.points)).apply([secrets, *random])


def reconstruct(packing: Packing, holders: Sequence[int], shares: Sequence[Vector] | Vector) -> Vector:
    """Secrets (ℓ, n) from δ + 1 shares (n,) that are known to be right; `holders` says whose they are."""
    if len(holders) != packing.degree + 1 or len(shares) != len(holders):
        raise PackingError(
            f"t + l = {packing.degree + 1} shares give the secrets, got {len(shares)} of {len(holders)} holders"
        )
    return Matrix(lagrange(tuple(packing.points[holder] for holder in holders), packing.secret_points)).apply(shares)
