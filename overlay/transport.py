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
    """An authenticated connection to an admitted peer stands, its greeting checked; messages flow both ways."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The connection is gone or the peer went silent. Follows exactly one `PeerUp` of the same peer."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A parsed message. From one peer they arrive in the order of sending; some may be missing."""

    peer: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody was turned away: a stranger, a wrong greeting, a frame that breaks the wire format or its limits.

    `peer` is None where no identity was proved. `count` aggregates a flood of the same `reason`.
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

        A peer that is down, or slower than the bounded queue, loses its oldest messages; they are counted in
        `Traffic.messages_dropped`. Raises `KeyError` for a peer that was never admitted.
        """

    async def next_event(self) -> Event:
        """The next event; waits for it. One task calls this."""

    def traffic(self) -> Mapping[PeerId, Traffic]:
        """Counters by admitted peer, whether up or down."""
