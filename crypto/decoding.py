"""Reconstruction that finds the wrong shares and says whose they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np

from crypto.field import PRIME, Vector, inner, inverse, lagrange
from crypto.randomness import Stream
from crypto.shamir import Packing, reconstruct

_COMBINATIONS = 2  # a wrong share escapes one random combination with probability 1/p, both with 2**-62


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a word of shares says."""

    values: tuple[int, ...]
    """The polynomial at the points that were asked for."""
    liars: frozenset[int]
    """Holders whose value is not on the polynomial."""


def decode(word: Mapping[int, int], degree: int, liars: int, at: Sequence[int] = (0,)) -> Decoded | None:
    """The polynomial of `degree` through all but at most `liars` of the values, holder h at point h + 1; None when
    there is none to trust.

    With n values, c errors are corrected and any number up to `liars` is noticed, where c ≤ liars is the largest
    number with n ≥ degree + 1 + c + liars (the distance of a Reed–Solomon code is n − degree). None if n < degree + 1
    + liars: then a lie could pass unnoticed. Welch and Berlekamp (1986): find E, monic of degree c, and Q of degree ≤
    degree + c with Q(x) = y · E(x) at every point.
    """
    correct = min(liars, len(word) - degree - 1 - liars)
    if correct < 0:
        return None
    holders = sorted(word)
    points = tuple(holder + 1 for holder in holders)
    values = tuple(word[holder] % PRIME for holder in holders)
    rest = points[degree + 1 :]
    there = _evaluate(points, values, degree, (*rest, *at))  # together: this is done hundreds of times a round
    if there[: len(rest)] == values[degree + 1 :]:
        return Decoded(there[len(rest) :], frozenset())
    polynomial = _berlekamp_welch(points, values, degree, correct) if correct else None
    if polynomial is None:
        return None
    found = frozenset(h for h, x, y in zip(holders, points, values, strict=True) if _horner(polynomial, x) != y)
    return Decoded(tuple(_horner(polynomial, x) for x in at), found) if len(found) <= correct else None


def _evaluate(points: tuple[int, ...], values: tuple[int, ...], degree: int, at: tuple[int, ...]) -> tuple[int, ...]:
    first = degree + 1
    return tuple(sum(map(mul, row, values)) % PRIME for row in lagrange(points[:first], at))


def _horner(coefficients: Sequence[int], x: int) -> int:
    result = 0
    for coefficient in reversed(coefficients):
        result = (result * x + coefficient) % PRIME
    return result


def _berlekamp_welch(points: Sequence[int], values: Sequence[int], degree: int, errors: int) -> list[int] | None:
    """Coefficients of Q / E, lowest first; None where no such pair exists or E does not divide Q."""
    q_terms = degree + errors + 1
    rows = []
    for x, y in zip(points, values, strict=True):
        powers = [pow(x, k, PRIME) for k in range(q_terms)]
        rows.append([*powers, *(-y * powers[k] % PRIME for k in range(errors)), y * powers[errors] % PRIME])
    solution = _solve(rows, q_terms + errors)
    if solution is None:
        return None
    return _divide(solution[:q_terms], [*solution[q_terms:], 1])


def _solve(rows: list[list[int]], unknowns: int) -> list[int] | None:
    """One solution of a linear system given as augmented rows, free unknowns set to 0; None if there is none."""
    pivots: list[int] = []
    for column in range(unknowns):
        rank = len(pivots)
        pivot = next((row for row in range(rank, len(rows)) if rows[row][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        scale = inverse(rows[rank][column])
        rows[rank] = [value * scale % PRIME for value in rows[rank]]
        for row, values in enumerate(rows):
            if row != rank and (factor := values[column]):
                rows[row] = [(a - factor * b) % PRIME for a, b in zip(values, rows[rank], strict=True)]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    solution = [0] * unknowns
    for row, column in enumerate(pivots):
        solution[column] = rows[row][-1]
    return solution


def _divide(numerator: Sequence[int], monic: Sequence[int]) -> list[int] | None:
    """The quotient of polynomials, lowest coefficient first; None unless the division leaves nothing."""
    rest, size = list(numerator), len(monic)
    quotient = [0] * (len(rest) - size + 1)
    for shift in reversed(range(len(quotient))):
        lead = quotient[shift] = rest[shift + size - 1]
        for k, coefficient in enumerate(monic):
            rest[shift + k] = (rest[shift + k] - lead * coefficient) % PRIME
    return None if any(rest) else quotient


@dataclass(frozen=True, slots=True)
class Opened:
    """Secrets (ℓ, n), and the holders whose shares were wrong."""

    secrets: Vector
    liars: frozenset[int]


def locate(packing: Packing, shares: Mapping[int, Vector], stream: Stream) -> frozenset[int] | None:
    """The holders whose vectors (n,) of shares are not on one packed codeword; None if there are too many of them, or
    too few vectors.

    Two random combinations of the columns are decoded as scalars. The stream must be unpredictable to the holders when
    they answer.
    """
    holders = sorted(shares)
    if not holders:
        return None
    combinations = inner(
        stream.elements(_COMBINATIONS, shares[holders[0]].size), np.stack([shares[holder] for holder in holders])
    )
    located: frozenset[int] = frozenset()
    for combination in combinations:
        decoded = decode(dict(zip(holders, combination.tolist(), strict=True)), packing.degree, packing.liars)
        if decoded is None:
            return None
        located |= decoded.liars
    return located if len(located) <= packing.liars else None


def open_shares(packing: Packing, shares: Mapping[int, Vector], stream: Stream) -> Opened | None:
    """Secrets (ℓ, n) from the vectors of at least m − f holders, up to e of them wrong; None if they cannot be told
    apart.

    Raises PackingError never: whatever holders send (of the right length, in canonical form) either opens or does not.
    """
    liars = locate(packing, shares, stream)
    if liars is None:
        return None
    honest = [holder for holder in sorted(shares) if holder not in liars][: packing.degree + 1]
    return Opened(reconstruct(packing, honest, [shares[holder] for holder in honest]), liars)
