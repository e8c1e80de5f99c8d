"""The seam between a node and whatever carries its messages.

Two implementations stand behind it, `overlay.libp2p_transport` and `overlay.memory`, and pass one conformance suite
(`tests/overlay/test_transport_conformance.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from crypto.identity import PeerId
from overlay.wire import Message


@dataclass(frozen=True, slots=True)
class PeerUp:
    """An authenticated connection to an admitted peer stands, its greeting checked; messages flow both ways.

    For one peer `PeerUp` and `PeerDown` strictly alternate, beginning with `PeerUp`, and every `Received` of it lies
    between the two. Two connections that cross (both sides dialled) count as one and show as one `PeerUp`. A peer that
    restarts shows as `PeerDown`, then `PeerUp`, even where the new connection is seen before the loss of the old one.
    """

    peer: PeerId


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The connection is gone or the peer went silent. Follows exactly one `PeerUp` of the same peer."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A parsed message. From one peer they arrive in the order of sending; some may be missing.

    `Greeting`, `Ping` and `Pong` are the transport's own and never come out here. A peer whose messages are not
    fetched is not read any further (its own bounded queue then drops the oldest), and holds up no other peer.
    """

    peer: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody was turned away by this side: a stranger, a wrong greeting, bytes that break the wire format.

    - A stranger (an identity off the admission list) is refused before a byte of its messages is parsed.
    - Every connection begins with a `Greeting` each way. Both sides compare, and each reports what it refuses with
      `Greeting.mismatch`; something else than a greeting, or none in time, is refused as well. No `PeerUp` is shown.
    - A `WireError`, or a second greeting, on a connection that stood: `Refused`, then `PeerDown`; dialled again later.

    `peer` is None where no identity was proved. `count` aggregates: while an event of the same peer and reason waits
    to be fetched, further ones only raise its count, so that a flood of strangers fills no memory.
    Whom we dialled and who turned *us* away shows as nothing at all: a peer that is not up.
    """

    peer: PeerId | None
    address: str
    reason: str
    count: int = 1


Event = PeerUp | PeerDown | Received | Refused


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one peer cost since the transport was opened.

    Bytes are those handed to the operating system for the connection, encryption and framing included.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_dropped: int = 0
    round_trip_s: float | None = None


class Transport(Protocol):
    """Best-effort, ordered, authenticated messages to the admitted peers.

    Opened by an async context manager of its implementation, which owns every task and socket. Connections are
    kept up in the background (back-off with jitter); nothing here waits for a peer.
    """

    @property
    def peer_id(self) -> PeerId:
        """Our own identity, as peers see it."""

    @property
    def address(self) -> str:
        """Where peers reach us; a multiaddr that ends in /p2p/PEERID."""

    def send(self, peer: PeerId, message: Message) -> None:
        """Queue `message` and return at once.

        A peer slower than its bounded queue loses the oldest messages. A peer that is down loses all: nothing is kept
        for a later connection (after `PeerUp` the caller knows best what is still worth sending), and what was queued
        when the connection went is gone too. `Traffic.messages_dropped` counts every message that was not handed to
        the connection. Arrays in `message` are not copied and must not change any more.
        Raises `KeyError` for a peer that was never admitted.
        """

    async def next_event(self) -> Event:
        """The next event; waits for it. One task calls this."""

    def traffic(self) -> Mapping[PeerId, Traffic]:
        """Counters by admitted peer, whether up or down."""
