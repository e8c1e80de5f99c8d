"""Frames that wait for one peer: bounded, the oldest give way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import trio

from overlay.libp2p_limits import TransportLimits
from overlay.wire import Message, encode

_BATCH_BYTES = 256 * 1024
_MOST_ANSWERS = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """An encoded message. `body` views the message's own array."""

    head: bytes
    body: memoryview

    @property
    def size_bytes(self) -> int:
        """Of the whole frame."""
        return len(self.head) + len(self.body)


def frame(message: Message) -> Frame:
    """Raises `ValueError` for a message that no peer would accept."""
    return Frame(*encode(message))


class Outbox:
    """Ordered frames, and heartbeats which go ahead of them. One task takes."""

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._frames: deque[Frame] = deque()
        self._size_bytes = 0
        self._urgent: deque[Frame] = deque(maxlen=_MOST_ANSWERS)  # a peer may ask faster than it reads answers
        self._arrival = trio.Event()
        self.dropped = 0
        """Messages that were not handed to the connection."""

    def put(self, item: Frame) -> None:
        """Append, and drop the oldest while there are too many or too long ones."""
        self._frames.append(item)
        self._size_bytes += item.size_bytes
        while len(self._frames) > self._limits.outbox_messages or (
            self._size_bytes > self._limits.outbox_bytes and len(self._frames) > 1
        ):
            self._size_bytes -= self._frames.popleft().size_bytes
            self.dropped += 1
        self._arrival.set()

    def put_urgent(self, item: Frame) -> None:
        """A heartbeat: ahead of all messages."""
        self._urgent.append(item)
        self._arrival.set()

    def clear(self) -> None:
        """Drop everything: the connection is gone."""
        self.dropped += len(self._frames)
        self._frames.clear()
        self._urgent.clear()
        self._size_bytes = 0

    async def take(self) -> list[bytes | memoryview]:
        """What comes next, about `_BATCH_BYTES` of it as parts to be sent in order; waits for the first."""
        while not self._frames and not self._urgent:
            self._arrival = trio.Event()
            await self._arrival.wait()
        parts: list[bytes | memoryview] = [urgent.head for urgent in self._urgent]
        self._urgent.clear()
        taken = 0
        while self._frames and taken < _BATCH_BYTES:
            item = self._frames.popleft()
            taken += item.size_bytes
            parts += (item.head, item.body) if item.body else (item.head,)
        self._size_bytes -= taken
        return parts
