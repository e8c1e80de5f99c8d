"""The frozen message types of a masked round. Bodies may be views of a receive buffer; sets are bits by place in the
roster, as `encrypted_messages.pack_counted` has them. All are signed, boxes excepted, which authenticate themselves.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from consensus.encrypted_messages import Body
from crypto.commitment import digest


class Stage(IntEnum):
    """What a report and a decision are about."""

    DEALT = 0
    """Whose boxes of shares arrived; who masks with whom."""
    MASKED = 1
    """Whose masked words arrived; whose are summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Hello:
    """The public keys of a member for this round, to all; no bytes: it brings nothing, and is told the mean."""

    round: int
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """A box with the receiver's shares of the sender's two secrets."""

    round: int
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a member has, the member included, for the coordinator."""

    round: int
    stage: int
    members: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """The coordinator's word on a stage, to all; nobody: the round is void."""

    round: int
    stage: int
    members: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """Fragment number `fragment` of the sender's masked words, made with `members`."""

    round: int
    fragment: int
    members: bytes
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Revealed:
    """Of each member that masks, one share: of the own seed of those in `members`, of the pair key of the others."""

    round: int
    members: bytes
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """Fragment number `fragment` of the sum of `members`, to all; signed by who summed it, whoever passes it on."""

    round: int
    fragment: int
    members: bytes
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Lacking:
    """Send me the fragments of the sum that those in `members` own: they are gone. To all."""

    round: int
    members: bytes
    signature: bytes


MaskedMessage: TypeAlias = Hello | Dealt | Report | Decided | Masked | Revealed | Summed | Lacking


def masked_statement(context: bytes, message: MaskedMessage) -> bytes:
    """What the sender of `message` signs (32 bytes); its `signature` does not matter."""
    kind = type(message).__name__
    match message:
        case Report() | Decided():
            parts: tuple[bytes | int, ...] = (int(message.stage), message.members)
        case Masked() | Summed():
            parts = (message.fragment, message.members, hashlib.sha256(message.body).digest())
        case Revealed():
            parts = (message.members, hashlib.sha256(message.body).digest())
        case Lacking():
            parts = (message.members,)
        case Hello() | Dealt():
            parts = (hashlib.sha256(message.body).digest(),)
    return digest("grapevine masked round message v1", context, kind, *parts)
