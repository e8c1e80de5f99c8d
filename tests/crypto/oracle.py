"""The private round in plain Python integers, written apart from `crypto`: slow, obvious, and for any prime."""

import hashlib
import itertools

P = 2**31 - 1


def interpolate(points, values, target, prime=P):
    """Value at `target` of the polynomial through the points, by Lagrange's formula."""
    result = 0
    for i, x in enumerate(points):
        numerator = denominator = 1
        for j, other in enumerate(points):
            if i != j:
                numerator = numerator * (target - other) % prime
                denominator = denominator * (x - other) % prime
        result += values[i] * numerator * pow(denominator, prime - 2, prime)
    return result % prime


def share_column(secrets, random, members, prime=P):
    """Shares of all holders for the polynomial with secrets at 0, −1, … and the values `random` at 1, 2, …"""
    points = [-q for q in range(len(secrets))] + list(range(1, len(random) + 1))
    values = list(secrets) + list(random)
    return [interpolate(points, values, holder, prime) for holder in range(1, members + 1)]


def reconstruct_column(shares, packed, prime=P):
    """Secrets from a mapping of holder (0-based) to share; every share given is trusted."""
    points, values = [h + 1 for h in shares], list(shares.values())
    return [interpolate(points, values, -q, prime) for q in range(packed)]


def nearest_codeword(word, degree, errors, prime=P):
    """Search all subsets: (polynomial's values at 0 … −degree, liars) with at most `errors` liars, or None."""
    for count in range(errors + 1):
        for subset in itertools.combinations(sorted(word), degree + 1):
            points, values = [h + 1 for h in subset], [word[h] for h in subset]
            bad = {h for h in word if interpolate(points, values, h + 1, prime) != word[h] % prime}
            if len(bad) <= count:
                return [interpolate(points, values, -q, prime) for q in range(degree + 1)], bad
    return None


def signed(value, prime=P):
    """The representative between −p/2 and p/2."""
    value %= prime
    return value - prime if value > prime // 2 else value


def sketch_values(rows, X):
    """y_a = Σ_q rows[a][q] · X[q] over the integers."""
    return [
        sum(entry * x for stripe, values in zip(row, X, strict=True) for entry, x in zip(stripe, values, strict=True))
        for row in rows
    ]


def norm_statement(values, bound, shift, tau):
    """Whether every |y| < bound and Σ (y >> shift)² ≤ tau: what the bits of a proof assert."""
    return all(-bound <= y < bound for y in values) and sum((y >> shift) ** 2 for y in values) <= tau


def holder_scalars(share, masks, bits, sketch_rows, weights, shape):
    """The masked scalars of protocol.md, check by check, for one holder and one dealer, in the order in which they
    travel.

    `masks` = (R, Ra, Rb, Z), `bits` = (rows, slack, M); `weights` = (ρ, bit ρ, r1, r2 with r3, r4); `shape` = (bits,
    shift, bound, tau).
    """
    R, Ra, Rb, Z = masks
    rows, slack, M = bits
    rho, bit_rho, r1, r23, r4 = weights
    width, shift, bound, tau = shape
    dot = lambda u, v: sum(x * y for x, y in zip(u, v, strict=True))  # noqa: E731
    words = [*rows, *slack]
    degree = [dot(row, share) + mask for row, mask in zip(rho, R, strict=True)]
    bit_degree = [dot(row, words) + mask for row, mask in zip(bit_rho, M, strict=True)]
    sketch = [
        sum(weight * dot(row[q], share) for weight, row in zip(r1, sketch_rows, strict=True)) + Ra[q]
        for q in range(len(Ra))
    ]
    by_row = [rows[a * width : (a + 1) * width] for a in range(len(r1))]
    value = sum(w * (sum(b << j for j, b in enumerate(row)) - bound) for w, row in zip(r1, by_row, strict=True)) + Rb[0]
    squares = sum((sum(b << j for j, b in enumerate(row[shift:])) - (bound >> shift)) ** 2 for row in by_row)
    norm = squares + sum(b << j for j, b in enumerate(slack)) - tau
    statement = sum(w * (b * b - b) for w, b in zip(r23, words, strict=True)) + r4 * norm + Z[0]
    return [x % P for x in (*degree, *bit_degree, *sketch, value, statement)]


def drawn(label, count):
    """Elements of the field that anyone can work out: a word of SHA-256 each."""
    return [int.from_bytes(hashlib.sha256(f"{label} {i}".encode()).digest()[:4], "big") % P for i in range(count)]
