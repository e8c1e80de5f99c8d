"""What members of a cell say about a private round: their channel keys, and which base each has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from consensus.private_messages import Body
from crypto.commitment import digest
from crypto.identity import PeerId


@dataclass(frozen=True, slots=True, eq=False)
class ChannelKeyNotice:
    """The public channel key of `owner`, signed by its identity: boxes for it are sealed to this key from now on.
    Anyone may pass it on.
    """

    owner: PeerId
    made: int
    """When, in seconds since 1970 on the owner's clock: of two keys the later counts."""
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True)
class Standing:
    """The sender plays `round`, and has the base with this digest."""

    round: int
    base: bytes
    opened: int
    """One more than the round that made that base; 0 for the initial vector. `round` + 1: the sender has closed it."""


@dataclass(frozen=True, slots=True)
class BaseWanted:
    """Send me the base with this digest."""

    round: int
    base: bytes


@dataclass(frozen=True, slots=True, eq=False)
class BaseCopy:
    """A base: y, float32 (d,), little-endian, and v where there is momentum. Its digest says whether it is the one that
    was wanted.
    """

    round: int
    body: Body


MeetingMessage: TypeAlias = Standing | BaseWanted | BaseCopy


def key_statement(swarm: bytes, owner: PeerId, made: int, public: bytes) -> bytes:
    """What the signature of a `ChannelKeyNotice` is under."""
    return digest("grapevine channel key v2", swarm, owner, made, public)
