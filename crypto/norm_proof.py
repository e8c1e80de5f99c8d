"""The proof that a shared update is short: dealers give sharings of bits, holders publish masked scalars, anyone
judges.

The order of events is the proof. Shares and masks are committed before coin 1 draws the rows of the sketch; bits are
committed before coin 2 draws the challenges of the checks. Holders then publish one scalar a check and dealer, each
masked by randomness that the dealer shared, so that all that the scalars say is whether the checks hold:

- C1 the share vectors lie on a codeword of degree δ (twice: an error of 2⁻⁶²) · C1b those of the bits on one of degree
t (twice) - C2 the sketch of the shared vector is the number that the bits spell - C3/C4 bits are bits, and Σ ((y >>
shift))² + slack = τ, on a codeword of degree 2t with 0 at 0; where distances are to be opened, the bits of their noise
are among the bits, and (C5) the sharings of zero that hide products are added to this word

Prio3 and PINE are the models of bits and wrap-around test, EIFFeL that of checking shares without a server.

How long a vector x may be, for any C, B = 2^bound_bits, shift and p. Let S = |x|², and T± = 4^shift (√τ ± √k)².

- Squares are seen without their low bits: |y| / 2^shift − 1 ≤ |y >> shift| ≤ |y| / 2^shift + 1 for each of k rows. So
  C4 holds wherever Σ y² ≤ T−, and only where Σ y² ≤ T+. C, B and shift enter τ, T± / (k C² / 4) and the room below p by
  C / 2^shift and B / 2^shift alone: (4000, 15, 4) and (128 000, 20, 9) have the same 250, 2048 and τ = 3 185 854, with
  T− = 1.573 and T+ = 1.613 times k C² / 4. The finer lattice costs more bits a row, and no soundness.
- Wrapping: a row passes with probability ≤ 3/4 given the others, and all with ≤ 2⁻⁵³, if some |x_i| ≥ 4B
  (`crypto.sketch`) or some span is of norm ≥ 11B: then, A being sums of two signs over 2, Berry and Esseen (0.56,
  Shevtsova 2010) bound the probability that its part of norm 11B comes within [−2B, 2B) mod p of anything by
  2 · 0.144 + 0.206 < 1/2. Otherwise rows stay within p / 2 but for 2k exp(−(p/2)² / 2S) by Hoeffding, 10⁻²⁵ for
  |x| ≤ 90 B = 737 C at B = 2²⁰. What is longer still and has neither such a coordinate nor such a span (it fills 67
  spans) is left to the rows being nearly Gaussian: a law, not a proof.
- Too long: Σ y² has mean k S / 4 and deviation ≤ √(5/k) of it for every x, so that (Cantelli) one of S > λ C² passes
  with probability ≤ 1 / (1 + (k/5) (1 − 1.613/λ)²): 0.16 at λ = 3, 0.055 at 10, and never below 0.037. That is what
  is proved for all x at once. Where rows are nearly Gaussian the law is known, and its worst case, all mass in one
  span, passes with 3e-3 at λ = 3, 7e-5 at 4 and 3e-10 at 9.
- Honest, S ≤ 0.81 C²: |y| < B but for 2k exp(−B² / S) < 10⁻³³ (a row is sub-Gaussian of proxy S / 2), and Σ y² ≤ T− but
  for 6e-4 whatever x is (Chernoff), 3e-5 by the law, and less the more spans x fills.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from itertools import accumulate, pairwise
from typing import Self

import numpy as np

from crypto import field
from crypto.blur import Blur
from crypto.decoding import Decoded, decode
from crypto.field import PRIME, Vector
from crypto.randomness import Stream
from crypto.shamir import Packing, Share, share_at_zero, share_packed
from crypto.sketch import Integers, Sketch

REPEATS = 2
"""Independent repetitions of the checks of degree."""


class ProofError(ValueError):
    """Parameters under which the proof says nothing, or a vector that has no proof."""


@dataclass(frozen=True, slots=True)
class ProofParameters:
    """What is proved. Raises ProofError with the bound that does not hold."""

    packing: Packing
    clip: int = 4000
    """C: the norm in lattice units. Honest dealers stay below 0.9 C; beyond about 1.7 C no proof passes."""
    rows: int = 128
    """k: rows of the sketch. A vector that wraps passes with probability (3/4)^k."""
    bound_bits: int = 15
    """A row of the sketch lies in [−B, B), B = 2^bound_bits."""
    shift: int = 4
    """Low bits of a row that its square leaves out."""
    blur: Blur | None = None
    """Noise on distances between updates, where those are to be opened (`crypto.distances`)."""

    def __post_init__(self) -> None:
        if self.rows % 32 or not 32 <= self.rows <= 128:
            raise ProofError(f"a sketch has 32, 64, 96 or 128 rows, got {self.rows}")
        if self.clip < 1 or not 1 <= self.shift < self.bound_bits <= 24:
            raise ProofError(f"clip >= 1 and 1 <= shift < bound_bits <= 24 are needed: {self}")
        if self.bound < 8 * self.clip:
            raise ProofError(
                f"B >= 8 C is needed, lest an honest row exceed B: B={self.bound}, C={self.clip}; "
                f"use bound_bits={(8 * self.clip - 1).bit_length()} or a smaller clip"
            )
        if self.rows * (self.bound >> self.shift) ** 2 + (1 << self.slack_bits) >= PRIME:
            raise ProofError(
                f"k (B / 2^shift)^2 + 2^slack_bits < p is needed, lest the sum of squares wrap: "
                f"k={self.rows}, B={self.bound}, shift={self.shift}"
            )
        if self.blur is not None and 4 * self.tau + self.packing.members * self.blur.reach > PRIME // 2:
            raise ProofError(
                f"4 tau + m A <= (p - 1) / 2 is needed, lest a noised distance wrap: tau={self.tau}, "
                f"m={self.packing.members}, A={self.blur.reach}; use less noise"
            )

    @property
    def bound(self) -> int:
        """B."""
        return 1 << self.bound_bits

    @property
    def tau(self) -> int:
        """τ: the largest Σ (y >> shift)² that passes, k C² / 4^(shift + 1) and three deviations on top."""
        return int((1 + 3 * math.sqrt(5 / self.rows)) * self.rows / 4 * self.clip**2 / 4**self.shift)

    @property
    def bits(self) -> int:
        """Bits of y + B."""
        return self.bound_bits + 1

    @property
    def slack_bits(self) -> int:
        """Bits of τ − Σ (y >> shift)²."""
        return self.tau.bit_length()

    @property
    def words(self) -> int:
        """All bits that a dealer shares."""
        return self.rows * self.bits + self.slack_bits + (self.blur.words if self.blur else 0)

    @property
    def honest_norm(self) -> float:
        """0.9 C, to which an honest dealer clips."""
        return 0.9 * self.clip


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """Named runs of field elements that travel as one vector."""

    @classmethod
    def sizes(cls, parameters: ProofParameters) -> tuple[int, ...]:
        """How many elements each field has."""
        raise NotImplementedError

    @classmethod
    def from_vector(cls, parameters: ProofParameters, vector: Vector) -> Self:
        """Read what `to_vector` wrote. Raises FieldError unless it has the right length and only canonical elements."""
        sizes = cls.sizes(parameters)
        if vector.shape != (sum(sizes),):
            raise field.FieldError(f"{cls.__name__} has {sum(sizes)} elements, got shape {vector.shape}")
        field.require_canonical(vector, cls.__name__)
        edges = accumulate(sizes, initial=0)
        return cls(*(vector[first:last] for first, last in pairwise(edges)))

    def to_vector(self) -> Vector:
        """All fields in their order, as one vector."""
        names: tuple[str, ...] = self.__slots__
        return np.concatenate([getattr(self, name) for name in names])


def _none() -> Vector:
    return np.empty(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class MaskShares(_Words):
    """What a holder is sent beside its share, before coin 1."""

    degree: Vector
    """R (REPEATS,): packed random."""
    sketch: Vector
    """Ra (ℓ,): packed random, one a stripe."""
    value: Vector
    """Rb (1,): degree t; its secret is the sum over q of secret q of Ra_q."""
    zero: Vector
    """Z (1,): degree 2t, secret 0."""

    @classmethod
    def sizes(cls, parameters: ProofParameters) -> tuple[int, ...]:  # noqa: D102
        return REPEATS, parameters.packing.packed, 1, 1


@dataclass(frozen=True, slots=True, eq=False)
class BitShares(_Words):
    """What a holder is sent between the coins: shares of degree t."""

    rows: Vector
    """(k · bits,): the bits of y + B, lowest first."""
    slack: Vector
    """(slack_bits,): the bits of τ − Σ (y >> shift)²."""
    degree: Vector
    """M (REPEATS,): random."""
    blur: Vector = member(default_factory=_none)
    """(pairs · bits,): the bits of noise on distances."""
    zeros: Vector = member(default_factory=_none)
    """(pairs,): degree 2t, secret 0: they hide all of a product but its secret."""

    @classmethod
    def sizes(cls, parameters: ProofParameters) -> tuple[int, ...]:  # noqa: D102
        blur = parameters.blur
        noise = (blur.words, len(blur.pairs)) if blur else (0, 0)
        return parameters.rows * parameters.bits, parameters.slack_bits, REPEATS, *noise


@dataclass(frozen=True, slots=True, eq=False)
class Scalars(_Words):
    """What a holder publishes about one dealer after coin 2."""

    degree: Vector
    """C1 (REPEATS,)."""
    bit_degree: Vector
    """C1b (REPEATS,)."""
    sketch: Vector
    """C2, the side of the sketch (ℓ,)."""
    value: Vector
    """C2, the side of the bits (1,)."""
    statement: Vector
    """C3/C4 (1,)."""

    @classmethod
    def sizes(cls, parameters: ProofParameters) -> tuple[int, ...]:  # noqa: D102
        return REPEATS, REPEATS, parameters.packing.packed, 1, 1


def deal_masks(parameters: ProofParameters, stream: Stream) -> tuple[MaskShares, ...]:
    """The dealer's masks, one set a holder, from a stream that is used for nothing else."""
    packing = parameters.packing
    degree = share_packed(packing, stream.elements(packing.packed, REPEATS), stream)
    secrets = stream.elements(packing.packed, packing.packed)
    sketch = share_packed(packing, secrets, stream)
    diagonal = np.array([field.sum_of(secrets.diagonal())], dtype=np.uint32)
    value = share_at_zero(packing, diagonal, packing.tolerated, stream)
    zero = share_at_zero(packing, np.zeros(1, dtype=np.uint32), 2 * packing.tolerated, stream)
    return tuple(MaskShares(*parts) for parts in zip(degree, sketch, value, zero, strict=True))


def deal_bits(parameters: ProofParameters, values: Integers, stream: Stream) -> tuple[BitShares, ...]:
    """The dealer's answer to coin 1, one set a holder, for the sketch values (k,) of its vector.

    Raises ProofError if they are too large: the vector is longer than the bound. An honest one, of 0.9 C, fails with
    probability 3.1 · 10⁻⁵ where all of it lies in one span of the sketch, and 5 · 10⁻⁸ where it is spread over six: it
    sits out a round, nobody is named, and what it learned is part of its next update.
    """
    largest, square = int(np.abs(values).max()), int(((values >> parameters.shift) ** 2).sum())
    if largest >= parameters.bound or square > parameters.tau:
        raise ProofError(
            f"no proof: |y| < {parameters.bound} and a sum of squares <= {parameters.tau} are needed, "
            f"got {largest} and {square}; "
            f"clip the update to norm {parameters.honest_norm} before it is shared"
        )
    rows = ((values + parameters.bound)[:, None] >> np.arange(parameters.bits)) & 1
    slack = ((parameters.tau - square) >> np.arange(parameters.slack_bits)) & 1
    return share_bits(parameters, rows.astype(np.uint32), slack.astype(np.uint32), stream)


def share_bits(parameters: ProofParameters, rows: Vector, slack: Vector, stream: Stream) -> tuple[BitShares, ...]:
    """Sharings of degree t of `rows` (k, bits), `slack` (slack_bits,) and the masks of C1b, one set a holder; with a
    blur, of fresh noise too, and sharings of zero.
    """
    packing = parameters.packing
    secrets = np.concatenate([rows.reshape(-1), slack, stream.elements(REPEATS)])
    if parameters.blur is not None:
        secrets = np.concatenate([secrets, parameters.blur.spell(parameters.blur.draw(stream))])
    shares = share_at_zero(packing, secrets, packing.tolerated, stream)
    if parameters.blur is not None:
        none = np.zeros(len(parameters.blur.pairs), dtype=np.uint32)
        shares = np.concatenate([shares, share_at_zero(packing, none, 2 * packing.tolerated, stream)], axis=1)
    return tuple(BitShares.from_vector(parameters, share) for share in shares)


class Checker:
    """A holder's side of the checks, for all dealers of a round at once."""

    def __init__(self, parameters: ProofParameters, sketch: Sketch, coin: bytes) -> None:
        """`sketch` is that of coin 1, `coin` the second one."""
        k, words, blur = parameters.rows, parameters.words, parameters.blur
        self._parameters = parameters
        self._sketch = sketch
        self._degree = tuple(f"check C1 {repeat}" for repeat in range(REPEATS))
        self._coin = coin
        self._bit_degree = Stream(coin, "check C1b").elements(REPEATS, words)
        self._row_weights = Stream(coin, "check C2").elements(k)
        self._bit_weights = Stream(coin, "check C3").elements(1, words)
        self._norm_weight = np.uint32(Stream(coin, "check C4").elements(1)[0])
        self._zero_weights = None if blur is None else Stream(coin, "check C5").elements(1, len(blur.pairs))

    def scalars(
        self, shares: Sequence[Share], masks: Sequence[MaskShares], bits: Sequence[BitShares]
    ) -> tuple[Scalars, ...]:
        """What to publish about each dealer, from the share (G,), masks and bits that it sent us."""
        challenges = [Stream(self._coin, label) for label in self._degree]
        sketch, degree = self._sketch.combine(self._row_weights, challenges, shares)
        degree = field.add(degree.T, np.stack([mask.degree for mask in masks]))
        sketch = field.add(sketch.T, np.stack([mask.sketch for mask in masks]))
        words = np.stack([np.concatenate([part.rows, part.slack, part.blur]) for part in bits])
        bit_degree = field.add(field.inner(words, self._bit_degree), np.stack([part.degree for part in bits]))
        value, square = self._spelled(words)
        value = field.add(value, np.stack([mask.value for mask in masks]))
        one_less = field.subtract(words, np.uint32(1))
        statement = field.inner(field.multiply(words, one_less), self._bit_weights)
        statement = field.add(statement, field.multiply(square, self._norm_weight))
        statement = field.add(statement, np.stack([mask.zero for mask in masks]))
        if self._zero_weights is not None:
            statement = field.add(statement, field.inner(np.stack([part.zeros for part in bits]), self._zero_weights))
        return tuple(Scalars(*parts) for parts in zip(degree, bit_degree, sketch, value, statement, strict=True))

    def _spelled(self, words: Vector) -> tuple[Vector, Vector]:
        """Shares (D, 1) of Σ_a weight_a · y_a and of Σ top(y)² + slack − τ from shares of bits (D, k · bits +
        slack_bits + …).
        """
        parameters, first = self._parameters, self._parameters.rows * self._parameters.bits
        rows, slack, _ = np.split(words.astype(np.uint64), [first, first + parameters.slack_bits], axis=1)
        powers = np.uint64(1) << np.arange(parameters.bits, dtype=np.uint64)
        rows = rows.reshape(-1, parameters.rows, parameters.bits)
        tops = _less(
            (rows[..., parameters.shift :] * powers[: -parameters.shift]).sum(-1), parameters.bound >> parameters.shift
        )
        values = _less((rows * powers).sum(-1), parameters.bound)
        squares = field.multiply(tops, tops).sum(-1, keepdims=True, dtype=np.uint64)
        spelled = (slack << np.arange(parameters.slack_bits, dtype=np.uint64)).sum(-1, keepdims=True)
        return field.inner(values, self._row_weights[None]), _less(squares + spelled, parameters.tau)


def _less(totals: np.typing.NDArray[np.uint64], constant: int) -> Vector:
    """totals − constant, reduced."""
    return field.subtract((totals % np.uint64(PRIME)).astype(np.uint32), np.uint32(constant))


@dataclass(frozen=True, slots=True)
class Finding:
    """What the published scalars say about one dealer."""

    failed: str | None
    """The check that does not hold, None if the dealer is accepted."""
    liars: frozenset[int]
    """Holders whose scalars are on no codeword: each is the matter of a dispute between that holder and the dealer."""

    @property
    def accepted(self) -> bool:
        """Whether the dealer's vector may enter the sum."""
        return self.failed is None


def judge(parameters: ProofParameters, published: Mapping[int, Scalars]) -> Finding:
    """Decode what holders published about one dealer; `published` maps holders (0 … m − 1) to their scalars.

    A dealer is refused if a check does not hold or cannot be decoded, or if the checks together accuse more than e
    holders.
    """
    packing = parameters.packing
    judged = _Judge(packing, {holder: scalars.to_vector().tolist() for holder, scalars in published.items()})
    first = REPEATS + REPEATS
    places = range(first, first + packing.packed)
    if not all(judged.decode(place, packing.degree) for place in range(REPEATS)):
        return judged.finding("C1")
    if not all(judged.decode(place, packing.tolerated) for place in range(REPEATS, first)):
        return judged.finding("C1b")
    sides = [judged.decode(place, packing.degree, -slot) for slot, place in enumerate(places)]
    value = judged.decode(places.stop, packing.tolerated)
    if value is None or None in sides or sum(side.values[0] for side in sides if side) % PRIME != value.values[0]:
        return judged.finding("C2")
    statement = judged.decode(places.stop + 1, 2 * packing.tolerated)
    if statement is None or statement.values != (0,):
        return judged.finding("C3/C4")
    return judged.finding(None if len(judged.liars) <= packing.liars else "liars")


class _Judge:
    """Decodes one scalar after another and remembers who was off."""

    def __init__(self, packing: Packing, vectors: Mapping[int, Sequence[int]]) -> None:
        self._packing = packing
        self._vectors = vectors
        self.liars: frozenset[int] = frozenset()

    def decode(self, place: int, degree: int, at: int = 0) -> Decoded | None:
        word = {holder: vector[place] for holder, vector in self._vectors.items()}
        decoded = decode(word, degree, self._packing.liars, at=(at,))
        if decoded is not None:
            self.liars |= decoded.liars
        return decoded

    def finding(self, failed: str | None) -> Finding:
        return Finding(failed, self.liars)
