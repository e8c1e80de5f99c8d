"""Who a node is: an Ed25519 key, and the PeerId that the rest of the program shares.

A `PeerId` is the libp2p peer id of the key (libp2p specs, "Peer Ids and Keys"): base58btc of an identity multihash
(0x00, length) over the protobuf public key (key type Ed25519 = 1, 32 bytes of key). It *is* the public key in another
spelling, so whoever knows a PeerId can check its signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NewType, Self

import base58
from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

PeerId = NewType("PeerId", str)
"""A libp2p peer id of an Ed25519 key, "12D3KooW…". Made by `parse_peer_id` or `Identity` alone."""

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PEER_ID_CHARACTERS: Final = 52

_MULTIHASH_IDENTITY = b"\x00\x24"  # hash function "identity", 36 bytes follow
_PROTOBUF_ED25519 = b"\x08\x01\x12\x20"  # field 1 varint: Ed25519; field 2 bytes: 32 follow
_PREFIX = _MULTIHASH_IDENTITY + _PROTOBUF_ED25519


class IdentityError(ValueError):
    """A seed, a PeerId or a key file that cannot be one; the message says what to do and never quotes a secret."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An Ed25519 key pair. Its `repr` shows the PeerId alone; equality compares PeerIds."""

    seed: bytes = field(repr=False, compare=False)
    """The secret: 32 bytes (RFC 8032 section 5.1.5, the private key)."""
    public_key: bytes = field(init=False, repr=False, compare=False)
    """32 bytes."""
    peer_id: PeerId = field(init=False)
    _signing_key: bytes = field(init=False, repr=False, compare=False)
    """The seed and the public key, as libsodium wants them: worked out once, for that costs as much as a signature."""

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise IdentityError(f"an Ed25519 seed has {SEED_BYTES} bytes, got {len(self.seed)}")
        public_key, signing_key = crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "public_key", public_key)
        object.__setattr__(self, "_signing_key", signing_key)
        object.__setattr__(self, "peer_id", _peer_id_of(public_key))

    @classmethod
    def generate(cls, randbytes: Callable[[int], bytes]) -> Self:
        """A new identity from `randbytes`: `os.urandom` on a device, a seeded generator in a simulation."""
        return cls(randbytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The identity of a 32-byte seed. Raises `IdentityError` for another length."""
        return cls(bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """The 64-byte detached signature of `message` (RFC 8032, Ed25519 without prehash)."""
        return crypto_sign(message, self._signing_key)[:crypto_sign_BYTES]


def verify(peer_id: PeerId, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `peer_id` over `message`. A signature of a wrong length is merely wrong."""
    return _signed(public_key_of(peer_id), message, signature)


class Verifier:
    """`verify` for whoever checks many signatures of the same few peers: it reads each PeerId once."""

    MOST_PEERS: Final = 4096
    """Remembered at a time; whoever is named beyond costs what `verify` does."""

    def __init__(self) -> None:
        self._keys: dict[PeerId, bytes] = {}

    def verify(self, peer_id: PeerId, message: bytes, signature: bytes) -> bool:
        """As the function of that name."""
        key = self._keys.get(peer_id)
        if key is None:
            key = public_key_of(peer_id)
            if len(self._keys) < self.MOST_PEERS:
                self._keys[peer_id] = key
        return _signed(key, message, signature)


def _signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def public_key_of(peer_id: PeerId) -> bytes:
    """The 32-byte public key inside a PeerId. Raises `IdentityError` for text that is none."""
    if len(peer_id) != PEER_ID_CHARACTERS:
        raise _not_a_peer_id(peer_id, f"it has {len(peer_id)} characters, not {PEER_ID_CHARACTERS}")
    try:
        raw: bytes = base58.b58decode(peer_id)
    except ValueError as error:  # a character outside the alphabet, or outside ASCII
        raise _not_a_peer_id(peer_id, "it is not base58 (no 0, O, I, l)") from error
    if not raw.startswith(_PREFIX) or len(raw) != len(_PREFIX) + PUBLIC_KEY_BYTES:
        raise _not_a_peer_id(peer_id, "it does not hold an Ed25519 public key")
    return raw[len(_PREFIX) :]


def parse_peer_id(text: str) -> PeerId:
    """`text` as a PeerId, in its one canonical spelling. Raises `IdentityError` (a `ValueError`) with the remedy."""
    public_key = public_key_of(PeerId(text))
    if not crypto_core_ed25519_is_valid_point(public_key):
        # Of the points that are not of the large prime order some accept forged signatures; libsodium refuses them too.
        raise _not_a_peer_id(text, "its public key is not a point of the prime-order group")
    canonical = _peer_id_of(public_key)
    if canonical != text:
        raise _not_a_peer_id(text, f"its canonical spelling is {canonical}")
    return canonical


def _peer_id_of(public_key: bytes) -> PeerId:
    encoded: bytes = base58.b58encode(_PREFIX + public_key)
    return PeerId(encoded.decode("ascii"))


def _not_a_peer_id(text: str, why: str) -> IdentityError:
    shown = text if len(text) <= PEER_ID_CHARACTERS else text[:PEER_ID_CHARACTERS] + "…"
    return IdentityError(f"{shown!r} is not a PeerId: {why}; copy the one that `node init` prints (12D3KooW…)")
