"""What members bind themselves to before they know better: Merkle roots over boxes, nonces, and the coins drawn from
them.

Every hash is SHA-256 over one canonical encoding with a domain of its own, so that no message of one kind can pass for
another.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

DIGEST_BYTES = 32
NONCE_BYTES = 32
MAX_LEAVES = 1 << 16

_head = struct.Struct(">cQ").pack


class CommitmentError(ValueError):
    """Something that cannot be committed to, or that is not what was committed."""


def encode(domain: str, *parts: bytes | int | str) -> bytes:
    """One byte string for a domain and its parts, such that no two lists of parts share it.

    Each part is a kind (b, i, s), its length as 8 big-endian bytes, and its bytes; integers are minimal two's
    complement.
    """
    encoded: list[bytes] = []
    for part in (domain, *parts):  # hundreds of times a round
        if isinstance(part, bytes):
            encoded += (_head(b"b", len(part)), part)
        elif isinstance(part, str):
            text = part.encode()
            encoded += (_head(b"s", len(text)), text)
        else:
            number = part.to_bytes(part.bit_length() // 8 + 1, "big", signed=True)
            encoded += (_head(b"i", len(number)), number)
    return b"".join(encoded)


def digest(domain: str, *parts: bytes | int | str) -> bytes:
    """SHA-256 (32 bytes) of `encode(domain, *parts)`."""
    return hashlib.sha256(encode(domain, *parts)).digest()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One box under a root: what a holder needs to see that its box is the one that was committed to."""

    ciphertext_digest: bytes
    key_commitment: bytes

    def digest(self) -> bytes:
        """The hash of this leaf (RFC 6962 §2.1: leaves and nodes hash under different prefixes)."""
        for part in (self.ciphertext_digest, self.key_commitment):
            if len(part) != DIGEST_BYTES:
                raise CommitmentError(f"a leaf is two digests of {DIGEST_BYTES} bytes, got one of {len(part)}")
        return hashlib.sha256(b"\x00" + self.ciphertext_digest + self.key_commitment).digest()


def merkle_root(leaves: Sequence[Leaf]) -> bytes:
    """The root (32 bytes) over one leaf a holder, in roster order (RFC 6962 §2.1); it also binds their number."""
    _require_count(len(leaves))
    nodes = [leaf.digest() for leaf in leaves]
    while len(nodes) > 1:  # an odd last node rises unchanged
        pairs = [_node(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
        nodes = pairs + ([nodes[-1]] if len(nodes) % 2 else [])
    return digest("grapevine merkle root v1", len(leaves), nodes[0])


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _require_count(count: int) -> None:
    if not 1 <= count <= MAX_LEAVES:
        raise CommitmentError(f"a root covers 1 to {MAX_LEAVES} leaves, got {count}")


def commit_nonce(context: bytes, member: int, nonce: bytes) -> bytes:
    """The commitment (32 bytes) of a member to a nonce that is uniform, and so hides itself; `context` says swarm,
    epoch and round.
    """
    if len(nonce) != NONCE_BYTES:
        raise CommitmentError(
            f"a nonce has {NONCE_BYTES} bytes, lest it be guessed from its commitment: got {len(nonce)}"
        )
    return digest("grapevine nonce v1", context, member, nonce)


def echo(context: bytes, roots: Mapping[int, bytes]) -> bytes:
    """What a member signs to say which roots it holds: two members that were shown different roots disagree here."""
    return digest("grapevine roots v1", context, *_flat(roots))


def coin(label: str, context: bytes, beacon: bytes, roots: Mapping[int, bytes], nonces: Mapping[int, bytes]) -> bytes:
    """A seed (32 bytes) that nobody knew before all roots were fixed and the last nonce was opened.

    `roots` and `nonces` are by member; `label` tells the coins of a round apart. Whoever decides which of k of the m
    nonces come through, by withholding its own and by cutting others off in time, and sees the rest first, chooses
    among sum_{i ≤ k} C(m, i) outcomes: 37 for two of eight. By that factor probabilities over coins are larger.
    """
    for member, nonce in nonces.items():
        if len(nonce) != NONCE_BYTES:
            raise CommitmentError(f"the nonce of member {member} has {len(nonce)} bytes, not {NONCE_BYTES}")
    if not nonces:
        raise CommitmentError("a coin needs at least one opened nonce, or the dealers know it beforehand")
    return digest("grapevine coin v1", label, context, beacon, echo(context, roots), len(nonces), *_flat(nonces))


def _flat(by_member: Mapping[int, bytes]) -> list[bytes | int]:
    return list(chain.from_iterable(sorted(by_member.items())))
