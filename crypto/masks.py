"""Masks that cancel in a sum, and their recovery when somebody drops out (Bonawitz et al., CCS 2017, section 4).

Member j adds to its words in Z_2³² one mask of its own (seed b_j) and, for each other member i, the mask of the pair
(seed s_ij, from a Diffie–Hellman agreement), added by the smaller of the two and subtracted by the larger. The pairs'
cancel in the sum of all; b_j, or for a dropout the secret key behind all its s_ij, is recovered from Shamir shares.

Whoever has the masked words of j and both of its secrets reads j. So of one member no more than one of the two may ever
be revealed: that rule is the protocol's to keep, and the threshold's to enforce.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto.commitment import digest
from crypto.field import Vector, lagrange
from crypto.randomness import Stream

SECRET_BYTES: Final = 32
PUBLIC_BYTES: Final = 32 + 32 + 32
"""The point of boxes, the point of masks, and the digest of the own seed."""
SHARE_BYTES: Final = 33
BOX_BYTES: Final = 2 * SHARE_BYTES + 16
SHARING_PRIME: Final = 2**256 + 297
"""The smallest prime above all secrets."""

_ZERO_NONCE = bytes(12)  # every key seals one box


class MaskError(ValueError):
    """A key, box or share that is none, or shares of something else than what was promised."""


@dataclass(frozen=True)
class MaskKeys:
    """A member's secrets for one round."""

    boxes: bytes = field(repr=False)
    """X25519 scalar that seals shares to others."""
    masks: bytes = field(repr=False)
    """X25519 scalar behind the masks of all pairs: shared among the members."""
    seed: bytes = field(repr=False)
    """b_j, of the own mask: shared among the members."""

    @classmethod
    def generate(cls, randbytes: Callable[[int], bytes]) -> MaskKeys:
        """Fresh secrets from a cryptographic source."""
        return cls(*(randbytes(SECRET_BYTES) for _ in range(3)))

    @cached_property
    def public(self) -> bytes:
        """PUBLIC_BYTES for all to know."""
        return public_point(self.boxes) + public_point(self.masks) + seed_digest(self.seed)


def public_point(secret: bytes) -> bytes:
    """The X25519 point (32 bytes) of a scalar."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def seed_digest(seed: bytes) -> bytes:
    """What a member publishes of its own seed: of 32 uniform bytes it tells nothing that can be used."""
    return digest("grapevine own mask v1", seed)


def split(public: bytes) -> tuple[bytes, bytes, bytes]:
    """The point of boxes, that of masks, and the digest of the own seed. Raises MaskError."""
    if len(public) != PUBLIC_BYTES:
        raise MaskError(f"public keys of a round have {PUBLIC_BYTES} bytes, got {len(public)}")
    return public[:32], public[32:64], public[64:]


def agree(secret: bytes, public: bytes, purpose: str, context: bytes) -> bytes:
    """32 bytes that both ends of an agreement know, each for one purpose and context. Raises MaskError."""
    try:
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a point of small order
        raise MaskError("an X25519 point that gives no secret") from error
    points = sorted((public_point(secret), public))
    return digest("grapevine mask agreement v1", purpose, context, shared, *points)


# --- masks ------------------------------------------------------------------------------------------------------------


def mask(seed: bytes, fragment: int, count: int) -> Vector:
    """The mask (count,) of one fragment: words of Z_2³². Fragments of one seed are independent of each other."""
    return Stream(seed, f"mask {fragment}").words(count)


def add_masks(words: Vector, fragment: int, added: Sequence[bytes], subtracted: Sequence[bytes]) -> Vector:
    """`words` (n,) of a fragment plus the masks of some seeds, minus those of others, modulo 2³²."""
    masked = words.copy()
    for seed in added:
        masked += mask(seed, fragment, words.size)
    for seed in subtracted:
        masked -= mask(seed, fragment, words.size)
    return masked


# --- shares of a secret -----------------------------------------------------------------------------------------------


def share(secret: bytes, threshold: int, members: int, randbytes: Callable[[int], bytes]) -> tuple[bytes, ...]:
    """Shamir shares (SHARE_BYTES each) of 32 bytes for the places 0 … members − 1; `threshold` of them recover it."""
    if not 1 <= threshold <= members:
        raise MaskError(f"1 <= threshold <= members is needed: {threshold}, {members}")
    # 64 bytes modulo a prime of 257 bits: off from uniform by 2**-255.
    random = [int.from_bytes(randbytes(64), "little") % SHARING_PRIME for _ in range(threshold - 1)]
    coefficients = [int.from_bytes(secret, "little"), *random]
    shares = []
    for point in range(1, members + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * point + coefficient) % SHARING_PRIME
        shares.append(value.to_bytes(SHARE_BYTES, "little"))
    return tuple(shares)


def recover(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret (32 bytes) of `threshold` or more shares by place. Raises MaskError for shares that fit no secret.

    More than `threshold` are used up to that number, by place: a wrong share among them gives another secret, and
    whoever knows what to expect of it (`public_point`, `seed_digest`) notices.
    """
    if len(shares) < threshold:
        raise MaskError(f"{threshold} shares are needed, got {len(shares)}")
    places = sorted(shares)[:threshold]
    values = [int.from_bytes(shares[place], "little") for place in places]
    if any(len(shares[place]) != SHARE_BYTES for place in places) or max(values) >= SHARING_PRIME:
        raise MaskError("a share is not a number below the prime of the sharing")
    (row,) = lagrange(tuple(place + 1 for place in places), (0,), SHARING_PRIME)
    secret = sum(weight * value for weight, value in zip(row, values, strict=True)) % SHARING_PRIME
    if secret >= 1 << 8 * SECRET_BYTES:
        raise MaskError("the shares fit no secret of 32 bytes: one of them is wrong")
    return secret.to_bytes(SECRET_BYTES, "little")


def recover_seed(shares: Mapping[int, bytes], threshold: int, expected: bytes) -> bytes:
    """The own seed of a member, checked against its digest. Raises MaskError."""
    seed = recover(shares, threshold)
    if not hmac.compare_digest(seed_digest(seed), expected):
        raise MaskError("the shares recover another seed than the one that was promised: one of them is wrong")
    return seed


def recover_masks(shares: Mapping[int, bytes], threshold: int, expected: bytes) -> bytes:
    """The scalar behind the pair masks of a member, checked against its point. Raises MaskError."""
    secret = recover(shares, threshold)
    if not hmac.compare_digest(public_point(secret), expected):
        raise MaskError("the shares recover another key than the one that was published: one of them is wrong")
    return secret


def seal_shares(key: bytes, context: bytes, own_seed: bytes, pair_key: bytes) -> bytes:
    """A box (BOX_BYTES) of a share of each secret; `key` seals no other."""
    return AESGCM(key).encrypt(_ZERO_NONCE, own_seed + pair_key, context)


def open_shares(key: bytes, context: bytes, box: bytes) -> tuple[bytes, bytes]:
    """The share of the own seed and that of the pair key. Raises MaskError."""
    try:
        opened = AESGCM(key).decrypt(_ZERO_NONCE, box, context)
    except (InvalidTag, ValueError) as error:
        raise MaskError("a box of shares that does not open") from error
    if len(opened) != 2 * SHARE_BYTES:
        raise MaskError(f"a box of shares holds {2 * SHARE_BYTES} bytes, got {len(opened)}")
    return opened[:SHARE_BYTES], opened[SHARE_BYTES:]


def to_words(values: np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]]) -> Vector:
    """Signed integers as words of Z_2³²."""
    return values.astype(np.int32).view(np.uint32)
