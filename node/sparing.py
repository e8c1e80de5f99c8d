"""A transport that says of a vector which a peer has already no more than that it has it.

    send      Contribution, the same as last time ──► Unchanged(digest)
    receive   Unchanged, and the digest is that of what came last ──► that Contribution
              Unchanged, and it is not ──► Unheard ──► the sender sends it after all

For the first phase of a round alone: what later phases bring is always new. One vector a neighbour is kept each way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from consensus.messages import Contribution, Unchanged, Unheard, Vector
from crypto.identity import PeerId
from overlay.transport import Event, PeerUp, Received, Traffic, Transport
from overlay.wire import Message


class SparingTransport:
    """Stands before `inner`, and is a `Transport` itself."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._sent: dict[PeerId, Vector] = {}
        self._owed: dict[PeerId, Contribution] = {}
        """What each was told to have, until it was sent after all: once a round."""
        self._heard: dict[PeerId, tuple[Vector, list[bytes]]] = {}
        """What each sent last, and its digest once it was asked for: a peer that says `Unchanged` all day costs one."""
        self._digest: tuple[Vector, bytes] | None = None

    @property
    def peer_id(self) -> PeerId:
        """As `Transport.peer_id`."""
        return self._inner.peer_id

    @property
    def address(self) -> str:
        """As `Transport.address`."""
        return self._inner.address

    def traffic(self) -> Mapping[PeerId, Traffic]:
        """As `Transport.traffic`."""
        return self._inner.traffic()

    def send(self, peer: PeerId, message: Message) -> None:
        """As `Transport.send`."""
        if not isinstance(message, Contribution) or message.phase:
            self._inner.send(peer, message)
            return
        known = self._sent.get(peer)
        if known is not None and np.array_equal(known, message.vector):
            self._owed[peer] = message
            self._inner.send(peer, Unchanged(message.round, self._digest_of(message.vector)))
        else:
            self._sent[peer] = message.vector
            self._inner.send(peer, message)

    def _digest_of(self, vector: Vector) -> bytes:
        """All neighbours are sent the same one."""
        if self._digest is None or self._digest[0] is not vector:
            self._digest = vector, digest_of(vector)
        return self._digest[1]

    async def next_event(self) -> Event:
        """As `Transport.next_event`."""
        while True:
            event = await self._inner.next_event()
            if isinstance(event, PeerUp):  # what was under way is lost, and the peer may be another process
                for kept in (self._sent, self._owed, self._heard):
                    kept.pop(event.peer, None)
            if not isinstance(event, Received):
                return event
            message = self._translated(event.peer, event.message)
            if message is not None:
                return Received(event.peer, message)

    def _translated(self, peer: PeerId, message: Message) -> Message | None:
        """What `peer` means; None where there is nothing to hear."""
        match message:
            case Contribution(phase=0):
                self._heard[peer] = message.vector, []
            case Unchanged():
                if peer in self._heard:
                    vector, digest = self._heard[peer]
                    if not digest:
                        digest.append(digest_of(vector))
                    if digest[0] == message.digest:
                        return Contribution(message.round, 0, vector)
                self._inner.send(peer, Unheard(message.round))
                return None
            case Unheard():
                owed = self._owed.pop(peer, None)
                if owed is not None and owed.round == message.round:
                    self._inner.send(peer, owed)
                return None
        return message


def digest_of(vector: Vector) -> bytes:
    """SHA-256 of a vector as it travels."""
    return hashlib.sha256(vector.astype("<f4", copy=False).tobytes()).digest()
