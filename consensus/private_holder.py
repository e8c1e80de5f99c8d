"""A member as holder: the boxes that dealers sent it, and what it says about them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum

import numpy as np

from consensus.private_boxes import Box, BoxPlan, Incoming, Malformed, taken
from consensus.private_messages import Body, BodyError, Sealed, Stage
from consensus.private_supply import Dealt, Entry, open_proof_box, proof_box_bytes
from consensus.private_terms import PrivateTerms
from crypto.commitment import Leaf
from crypto.field import FieldError
from crypto.norm_proof import Checker, Scalars
from crypto.sealing import ChannelKey

_WORD = np.dtype("<u4")


class Status(IntEnum):
    """What a holder has of a dealer."""

    FINE = 0
    LACKS = 1
    """A box did not come, or is not the one committed to: to be supplied, sealed."""
    UNUSABLE = 2
    """The boxes came, and do not open to what they must hold: to be supplied with the key."""


class PrivateHolder:
    """Keeps what is in the boxes of one round: of each dealer G = ⌈d/ℓ⌉ words, or a seed, until the sum is opened.

    The checks are drawn after all shares are committed, and the sum is over who passes them, so all of it is needed:
    (m − t) · G words, with our own share, as t dealers in m send seeds. At (8, 2, 3) that is twice the model.
    """

    def __init__(self, terms: PrivateTerms, me: int, channel_key: ChannelKey) -> None:
        self.me = me
        self._terms = terms
        self._channel_key = channel_key
        self._leaves: Mapping[int, Sequence[Leaf]] | None = None
        self._digests: Mapping[int, Sequence[bytes]] | None = None
        self._boxes: dict[int, Incoming] = {}
        self._proof_boxes: dict[int, Body] = {}
        self._dealt: dict[int, Dealt] = {}

    def keep_own(self, dealt: Dealt) -> None:
        """What we dealt ourselves."""
        self._dealt[self.me] = dealt

    def hear(self, dealer: int, sealed: Sealed) -> str | None:
        """Take a block of a box of `dealer`; gives what is wrong with it where an honest dealer would not have sent it.

        What lies here of a dealer is at most what an honest one sends: sizes are known beforehand.
        """
        if dealer in self._dealt or dealer == self.me:
            return None
        wrong = None
        if sealed.stage == Stage.PROVE:
            if len(sealed.body) != proof_box_bytes(self._terms) or sealed.block:
                return "sends a box of bits that cannot be one"
            self._proof_boxes.setdefault(dealer, sealed.body)
        elif sealed.stage == Stage.COMMIT:
            box = self._boxes.get(dealer)
            if box is None:
                box = self._boxes[dealer] = Incoming(BoxPlan(self._terms, dealer, self.me), self._channel_key)
            if box.complete:
                return None
            wrong = box.hear(sealed.block, sealed.body)
        self._match(dealer)
        return wrong

    def asks(self, dealer: int) -> int | None:
        """From which block on `dealer` may go on with the box of the share, where it is time to say so."""
        return self._boxes[dealer].asks() if dealer in self._boxes else None

    def next_block(self, dealer: int) -> int:
        """The first block that we lack of the box of the share."""
        return self._boxes[dealer].next if dealer in self._boxes else 0

    def partial(self) -> set[int]:
        """Dealers whose box of the share came in part."""
        return {dealer for dealer, box in self._boxes.items() if not box.complete}

    def forget(self) -> None:
        """Let go of all boxes and shares."""
        self._boxes.clear()
        self._proof_boxes.clear()
        self._dealt.clear()

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
        both = self.has_share(dealer) and dealer in self._proof_boxes
        return Status.UNUSABLE if both else Status.LACKS

    def statuses(self, dealers: Collection[int]) -> bytes:
        """A byte a member: what we have of these dealers, FINE for who is none."""
        return bytes(self.status(d) if d in dealers else 0 for d in range(self._terms.packing.members))

    def has_share(self, dealer: int) -> bool:
        """Whether the box of the share came, all of it."""
        return dealer in self._dealt or (dealer in self._boxes and self._boxes[dealer].complete)

    def dealt(self, dealers: Collection[int]) -> dict[int, Dealt]:
        """What we have of these dealers."""
        return {dealer: self._dealt[dealer] for dealer in dealers if dealer in self._dealt}

    def supply(self, dealer: int, entry: Entry, box: Box) -> None:
        """Take what `dealer` published for us."""
        if dealer in self._dealt:
            return
        self._boxes[dealer] = taken(BoxPlan(self._terms, dealer, self.me), self._channel_key, box, entry.key)
        self._proof_boxes[dealer] = entry.proof_box
        self._match(dealer)

    def _match(self, dealer: int) -> None:
        """Forget what is not under the commitments, and open the bits when all is there."""
        box = self._boxes.get(dealer)
        if self._leaves is not None and box is not None and box.complete:
            leaves = self._leaves.get(dealer)
            if leaves is None or box.leaf != leaves[self.me]:
                del self._boxes[dealer]
                box = None
        if self._digests is None or self._leaves is None or dealer in self._dealt:
            return
        sealed, digests = self._proof_boxes.get(dealer), self._digests.get(dealer)
        if sealed is not None and (digests is None or hashlib.sha256(sealed).digest() != digests[self.me]):
            del self._proof_boxes[dealer]
            return
        if sealed is None or box is None or not box.complete or box.contents is None or box.key is None:
            return
        try:
            bits = open_proof_box(self._terms, dealer, self.me, sealed, box.key)
        except Malformed:
            return
        self._dealt[dealer] = Dealt(*box.contents, bits)
        del self._boxes[dealer]


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
