"""A member as holder: the boxes that dealers sent it, and what it says about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import IntEnum

import numpy as np

from consensus.private_messages import Body, BodyError, Sealed, Stage
from consensus.private_supply import (
    Dealt,
    Entry,
    Malformed,
    open_proof_box,
    open_share_box,
    signed_leaf,
    unpack_share_box,
)
from consensus.private_terms import PrivateTerms
from crypto.commitment import Leaf
from crypto.field import FieldError, Vector
from crypto.norm_proof import Checker, MaskShares, Scalars
from crypto.sealing import Box, ChannelKey, SealingError

_WORD = np.dtype("<u4")


class Status(IntEnum):
    """What a holder has of a dealer."""

    FINE = 0
    LACKS = 1
    """A box did not come, or is not the one committed to: to be supplied, sealed."""
    UNUSABLE = 2
    """The boxes came, and do not open to what they must hold: to be supplied with the key."""


class PrivateHolder:
    """Keeps the boxes of one round."""

    def __init__(
        self, terms: PrivateTerms, me: int, channel_key: ChannelKey, verify: Callable[[int, bytes, bytes], bool]
    ) -> None:
        """`verify` takes a member, a statement and its signature."""
        self.me = me
        self._terms = terms
        self._channel_key = channel_key
        self._verify = verify
        self._leaves: Mapping[int, Sequence[Leaf]] | None = None
        self._digests: Mapping[int, Sequence[bytes]] | None = None
        self._boxes: dict[int, Leaf] = {}
        self._keys: dict[int, bytes] = {}
        self._opened: dict[int, tuple[Vector, MaskShares]] = {}
        self._proof_boxes: dict[int, Body] = {}
        self._dealt: dict[int, Dealt] = {}

    def keep_own(self, dealt: Dealt) -> None:
        """What we dealt ourselves."""
        self._dealt[self.me] = dealt

    def hear(self, dealer: int, sealed: Sealed) -> str | None:
        """Take a box of `dealer`; gives what is wrong with it where an honest dealer would not have sent it."""
        if dealer in self._dealt:
            return None
        if sealed.stage == Stage.PROVE:
            self._proof_boxes.setdefault(dealer, sealed.body)
        elif sealed.stage == Stage.COMMIT and dealer not in self._boxes:
            try:
                box = unpack_share_box(sealed.body, self._terms.bulk)
            except BodyError as error:
                return f"sends a box that cannot be read: {error}"
            leaf = signed_leaf(self._terms, dealer, self.me, box, self._verify)
            if leaf is None:
                return "sends a box that it did not sign"
            self._boxes[dealer] = leaf
            self._open(dealer, box)
        self._match(dealer)
        return None

    def fix_leaves(self, leaves: Mapping[int, Sequence[Leaf]]) -> None:
        """All agreed on these leaves, by dealer: boxes that are not under them are forgotten."""
        self._leaves = leaves
        for dealer in list(self._boxes):
            self._match(dealer)

    def fix_digests(self, digests: Mapping[int, Sequence[bytes]]) -> None:
        """All agreed on these digests of boxes of bits, by dealer."""
        self._digests = digests
        for dealer in list(self._boxes):
            self._match(dealer)

    def status(self, dealer: int) -> Status:
        """What we have of a dealer, once leaves and digests are fixed."""
        if dealer in self._dealt:
            return Status.FINE
        both = dealer in self._boxes and dealer in self._proof_boxes
        return Status.UNUSABLE if both else Status.LACKS

    def has_share(self, dealer: int) -> bool:
        """Whether the box of the share came."""
        return dealer in self._boxes or dealer in self._dealt

    def dealt(self, dealers: Collection[int]) -> dict[int, Dealt]:
        """What we have of these dealers."""
        return {dealer: self._dealt[dealer] for dealer in dealers if dealer in self._dealt}

    def supply(self, dealer: int, entry: Entry, box: Box) -> None:
        """Take what `dealer` published for us."""
        if dealer in self._dealt:
            return
        self._boxes[dealer] = box.leaf
        self._proof_boxes[dealer] = entry.proof_box
        self._open(dealer, box, entry.key)
        self._match(dealer)

    def _open(self, dealer: int, box: Box, key: bytes | None = None) -> None:
        context = self._terms.box(dealer, self.me, "share").encode()
        try:
            self._keys[dealer] = self._channel_key.unwrap(box.wrapped, context) if key is None else key
            self._opened[dealer] = open_share_box(self._terms, dealer, self.me, box, self._keys[dealer])
        except (SealingError, Malformed):
            self._opened.pop(dealer, None)  # its status says so

    def _match(self, dealer: int) -> None:
        """Forget what is not under the commitments, and open the bits when all is there."""
        if self._leaves is not None and dealer in self._boxes:
            leaves = self._leaves.get(dealer)
            if leaves is None or self._boxes[dealer] != leaves[self.me]:
                for kept in (self._boxes, self._keys, self._opened):
                    kept.pop(dealer, None)
        if self._digests is None or self._leaves is None or dealer in self._dealt:
            return
        sealed, digests = self._proof_boxes.get(dealer), self._digests.get(dealer)
        if sealed is not None and (digests is None or hashlib.sha256(sealed).digest() != digests[self.me]):
            del self._proof_boxes[dealer]
            return
        if sealed is None or dealer not in self._opened:
            return
        try:
            bits = open_proof_box(self._terms, dealer, self.me, sealed, self._keys[dealer])
        except Malformed:
            return
        self._dealt[dealer] = Dealt(*self._opened.pop(dealer), bits)


def pack_scalars(terms: PrivateTerms, scalars: Mapping[int, Scalars]) -> bytes:
    """The body of an item of SCALARS: for each member a byte, 1 where there are scalars about it, and their words."""
    width = sum(Scalars.sizes(terms.proof))
    parts = []
    for dealer in range(terms.packing.members):
        given = scalars.get(dealer)
        words = np.zeros(width, _WORD) if given is None else given.to_vector().astype(_WORD, copy=False)
        parts += [bytes([given is not None]), words.tobytes()]
    return b"".join(parts)


def unpack_scalars(terms: PrivateTerms, body: Body) -> dict[int, Scalars]:
    """Scalars by dealer. Raises BodyError."""
    width = 4 * sum(Scalars.sizes(terms.proof))
    if len(body) != terms.packing.members * (1 + width):
        raise BodyError(f"scalars about {terms.packing.members} members expected, got {len(body)} bytes")
    found = {}
    for dealer in range(terms.packing.members):
        start = dealer * (1 + width)
        words = np.frombuffer(body[start + 1 : start + 1 + width], _WORD).astype(np.uint32, copy=False)
        if body[start] > 1 or (not body[start] and words.any()):
            raise BodyError("scalars in another spelling")
        if body[start]:
            try:
                found[dealer] = Scalars.from_vector(terms.proof, words)
            except FieldError as error:
                raise BodyError(str(error)) from error
    return found


def scalars_about(checker: Checker, dealt: Mapping[int, Dealt]) -> dict[int, Scalars]:
    """What to publish about each dealer."""
    if not dealt:
        return {}
    parts = list(dealt.values())
    published = checker.scalars([p.share for p in parts], [p.masks for p in parts], [p.bits for p in parts])
    return dict(zip(dealt, published, strict=True))
