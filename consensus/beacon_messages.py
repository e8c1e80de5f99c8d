"""What nodes say about the seed of the next epoch: signed rumours that everybody passes on, and proofs of a seed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from consensus.private_messages import SIGNATURE_BYTES, VALUE_BYTES, Body, BodyError, Bundle, Item, Reader, Vote

MAX_NODES: Final = 128
"""A rumour of each reaches each, three times a stage: work grows with n², and so do bundles after a failed view."""
RUMOURS_EACH: Final = 64
"""Of one origin in one epoch: the bits of a word of an inventory."""


@dataclass(frozen=True, slots=True, eq=False)
class Rumour:
    """Something `origin` (its place in the topology file) said to all nodes about `epoch`, and signed."""

    epoch: int
    origin: int
    sequence: int
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """Which rumours of `epoch` the sender holds: a word of 64 bits for each node, bit s for the rumour `sequence` s."""

    epoch: int
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class SeedProof:
    """What was agreed on in `epoch`, with the signatures that did: nobody need be trusted to take it."""

    epoch: int
    body: Body


BeaconMessage: TypeAlias = Rumour | Inventory | SeedProof
Said: TypeAlias = Item | Vote | Bundle
"""What is in a rumour."""

_ITEM, _VOTE, _BUNDLE = 0, 1, 2


def pack(said: Said) -> bytes:
    """The body of a rumour."""
    match said:
        case Item():
            return struct.pack(">BBH64s", _ITEM, said.stage, said.author, said.signature) + bytes(said.body)
        case Vote():
            return struct.pack(">BBHB32s64s", _VOTE, said.stage, said.view, said.step, said.value, said.signature)
        case Bundle():
            return struct.pack(">BBHB", _BUNDLE, said.stage, said.view, said.role) + bytes(said.body)


def unpack(epoch: int, body: Body) -> Said:
    """What a rumour of `epoch` says. Raises BodyError."""
    reader = Reader(body)
    tag, stage = reader.numbers("BB")
    match tag:
        case 0:
            (author,) = reader.numbers("H")
            return Item(epoch, stage, author, bytes(reader.take(SIGNATURE_BYTES)), bytes(reader.rest()))
        case 1:
            view, step = reader.numbers("HB")
            value, signature = bytes(reader.take(VALUE_BYTES)), bytes(reader.take(SIGNATURE_BYTES))
            reader.end()
            return Vote(epoch, stage, view, step, value, signature)
        case 2:
            view, role = reader.numbers("HB")
            return Bundle(epoch, stage, view, role, bytes(reader.rest()))
        case _:
            raise BodyError(f"a rumour of kind {tag}")
