"""Boxes as bytes, what is in them, and what a dealer publishes of them when a holder complains."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.exceptions import InvalidTag

from consensus.private_messages import SIGNATURE_BYTES, Body, BodyError, Reader
from consensus.private_terms import PrivateTerms
from crypto.commitment import DIGEST_BYTES, Leaf, digest
from crypto.field import FieldError, Vector, require_canonical
from crypto.norm_proof import BitShares, MaskShares
from crypto.randomness import SEED_BYTES
from crypto.sealing import (
    KEY_BYTES,
    TAG_BYTES,
    WRAPPED_BYTES,
    Box,
    Bulk,
    SealingError,
    commit_key,
    open_with_key,
    statement,
)
from crypto.shamir import expand

_WORD = np.dtype("<u4")
SHARE_HEAD_BYTES = WRAPPED_BYTES + DIGEST_BYTES + SIGNATURE_BYTES
"""Of a box of a share, before the ciphertext."""
_ENTRY = struct.Struct(">HBII")
ENTRY_HEAD_BYTES = _ENTRY.size + KEY_BYTES
"""Of what a dealer publishes about a holder, before its boxes."""


def pack_share_box(box: Box) -> bytes:
    """A box of a share as a body."""
    return b"".join([box.wrapped, box.key_commitment, box.signature, box.ciphertext])


def unpack_share_box(body: Body, bulk: Bulk) -> Box:
    """The box in a body. Raises BodyError."""
    reader = Reader(body)
    wrapped, commitment, signature = (bytes(reader.take(n)) for n in (WRAPPED_BYTES, DIGEST_BYTES, SIGNATURE_BYTES))
    ciphertext = reader.take(len(body) - SHARE_HEAD_BYTES)
    return Box(wrapped, ciphertext, commitment, signature, bulk)  # type: ignore[arg-type] # a view serves as well


def proof_associated(terms: PrivateTerms, dealer: int, holder: int) -> bytes:
    """What a box of bits says about itself."""
    return terms.box(dealer, holder, "bits").encode()


def proof_key(key: bytes, associated: bytes) -> bytes:
    """The key of the box of bits, from that of the box of the share: to publish the one opens both."""
    return digest("grapevine bits key v1", key, associated)


def signed_leaf(
    terms: PrivateTerms, dealer: int, holder: int, box: Box, verify: Callable[[int, bytes, bytes], bool]
) -> Leaf | None:
    """The leaf of a box that its dealer signed for this holder; None where it did not."""
    leaf = box.leaf
    said = statement(terms.box(dealer, holder, "share"), box.wrapped, leaf, box.bulk)
    return leaf if verify(dealer, said, box.signature) else None


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """What a dealer sent a holder, once opened."""

    share: Vector
    """(G,)."""
    masks: MaskShares
    bits: BitShares


class Malformed(ValueError):  # noqa: N818 - a fault of the dealer's, not an error of ours
    """A box that opens, or should, and does not hold what it must: its dealer is at fault, and whoever has the key can
    see it.
    """


def open_share_box(terms: PrivateTerms, dealer: int, holder: int, box: Box, key: bytes) -> tuple[Vector, MaskShares]:
    """Share (G,) and masks in a box. Raises Malformed; SealingError where the key is not the one committed to."""
    context = terms.box(dealer, holder, "share")
    seeded = holder in terms.seeded(dealer)
    if len(key) != KEY_BYTES or commit_key(key, context.encode()) != box.key_commitment:
        raise SealingError("the key is not the one that the dealer committed to")
    try:
        plain = open_with_key(box, context, key)
    except SealingError as error:
        raise Malformed(str(error)) from error
    sizes = MaskShares.sizes(terms.proof)
    columns = SEED_BYTES // 4 if seeded else terms.packing.columns(terms.size)
    if len(plain) != 4 * (sum(sizes) + columns):
        raise Malformed(f"a box of {4 * (sum(sizes) + columns)} bytes expected, it has {len(plain)}")
    words = np.frombuffer(plain, _WORD).astype(np.uint32, copy=False)
    try:
        masks = MaskShares.from_vector(terms.proof, words[: sum(sizes)])
        share = words[sum(sizes) :]
        if seeded:
            return expand(share.astype(_WORD, copy=False).tobytes(), terms.packing.columns(terms.size)), masks
        require_canonical(share, "share")
    except FieldError as error:
        raise Malformed(str(error)) from error
    return share, masks


def open_proof_box(terms: PrivateTerms, dealer: int, holder: int, sealed: Body, key: bytes) -> BitShares:
    """The bits in a box, under the key of the box of the share. Raises Malformed."""
    associated = proof_associated(terms, dealer, holder)
    try:
        if len(sealed) < TAG_BYTES:
            raise Malformed("the box of bits is too short")
        plain = terms.bulk.cipher(proof_key(key, associated)).decrypt(bytes(12), sealed, associated)
        if len(plain) % 4:
            raise Malformed("the box of bits holds no words")
        return BitShares.from_vector(terms.proof, np.frombuffer(plain, _WORD).astype(np.uint32, copy=False))
    except (InvalidTag, FieldError) as error:
        raise Malformed(f"the box of bits does not open to bits: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What a dealer publishes about one holder."""

    holder: int
    key: bytes | None
    share_box: Body
    proof_box: Body


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """The body of an item of SUPPLY or DISPUTE."""
    parts: list[Body] = []
    for entry in entries:
        head = _ENTRY.pack(entry.holder, entry.key is not None, len(entry.share_box), len(entry.proof_box))
        parts += [head, entry.key or bytes(KEY_BYTES), entry.share_box, entry.proof_box]
    return b"".join(parts)


def unpack_entries(body: Body) -> dict[int, Entry]:
    """Entries by holder. Raises BodyError."""
    reader, entries, left = Reader(body), {}, len(body)
    while left:
        holder, revealed, share_bytes, proof_bytes = reader.numbers("HBII")
        key = bytes(reader.take(KEY_BYTES))
        if holder in entries or revealed > 1 or (not revealed and any(key)):
            raise BodyError("an entry is there twice, or in another spelling")
        share_box, proof_box = reader.take(share_bytes), reader.take(proof_bytes)
        entries[holder] = Entry(holder, key if revealed else None, share_box, proof_box)
        left -= ENTRY_HEAD_BYTES + share_bytes + proof_bytes
    return entries


def settles(
    terms: PrivateTerms,
    dealer: int,
    entry: Entry,
    leaves: Sequence[Leaf],
    digests: Sequence[bytes],
    verify: Callable[[int, bytes, bytes], bool],
) -> Box | None:
    """The box of the share of an entry, if both boxes are those that the dealer committed to."""
    try:
        box = unpack_share_box(entry.share_box, terms.bulk)
    except BodyError:
        return None
    leaf = signed_leaf(terms, dealer, entry.holder, box, verify)
    same_bits = hashlib.sha256(entry.proof_box).digest() == digests[entry.holder]
    return box if leaf is not None and leaf == leaves[entry.holder] and same_bits else None
