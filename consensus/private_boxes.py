"""The box of a share, in blocks: what each block holds, and how a holder takes them in.

A box carries the masks of the proof and a share of G words, or the seed of one. Block 0 begins with the wrapped key and
the commitment to it, in the open; sealed in it are masks and the first columns (or the seed); each further block is
SHARE_BLOCK columns. All sizes follow from the terms, so a block of another size is refused before it is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consensus.private_messages import Body, Reader
from consensus.private_terms import PrivateTerms
from crypto.commitment import DIGEST_BYTES, Leaf
from crypto.field import FieldError, Vector, require_canonical
from crypto.norm_proof import MaskShares
from crypto.randomness import SEED_BYTES
from crypto.sealing import TAG_BYTES, WRAPPED_BYTES, BlockCipher, ChannelKey, SealingError, leaf_of, require_key
from crypto.shamir import SHARE_BLOCK, SeededShare, Share, blocks_of

WINDOW = 8
"""Blocks that a dealer sends a holder before it is told that they came: what may lie between the two."""
HEAD_BYTES = WRAPPED_BYTES + DIGEST_BYTES
"""Of a box, before what is sealed."""
_WORD = np.dtype("<u4")
_BYTES = _WORD.itemsize


class Malformed(ValueError):  # noqa: N818 - a fault of the dealer's, not an error of ours
    """A box that opens, or should, and does not hold what it must: its dealer is at fault, and whoever has the key can
    see it.
    """


class BoxPlan:
    """The blocks of the box of one dealer for one holder."""

    def __init__(self, terms: PrivateTerms, dealer: int, holder: int) -> None:
        self.context = terms.box(dealer, holder, "share")
        self.proof = terms.proof
        self.columns = terms.packing.columns(terms.size)
        """G."""
        self.seeded = holder in terms.seeded(dealer)
        self.count = 1 if self.seeded else len(blocks_of(self.columns))
        self.bulk = terms.bulk
        self.masks = sum(MaskShares.sizes(terms.proof))
        """Words of masks in block 0."""

    def columns_of(self, block: int) -> slice:
        """The columns of the share that a block holds."""
        return slice(block * SHARE_BLOCK, min((block + 1) * SHARE_BLOCK, self.columns))

    def plain_bytes(self, block: int) -> int:
        """What is sealed in a block."""
        where = self.columns_of(block)
        words = SEED_BYTES // _BYTES if self.seeded else where.stop - where.start
        return _BYTES * (words + (self.masks if block == 0 else 0))

    def body_bytes(self, block: int) -> int:
        """What travels of a block."""
        return self.plain_bytes(block) + TAG_BYTES + (HEAD_BYTES if block == 0 else 0)

    def cipher(self, key: bytes) -> BlockCipher:
        """Seals and opens the blocks."""
        return BlockCipher(key, self.context, self.count, self.bulk)


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A whole box, as it is published."""

    wrapped: Body
    commitment: bytes
    blocks: Sequence[Body]
    """Sealed."""

    @property
    def leaf(self) -> Leaf:
        """What its dealer commits to."""
        return leaf_of(bytes(self.wrapped), self.commitment, [hashlib.sha256(block).digest() for block in self.blocks])

    def pack(self) -> bytes:
        """As a body."""
        return b"".join([self.wrapped, self.commitment, *self.blocks])


def unpack_box(plan: BoxPlan, body: Body) -> Box:
    """The box in a body. Raises BodyError unless it has the right size."""
    reader = Reader(body)
    wrapped, commitment = reader.take(WRAPPED_BYTES), bytes(reader.take(DIGEST_BYTES))
    blocks = [reader.take(plan.plain_bytes(block) + TAG_BYTES) for block in range(plan.count)]
    reader.end()
    return Box(wrapped, commitment, blocks)


class _Contents:
    """What is in a box, as its blocks are opened."""

    def __init__(self, plan: BoxPlan, key: bytes) -> None:
        self._plan = plan
        self._cipher = plan.cipher(key)
        self._share: Share | None = None
        self._masks: MaskShares | None = None

    def open(self, block: int, sealed: Body) -> None:
        """Take a block, number 0 first. Raises Malformed."""
        plan = self._plan
        try:
            words = np.frombuffer(self._cipher.open(block, sealed), _WORD)
            if block == 0:
                self._masks = MaskShares.from_vector(plan.proof, words[: plan.masks].astype(np.uint32))
                words = words[plan.masks :]
            if plan.seeded:
                self._share = SeededShare(words.tobytes(), plan.columns)
                return
            if self._share is None:
                self._share = np.empty(plan.columns, dtype=np.uint32)
            part: Vector = self._share[plan.columns_of(block)]
            part[:] = words
            require_canonical(part, "share")
        except (SealingError, FieldError) as error:
            raise Malformed(str(error)) from error

    @property
    def all(self) -> tuple[Share, MaskShares]:
        """Share and masks, once all blocks are open."""
        if self._share is None or self._masks is None:
            raise ValueError("block 0 of the box was not opened")
        return self._share, self._masks


def open_share_box(terms: PrivateTerms, dealer: int, holder: int, box: Box, key: bytes) -> tuple[Share, MaskShares]:
    """Share (G,) and masks in a box. Raises Malformed; SealingError where the key is not the one committed to."""
    plan = BoxPlan(terms, dealer, holder)
    require_key(key, plan.context, box.commitment)
    contents = _Contents(plan, key)
    for block, sealed in enumerate(box.blocks):
        contents.open(block, sealed)
    return contents.all


class Incoming:
    """A box on its way to us. Nothing of it is kept but what it holds and the digests of its blocks."""

    def __init__(self, plan: BoxPlan, channel_key: ChannelKey, key: bytes | None = None) -> None:
        """`key` is the one-time key where the dealer published it."""
        self._plan = plan
        self._channel_key = channel_key
        self.key = key
        self._head: tuple[bytes, bytes] | None = None
        self._digests: dict[int, bytes] = {}
        self._contents: _Contents | None = None
        self._asked = 0

    def hear(self, block: int, body: Body) -> str | None:
        """Take a block; gives what is wrong with it where an honest dealer would not have sent it."""
        plan = self._plan
        if not 0 <= block < plan.count or len(body) != plan.body_bytes(block):
            return "sends a block of a box that cannot be one"
        if block in self._digests or (block and self._head is None):
            return None  # in its time, when we ask for it
        sealed = memoryview(body)
        if block == 0:
            self._head = bytes(sealed[:WRAPPED_BYTES]), bytes(sealed[WRAPPED_BYTES:HEAD_BYTES])
            sealed = sealed[HEAD_BYTES:]
            self._unwrap(*self._head)
        self._digests[block] = hashlib.sha256(sealed).digest()
        if self._contents is not None:
            try:
                self._contents.open(block, sealed)
            except Malformed:
                self._contents = None  # its dealer's fault only if this is what it committed to
        return None

    def _unwrap(self, wrapped: bytes, commitment: bytes) -> None:
        context = self._plan.context
        try:
            key = self._channel_key.unwrap(wrapped, context.encode()) if self.key is None else self.key
            require_key(key, context, commitment)
        except SealingError:
            return
        self.key, self._contents = key, _Contents(self._plan, key)

    @property
    def complete(self) -> bool:
        """Whether all blocks came."""
        return len(self._digests) == self._plan.count

    @property
    def next(self) -> int:
        """The first block that did not come."""
        return next(block for block in range(self._plan.count + 1) if block not in self._digests)

    def asks(self) -> int | None:
        """From which block on the dealer may go on, where half a window has come since it was told."""
        came = self.next
        if self.complete or came < self._asked + WINDOW // 2:
            return None
        self._asked = came
        return came

    @property
    def leaf(self) -> Leaf:
        """Of the complete box."""
        if self._head is None:
            raise ValueError("the box is not complete")
        return leaf_of(*self._head, [self._digests[block] for block in range(self._plan.count)])

    @property
    def contents(self) -> tuple[Share, MaskShares] | None:
        """What the complete box holds; None where it does not open to what it must hold."""
        return None if self._contents is None else self._contents.all


def taken(plan: BoxPlan, channel_key: ChannelKey, box: Box, key: bytes | None) -> Incoming:
    """A box that its dealer published, as if it had come to us; with its key, if that was published too."""
    incoming = Incoming(plan, channel_key, key)
    for block, sealed in enumerate(box.blocks):
        incoming.hear(block, sealed if block else b"".join([box.wrapped, box.commitment, sealed]))
    return incoming
