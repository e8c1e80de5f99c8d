"""Boxes of bits, and what a dealer publishes of its boxes when a holder complains."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.exceptions import InvalidTag

from consensus.private_boxes import Box, BoxPlan, Malformed, unpack_box
from consensus.private_messages import Body, BodyError, Reader
from consensus.private_terms import PrivateTerms
from crypto.commitment import Leaf, digest
from crypto.field import FieldError
from crypto.norm_proof import BitShares, MaskShares
from crypto.sealing import KEY_BYTES, TAG_BYTES
from crypto.shamir import Share

_WORD = np.dtype("<u4")
_ENTRY = struct.Struct(">HBII")
ENTRY_HEAD_BYTES = _ENTRY.size + KEY_BYTES
"""Of what a dealer publishes about a holder, before its boxes."""


def proof_associated(terms: PrivateTerms, dealer: int, holder: int) -> bytes:
    """What a box of bits says about itself."""
    return terms.box(dealer, holder, "bits").encode()


def proof_key(key: bytes, associated: bytes) -> bytes:
    """The key of the box of bits, from that of the box of the share: to publish the one opens both."""
    return digest("grapevine bits key v1", key, associated)


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """What a dealer sent a holder, once opened."""

    share: Share
    """(G,)."""
    masks: MaskShares
    bits: BitShares


def proof_box_bytes(terms: PrivateTerms) -> int:
    """The size of a box of bits."""
    return _WORD.itemsize * sum(BitShares.sizes(terms.proof)) + TAG_BYTES


def open_proof_box(terms: PrivateTerms, dealer: int, holder: int, sealed: Body, key: bytes) -> BitShares:
    """The bits in a box, under the key of the box of the share. Raises Malformed."""
    associated = proof_associated(terms, dealer, holder)
    try:
        if len(sealed) != proof_box_bytes(terms):
            raise Malformed(f"a box of bits has {proof_box_bytes(terms)} bytes, got {len(sealed)}")
        plain = terms.bulk.cipher(proof_key(key, associated)).decrypt(bytes(12), sealed, associated)
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
    terms: PrivateTerms, dealer: int, entry: Entry, leaves: Sequence[Leaf], digests: Sequence[bytes]
) -> Box | None:
    """The box of the share of an entry, if both boxes are those that the dealer committed to."""
    try:
        box = unpack_box(BoxPlan(terms, dealer, entry.holder), entry.share_box)
    except BodyError:
        return None
    same_bits = hashlib.sha256(entry.proof_box).digest() == digests[entry.holder]
    return box if same_bits and box.leaf == leaves[entry.holder] else None
