"""The frozen message types of a private round, and how structured bodies are laid out.

Bodies are bytes (or a view of a receive buffer): the wire carries them as they are, and what is inside is judged where
it is understood. `BodyError` is all that reading a body raises.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")
Body: TypeAlias = bytes | memoryview
SIGNATURE_BYTES = 64
VALUE_BYTES = 32
NIL = bytes(VALUE_BYTES)
"""The value of a vote for nothing."""


def digest_of(body: Body) -> bytes:
    """What is signed of a body, 32 bytes."""
    return hashlib.sha256(body).digest()


class BodyError(ValueError):
    """A body that is not what its kind says."""


class Stage(IntEnum):
    """What a signed item is about. CHECK and CERTIFY are each member's word; the others are agreed upon by all."""

    COMMIT = 0
    """Leaves of the boxes, and commitments to two nonces."""
    NONCE_1 = 1
    PROVE = 2
    """Digests of the boxes of bits."""
    NONCE_2 = 3
    """And which boxes the member lacks."""
    SUPPLY = 4
    """Boxes that somebody lacks, in public."""
    SCALARS = 5
    DISPUTE = 6
    """Boxes whose scalars are off, with their keys, in public."""
    CHECK = 7
    """Combinations of the member's share of the sum, one set an owner."""
    CERTIFY = 8
    """The digest of the sum."""
    DISTANCES = 9
    """Shares of noised distances between the accepted updates; between DISPUTE and CHECK, where a cell screens."""
    RECALL = 10
    """Shares of what a convict brought to earlier rounds; after COMMIT, where somebody shows that it lied."""


class Role(IntEnum):
    """What a bundle is for."""

    NEW_VIEW = 0
    """What I hold, or hold fast to, on entering a view."""
    PROPOSAL = 1
    """Of the leader of a view."""
    CONTENTS = 2
    """What a digest stands for that I voted for."""
    DECISION = 3
    """What was decided, with the votes that did."""


class PortionKind(IntEnum):
    """What a portion of the sum is."""

    SHARE = 0
    """Of one holder, for an owner (or for whom an owner failed)."""
    CHUNK = 1
    """Decoded by its owner, for all."""


@dataclass(frozen=True, slots=True, eq=False)
class Sealed:
    """A block of a dealer's box for the receiver: of a share (stage COMMIT), or of bits (stage PROVE, in one block)."""

    round: int
    stage: int
    body: Body
    block: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What a member signs in a stage, `author` by its place in the roster; anyone may pass it on."""

    round: int
    stage: int
    author: int
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True)
class Vote:
    """The sender's vote (step 0) or commitment (step 1) in one view of the agreement of a stage."""

    round: int
    stage: int
    view: int
    step: int
    value: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Items of a stage, and signatures of votes; see `Role`."""

    round: int
    stage: int
    view: int
    role: int
    body: Body


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send me what I lack of a stage; `part` is the owner of a portion, where the stage is CHECK, and says which boxes
    where it is PROVE: of that of a share I have all blocks before `block`.
    """

    round: int
    stage: int
    part: int
    block: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """Part `owner` of the sum: words of a share, or the sum itself. `author` signed it; a share of another than the
    sender is evidence against its author.
    """

    round: int
    owner: int
    author: int
    kind: int
    signature: bytes
    body: Body


PrivateMessage: TypeAlias = Sealed | Item | Vote | Bundle | Fetch | Portion


class Reader:
    """Reads a body from front to back."""

    def __init__(self, body: Body) -> None:
        self._body = memoryview(body)

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, without a copy. Raises BodyError."""
        if not 0 <= size <= len(self._body):
            raise BodyError(f"{size} more bytes expected, {len(self._body)} are left")
        taken, self._body = self._body[:size], self._body[size:]
        return taken

    def numbers(self, layout: str) -> tuple[int, ...]:
        """The next integers, big-endian, by the letters of `struct`."""
        packing = struct.Struct(">" + layout)
        return packing.unpack(self.take(packing.size))

    def rest(self) -> memoryview:
        """All that is left, without a copy."""
        return self.take(len(self._body))

    def end(self) -> None:
        """Raise BodyError unless everything was read."""
        if self._body:
            raise BodyError(f"{len(self._body)} bytes too many")


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The body of a bundle: items by author, and votes (`signatures` by author) for `value` in view `lock`."""

    items: Mapping[int, Item]
    lock: int = -1
    value: bytes = NIL
    signatures: Mapping[int, bytes] = field(default_factory=dict)
    first: Mapping[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """What members voted for in view 0, NIL for nothing, and their signatures under it."""

    def pack(self) -> bytes:
        """The body."""
        parts: list[Body] = [struct.pack(">i32sH", self.lock, self.value, len(self.signatures))]
        parts += [struct.pack(">H64s", author, signature) for author, signature in sorted(self.signatures.items())]
        parts.append(struct.pack(">H", len(self.first)))
        parts += [struct.pack(">H32s64s", author, *said) for author, said in sorted(self.first.items())]
        parts.append(struct.pack(">H", len(self.items)))
        for author, item in sorted(self.items.items()):
            parts += [struct.pack(">H64sI", author, item.signature, len(item.body)), item.body]
        return b"".join(parts)

    @classmethod
    def unpack(cls, bundle: Bundle) -> Held:
        """Read the body of `bundle`. Raises BodyError; authors are in order and none is there twice."""
        reader = Reader(bundle.body)
        (lock,) = reader.numbers("i")
        value = bytes(reader.take(VALUE_BYTES))
        signatures: dict[int, bytes] = {}
        for _ in range(reader.numbers("H")[0]):
            (author,) = reader.numbers("H")
            _in_order(signatures, author)
            signatures[author] = bytes(reader.take(SIGNATURE_BYTES))
        first: dict[int, tuple[bytes, bytes]] = {}
        for _ in range(reader.numbers("H")[0]):
            (author,) = reader.numbers("H")
            _in_order(first, author)
            first[author] = bytes(reader.take(VALUE_BYTES)), bytes(reader.take(SIGNATURE_BYTES))
        items: dict[int, Item] = {}
        for _ in range(reader.numbers("H")[0]):
            (author,) = reader.numbers("H")
            _in_order(items, author)
            signature = bytes(reader.take(SIGNATURE_BYTES))
            payload = reader.take(reader.numbers("I")[0])
            items[author] = Item(bundle.round, bundle.stage, author, signature, payload)
        reader.end()
        return cls(items, lock, value, signatures, first)


def _in_order(known: dict[int, _T], author: int) -> None:
    if known and author <= next(reversed(known)):  # the last is the largest: to look at all of 65,535 takes minutes
        raise BodyError(f"author {author} is out of order")
