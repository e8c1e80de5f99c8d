"""What members of a cell say before a private round: their channel key, and which base their updates are against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from consensus.private_messages import Body
from crypto.commitment import digest
from crypto.identity import PeerId


@dataclass(frozen=True, slots=True, eq=False)
class ChannelKeyNotice:
    """The sender's public channel key, signed by its identity: boxes for the sender are sealed to it from now on."""

    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True)
class Standing:
    """The sender is about to play `round`, on the base with this digest."""

    round: int
    base: bytes
    opened: int
    """One more than the round whose mean made that base; 0 for the initial vector."""


@dataclass(frozen=True, slots=True)
class BaseWanted:
    """Send me the base with this digest."""

    round: int
    base: bytes


@dataclass(frozen=True, slots=True, eq=False)
class BaseCopy:
    """A base: float32 (d,), little-endian. Its digest says whether it is the one that was wanted."""

    round: int
    body: Body


MeetingMessage: TypeAlias = Standing | BaseWanted | BaseCopy


def key_statement(swarm: bytes, owner: PeerId, public: bytes) -> bytes:
    """What the signature of a `ChannelKeyNotice` is under."""
    return digest("grapevine channel key v1", swarm, owner, public)
