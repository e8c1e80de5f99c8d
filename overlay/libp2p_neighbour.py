"""An admitted peer as the transport sees it: counters that outlive connections, and the one connection that counts."""

from __future__ import annotations

import trio

from crypto.identity import PeerId
from overlay.inbox import Inbox
from overlay.libp2p_door import RefusalLog
from overlay.libp2p_limits import TransportLimits
from overlay.libp2p_link import Link
from overlay.libp2p_outbox import Outbox, frame
from overlay.libp2p_session import Session
from overlay.libp2p_socket import Meter
from overlay.transport import PeerDown, PeerUp, Received, Traffic
from overlay.wire import Greeting, Message


class Neighbour:
    """The `session.Listener` of one peer's sessions."""

    def __init__(
        self, peer: PeerId, greeting: Greeting, limits: TransportLimits, inbox: Inbox, log: RefusalLog
    ) -> None:
        self.peer = peer
        self.meter = Meter()
        self._greeting = greeting
        self._limits = limits
        self._inbox = inbox
        self._log = log
        self._outbox = Outbox(limits)
        self._session: Session | None = None
        self._over = trio.Event()
        self._fetched = trio.Event()
        self._address = ""
        self._up_at = 0.0
        self._round_trip_s: float | None = None

    def send(self, message: Message) -> None:
        """Queue `message`, or drop it while the peer is down."""
        if self._session is None or not self._session.is_up:
            self._outbox.dropped += 1
        else:
            self._outbox.put(frame(message))

    def traffic(self) -> Traffic:
        """What the peer cost so far."""
        if self._session is not None and self._session.round_trip_s is not None:
            self._round_trip_s = self._session.round_trip_s
        return Traffic(self.meter.sent, self.meter.received, self._outbox.dropped, self._round_trip_s)

    def fetched(self) -> None:
        """The node has taken one of this peer's messages."""
        self._fetched.set()

    async def talk(self, link: Link) -> float:
        """Hold the conversation over `link` until it ends; how long the peer was up, in seconds.

        A connection before it gives way: its peer has moved on.
        """
        while self._session is not None:
            self._session.end("the peer connected anew")
            await self._over.wait()
        session = Session(link, self._greeting, self._limits, self._outbox, self)
        self._session, self._over, self._address = session, trio.Event(), link.socket.address
        try:
            await session.run()
        finally:
            self._round_trip_s = self.traffic().round_trip_s
            self._session = None
            self._outbox.clear()
            self._over.set()
            if session.is_up:
                self._inbox.put(PeerDown(self.peer, session.reason))
        return trio.current_time() - self._up_at if session.is_up else 0.0

    def up(self) -> None:
        """As `Listener.up`."""
        self._up_at = trio.current_time()
        self._inbox.put(PeerUp(self.peer))

    def received(self, message: Message) -> None:
        """As `Listener.received`."""
        self._inbox.put(Received(self.peer, message))

    async def room(self) -> None:
        """As `Listener.room`."""
        while self._inbox.unfetched(self.peer) >= self._limits.inbox_messages:
            self._fetched = trio.Event()
            await self._fetched.wait()

    def refused(self, reason: str) -> None:
        """As `Listener.refused`."""
        self._log.refuse(self.peer, self._address, reason)
