"""Squared distances between shared updates, opened with noise on them: what each holder publishes, and what that says.

Updates that are proved short (`crypto.norm_proof`) come with shares of the bits of their sketches. From those a holder
makes, for members i < j,

    D_ij = Σ_a (t_ia − t_ja)²,    t_ia = the bits of row a from `shift` on,

on a polynomial of degree 2t, adds the dealers' noise for the pair (`crypto.blur`) and their sharings of zero, so that
the polynomial says nothing but its value at 0, and publishes that. (4 · 4^shift / k) D_ij estimates |x_i − x_j|² in
lattice units, with a deviation of √(2/k) of it where the rows are nearly Gaussian and of √(5/k) at most
(`crypto.sketch`); k = 128 gives an eighth. As Σ t² ≤ τ is proved, 0 ≤ D_ij ≤ 4τ, and nothing wraps.

**What D says of one update, or of one record.** Let member i's update change by Δ, so that its row vector t (k,)
changes by Δt, and let R = √τ. Then D_ij changes by ⟨Δt, (t_i − t_j) + (t_i' − t_j)⟩, at most 4R |Δt|, for m − 1 pairs:

    S = 4R √(m − 1) |Δt|,    and with noise of deviation σ a pair, μ = S / σ = 1 / z_D

is the multiplier of a Gaussian mechanism. |Δt| ≤ (√(λk) / 2) |Δ| / 2^shift + √k, the last for what the cut of low bits
may add, except with probability β (`stretch`): the rows are drawn after the update is committed to. With |Δ| = x C,
R² = 1.6 K and σ = ν K, where K = k C² / 4^(shift + 1) is what C² looks like, μ ≈ 5 √(m − 1) (√λ x + √(k / K)) / ν.

- *A whole update* (|Δt| ≤ R in the place of zero, the bound becomes 3 R² √(m − 1)): μ = 12.7 / ν at m = 8. Noise that
  gave μ ≤ 1 would have 13 C² deviation, and distances of honest updates are C² or so: **useless**, at any cell.
- *A record that moves an update by x C*, x = 1 / (q · rows): with ν = 0.05, m = 8 and β = 10⁻⁹ (λ = 6.6), μ = 9 for 100
  records a step, in *every* round, and 2 for any number, for the low bits. μ = 1/30 a round, what 1000 rounds at ε = 4
  leave room for, would need ν ≥ 3. Useless as well.

**Noise that the members add to updates does not spoil this, but is not free of it either.** With h shares of noise n_j
in the updates, D is a function of the noised updates, and their noise is not independent of that of the sum. Yet: move
the shares of noise by Δ_j, integers with Σ Δ_j = Δ, against the change of u_i. The sum stays as it is, V_i changes by
Δ − Δ_i and V_j by −Δ_j, by whole lattice steps. Given everything but the place along (Δ_1, …, Δ_h), the sum is a
Gaussian mechanism of multiplier z √(1 / (1 + r)), r = d h² / 4|Δ|² at most (what dividing integers by h costs), and
then D, whatever the sum was, is one of z_D or more: Σ over pairs of the changes² is (h − 1) + a (1 − 1/h) ≤ m − 1 times
that of one, a members adding no noise. Gaussian mechanisms chosen one after the other compose to one (Dong, Roth and
Su 2022, Corollary 2), so 1/z_eff² = (1 + r)/z² + 1/z_D². So the claim 1/z_eff² = 1/z² + 1/z_D² **holds but for r**, and
by the second point is of no use with the records and the ε of a plant: sharing refuses screens over noise that is
distributed. Where each node's own noise protects its update (`noise = "local"`), D is made from what is protected
already, and costs **nothing** more. Without differential privacy, D's noise is what stands between members and the
membership oracle that exact distances are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from crypto import field
from crypto.blur import signed
from crypto.decoding import decode
from crypto.field import PRIME, Signed, Vector
from crypto.norm_proof import BitShares, ProofParameters
from crypto.shamir import Packing

_ORDERS = 48


def unit(parameters: ProofParameters) -> float:
    """K: what a squared length of C² comes to in the rows' top bits, on average."""
    return parameters.rows / 4 * parameters.clip**2 / 4.0**parameters.shift


def distance_shares(parameters: ProofParameters, dealt: Mapping[int, BitShares]) -> Vector:
    """Our shares of the noised squared distances between the dealers, one a pair in order; all of them are accepted."""
    if parameters.blur is None:
        raise ValueError("distances are opened with noise only")
    dealers = sorted(dealt)
    tops = {dealer: _tops(parameters, dealt[dealer].rows) for dealer in dealers}
    squares = []
    for i, j in combinations(dealers, 2):
        difference = field.subtract(tops[i], tops[j])
        squares.append(field.sum_of(field.multiply(difference, difference)))
    places = parameters.blur.places(dealers)
    noise = [
        part for bits in dealt.values() for part in (parameters.blur.combine(bits.blur)[places], bits.zeros[places])
    ]
    return field.total([np.array(squares, dtype=np.uint32), *noise])


def _tops(parameters: ProofParameters, rows: Vector) -> Vector:
    """Shares (k,) of the rows without their low bits; a constant that all have in common is left in."""
    bits = rows.reshape(parameters.rows, parameters.bits)[:, parameters.shift :].astype(np.uint64)
    powers = np.uint64(1) << np.arange(bits.shape[1], dtype=np.uint64)
    tops: Vector = ((bits * powers).sum(axis=1) % np.uint64(PRIME)).astype(np.uint32)
    return tops


@dataclass(frozen=True, slots=True)
class Distances:
    """What holders published."""

    squared: Signed
    """(pairs,): noised, so that some may be negative."""
    liars: frozenset[int]
    """Holders whose shares are on no codeword."""


def open_distances(packing: Packing, words: Mapping[int, Vector]) -> Distances | None:
    """The distances, from the shares (pairs,) of each holder; None where a lie cannot be told from the truth.

    With n holders, e lies are noticed if n ≥ 2t + 1 + e, and corrected if n ≥ 2t + 1 + 2e.
    """
    values: list[int] = []
    liars: set[int] = set()
    count = next(iter(words.values())).size if words else 0
    for place in range(count):
        word = {holder: int(vector[place]) for holder, vector in words.items()}
        decoded = decode(word, 2 * packing.tolerated, packing.liars)
        if decoded is None:
            return None
        values.append(decoded.values[0])
        liars |= decoded.liars
    if not words or len(liars) > packing.liars:
        return None
    return Distances(signed(values), frozenset(liars))


# --- what distances say -----------------------------------------------------------------------------------------------


def stretch(rows: int, failure: float) -> float:
    """λ such that Σ y² ≤ λ k |Δ|² / 4 for the rows y of a sketch of Δ, except with probability `failure`.

    A row is a bilinear form in entries of −1, 0, 0, 1, and their moments are below those of Gaussians of the
    same variance. Of Gaussian forms of one Frobenius norm, a product of two has the largest moments (Jensen's
    inequality for the squared singular values as weights). So for every whole n, by Markov, the probability is at most
    E (Σ_a (g_a g_a')²)ⁿ / (λk)ⁿ, which is computed exactly.
    """
    if not 0 < failure < 1:
        raise ValueError(f"0 < failure < 1 is needed, got {failure}")
    moments = [1]  # of (g g')²: ((2n − 1)!!)²
    for order in range(1, _ORDERS + 1):
        moments.append(moments[-1] * (2 * order - 1) ** 2)
    sums = _power(moments, rows)
    logs = ((_log(sums[order]) - math.log(failure)) / order for order in range(1, _ORDERS + 1))
    return math.exp(min(logs)) / rows


def change(parameters: ProofParameters, share: float, failure: float) -> float:
    """S: the most that the vector of distances changes, in Euclidean norm, when an update changes by share · C; except
    with probability `failure`.
    """
    radius = math.sqrt(parameters.tau)
    moved = math.sqrt(stretch(parameters.rows, failure) * unit(parameters)) * share + math.sqrt(parameters.rows)
    return 4 * radius * math.sqrt(parameters.packing.members - 1) * min(moved, 2 * radius)


def _power(moments: list[int], count: int) -> list[int]:
    """Moments of a sum of `count` independent variables of these moments, exactly."""
    result, base = [1] + [0] * (len(moments) - 1), moments
    while count:
        if count & 1:
            result = _convolved(result, base)
        base = _convolved(base, base)
        count >>= 1
    return result


def _convolved(one: list[int], other: list[int]) -> list[int]:
    return [sum(math.comb(n, k) * one[k] * other[n - k] for k in range(n + 1)) for n in range(len(one))]


def _log(value: int) -> float:
    shift = max(0, value.bit_length() - 1000)
    return math.log(value >> shift) + shift * math.log(2)
