"""Boxes: a dealer's message to one holder, sealed against all others, now and after a quantum computer.

A box is sealed under a key of its own. That key travels by HPKE (RFC 9180) with the hybrid KEM of ML-KEM-768 and
X25519: it stays secret as long as either of the two holds. The dealer commits to the key and to all that it seals, so
that a dispute is settled by publishing the key: everyone can then open that box, and no other.

- a box is a run of **blocks**, so that a long message is sealed, sent and opened piece by piece; a block has a key of
  its own, derived from that of the box, and says which of how many it is: none can be left out, added or moved
- bulk: AES-256-GCM, or ChaCha20-Poly1305 where there is no AES hardware; every key seals one message, so the nonce is
  zero
- key commitment: an AEAD of this kind opens one ciphertext under two keys if both are chosen for it; a hash of the key
  does not
- associated data: one canonical encoding of everything that says which box this is (`BoxContext`)
"""

import enum
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from crypto.commitment import Leaf, digest, encode

KEY_BYTES = 32
SECRET_BYTES = 64 + 32
"""Of a channel key: the seed (d, z) of ML-KEM-768 (FIPS 203), then the X25519 scalar."""
PUBLIC_BYTES = 1184 + 32
"""Of a channel key: the ML-KEM-768 encapsulation key, then the X25519 point."""
WRAPPED_BYTES = 1088 + 32 + KEY_BYTES + 16
"""A one-time key on its way: ML-KEM ciphertext, X25519 point, key, tag."""
TAG_BYTES = 16
MAX_BLOCK_BYTES = 1 << 20
"""Far below the 2³⁶ − 32 bytes of GCM (NIST SP 800-38D §5.2.1.1)."""

Message: TypeAlias = bytes | bytearray | memoryview

_MLKEM_SEED = 64
_MLKEM_PUBLIC = 1184
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_ANYBODY = X25519PrivateKey.from_private_bytes(bytes(32))
_ZERO_NONCE = bytes(12)  # every key seals one message


class SealingError(ValueError):
    """A key of the wrong form, or a box that is not what it says it is.."""


class Bulk(enum.Enum):
    """The cipher of a box."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"

    def cipher(self, key: bytes) -> AESGCM | ChaCha20Poly1305:
        """The AEAD under `key`."""
        return AESGCM(key) if self is Bulk.AES_256_GCM else ChaCha20Poly1305(key)


@dataclass(frozen=True, slots=True)
class BoxContext:
    """Which box this is. A box opens under no other context."""

    swarm: bytes
    epoch: int
    round: int
    dealer: str
    """PeerId."""
    holder: str
    """PeerId."""
    members: int
    """m."""
    tolerated: int
    """t."""
    packed: int
    """ℓ."""
    prime: int
    size: int
    """d: parameters of the model."""
    layout: bytes
    """Digest of the names and shapes of the parameters."""
    purpose: str
    """Which message of the round it carries."""

    def encode(self) -> bytes:
        """The canonical encoding: associated data of the box."""
        return encode("grapevine box v1", *(getattr(self, name) for name in self.__slots__))


@dataclass(frozen=True)
class ChannelKey:
    """A holder's long-term key for boxes. Its secret stays out of `repr`."""

    _secret: bytes

    def __post_init__(self) -> None:
        if len(self._secret) != SECRET_BYTES:
            raise SealingError(f"a channel key has {SECRET_BYTES} secret bytes, got {len(self._secret)}")

    def __repr__(self) -> str:
        return f"ChannelKey(public={hashlib.sha256(self.public).hexdigest()[:16]}…)"

    @classmethod
    def generate(cls, randbytes: Callable[[int], bytes]) -> "ChannelKey":
        """A fresh key from a cryptographic source of bytes."""
        return cls(randbytes(SECRET_BYTES))

    @cached_property
    def _mlkem(self) -> MLKEM768PrivateKey:
        return MLKEM768PrivateKey.from_seed_bytes(self._secret[:_MLKEM_SEED])

    @cached_property
    def _x25519(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._secret[_MLKEM_SEED:])

    @cached_property
    def public(self) -> bytes:
        """The public part, PUBLIC_BYTES long, to be published under the owner's signature."""
        return self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """The one-time key inside `wrapped`. Raises SealingError."""
        if len(wrapped) != WRAPPED_BYTES:
            raise SealingError(f"a wrapped key has {WRAPPED_BYTES} bytes, got {len(wrapped)}")
        try:
            return _SUITE.decrypt(wrapped, hpke.MLKEM768X25519PrivateKey(self._mlkem, self._x25519), info)
        except (InvalidTag, ValueError) as error:
            raise SealingError("the one-time key does not unwrap: it was made for another holder or context") from error


def parse_public(public: bytes) -> hpke.MLKEM768X25519PublicKey:
    """The key inside a published channel key. Raises SealingError for bytes that are none."""
    if len(public) != PUBLIC_BYTES:
        raise SealingError(f"a public channel key has {PUBLIC_BYTES} bytes, got {len(public)}")
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC])
    except ValueError as error:
        raise SealingError("a public channel key holds an ML-KEM-768 key that is not in canonical form") from error
    point = X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:])
    try:
        _ANYBODY.exchange(point)  # scalars are multiples of 8: what gives one of them no secret gives none to any
    except ValueError as error:
        raise SealingError("a public channel key holds an X25519 point of small order: it gives no secret") from error
    return hpke.MLKEM768X25519PublicKey(mlkem, point)


def wrap(key: bytes, context: BoxContext, public: bytes) -> bytes:
    """`key`, 32 fresh random bytes, for the holder of the channel key `public` alone. HPKE draws its ephemeral secrets
    from the operating system.
    """
    if len(key) != KEY_BYTES:
        raise SealingError(f"a one-time key has {KEY_BYTES} bytes, got {len(key)}")
    return _SUITE.encrypt(key, parse_public(public), context.encode())


def commit_key(key: bytes, context: BoxContext) -> bytes:
    """The commitment (32 bytes) to a one-time key: binding, and hiding because the key is uniform."""
    return digest("grapevine one-time key v1", key, context.encode())


def require_key(key: bytes, context: BoxContext, commitment: bytes) -> None:
    """Raise SealingError unless `key` is the one that the dealer committed to."""
    if len(key) != KEY_BYTES or not hmac.compare_digest(commit_key(key, context), commitment):
        raise SealingError("the key is not the one that the dealer committed to")


class BlockCipher:
    """Seals and opens the blocks of one box, each under a key of its own; `count` is how many there are."""

    def __init__(self, key: bytes, context: BoxContext, count: int, bulk: Bulk = Bulk.AES_256_GCM) -> None:
        self._key = key
        self._context = context
        self._count = count
        self._bulk = bulk

    def _block(self, index: int) -> tuple[AESGCM | ChaCha20Poly1305, bytes]:
        if not 0 <= index < self._count:
            raise SealingError(f"the box has {self._count} blocks, no block {index}")
        associated = encode("grapevine block v1", self._context.encode(), index, self._count)
        return self._bulk.cipher(digest("grapevine block key v1", self._key, associated)), associated

    def seal(self, index: int, message: Message) -> bytes:
        """Block `index`. The same block twice must have the same message: the nonce is that of the key."""
        if len(message) > MAX_BLOCK_BYTES:
            raise SealingError(f"a block holds at most {MAX_BLOCK_BYTES} bytes, got {len(message)}")
        cipher, associated = self._block(index)
        return cipher.encrypt(_ZERO_NONCE, message, associated)

    def open(self, index: int, sealed: Message) -> bytes:
        """What is in block `index`. Raises SealingError for bytes that are not exactly that block."""
        cipher, associated = self._block(index)
        try:
            return cipher.decrypt(_ZERO_NONCE, sealed, associated)
        except InvalidTag as error:
            raise SealingError(f"block {index} does not open under the key of its box") from error


def leaf_of(wrapped: bytes, commitment: bytes, blocks: Sequence[bytes]) -> Leaf:
    """What the dealer's Merkle root covers of a box, from the SHA-256 digests of its sealed blocks.

    Whoever holds the leaf can tell each block of the box, and its wrapped key, from any other. That the dealer commits
    to the key as well settles disputes: to publish the key opens this box to everyone, and no other; a block that does
    not open under it was sealed wrong.
    """
    return Leaf(digest("grapevine box blocks v1", hashlib.sha256(wrapped).digest(), *blocks), commitment)
