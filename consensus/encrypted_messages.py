"""The frozen message types of an encrypted round. Bodies may be views of a receive buffer.

Every message is signed by its sender over the round's context, its kind and the digest of its body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from consensus.messages import Vector
from crypto.commitment import DIGEST_BYTES, digest
from crypto.identity import PeerId

Body: TypeAlias = bytes | memoryview
COUNTED_BYTES = 32
"""A bit for each place in the roster of at most 256."""
NO_KEY = bytes(DIGEST_BYTES)
"""In the place of a key's digest: what is sent is no ciphertext, but the word that there will be none."""


@dataclass(frozen=True, slots=True, eq=False)
class RoundKey:
    """The keeper's public key for this round, to all."""

    round: int
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Ciphertext:
    """A member's vector, encrypted to the keeper, for the relay."""

    round: int
    key: bytes
    """The digest (32 bytes) of the key that it was encrypted to; NO_KEY, and no body: the sender brings nothing."""
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Total:
    """The relay's sum of ciphertexts, for the keeper."""

    round: int
    counted: bytes
    """Whose are in it, by place in the roster: COUNTED_BYTES, bit i % 8 of byte i // 8."""
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The mean, from the keeper to all; no vector and nobody counted: the round is void."""

    round: int
    counted: bytes
    """Whose vectors the mean is of, the keeper's included."""
    signature: bytes
    vector: Vector


EncryptedMessage: TypeAlias = RoundKey | Ciphertext | Total | Opened


def statement(context: bytes, message: EncryptedMessage) -> bytes:
    """What the sender of `message` signs (32 bytes); its `signature` does not matter."""
    match message:
        case RoundKey():
            return digest("grapevine round key v1", context, key_digest(message.body))
        case Ciphertext():
            return digest("grapevine ciphertext v1", context, message.key, hashlib.sha256(message.body).digest())
        case Total():
            return digest("grapevine total v1", context, message.counted, hashlib.sha256(message.body).digest())
        case Opened():
            mean = hashlib.sha256(message.vector.data).digest()
            return digest("grapevine opened v1", context, message.counted, mean)


def key_digest(public: Body) -> bytes:
    """What ciphertexts call a public key (32 bytes)."""
    return hashlib.sha256(public).digest()


def pack_counted(cell: Sequence[PeerId], counted: Collection[PeerId]) -> bytes:
    """The bits of those in `counted`."""
    bits = sum(1 << place for place, peer in enumerate(cell) if peer in counted)
    return bits.to_bytes(COUNTED_BYTES, "little")


def unpack_counted(cell: Sequence[PeerId], counted: bytes) -> tuple[PeerId, ...] | None:
    """Whose bits are set, sorted as `cell` is; None where one is set beyond its end."""
    bits = int.from_bytes(counted, "little")
    if len(counted) != COUNTED_BYTES or bits >> len(cell):
        return None
    return tuple(peer for place, peer in enumerate(cell) if bits >> place & 1)
