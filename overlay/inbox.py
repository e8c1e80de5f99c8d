"""What a transport has to tell and its node has not fetched yet: bounded, whoever fills it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import trio

from crypto.identity import PeerId
from overlay.transport import Event, Received, Refused

MAX_REFUSALS: Final = 64
"""Different refusals that wait to be fetched; those beyond fold into one, for fresh keys cost a stranger nothing."""

_FURTHER = Refused(None, "", f"further strangers and faults than the {MAX_REFUSALS} listed", 0)

_RefusedBy = tuple[PeerId | None, str]


class Inbox:
    """Events in order. Refusals of one peer and reason count up while they wait; messages are counted by peer.

    It bounds messages only together with its owner, who stops reading a peer with too many `unfetched`.
    """

    def __init__(self, fetched: Callable[[PeerId], None]) -> None:
        """`fetched(peer)` is called for each message that the node takes: the owner may read on."""
        self._events: deque[Event | _RefusedBy] = deque()
        self._refused: dict[_RefusedBy, Refused] = {}
        self._unfetched: Counter[PeerId] = Counter()
        self._fetched = fetched
        self._arrival = trio.Event()

    def unfetched(self, peer: PeerId) -> int:
        """How many messages of `peer` wait here."""
        return self._unfetched[peer]

    def put(self, event: Event) -> None:
        """Append `event`, or count it where an equal refusal waits."""
        if isinstance(event, Refused):
            self._put_refused(event)
        else:
            if isinstance(event, Received):
                self._unfetched[event.peer] += 1
            self._events.append(event)
        self._arrival.set()

    async def get(self) -> Event:
        """The oldest event; waits for one. A checkpoint always, so that a full inbox cannot starve other tasks."""
        if self._events:
            await trio.lowlevel.checkpoint()
        while not self._events:
            self._arrival = trio.Event()
            await self._arrival.wait()
        event = self._events.popleft()
        if isinstance(event, tuple):
            return self._refused.pop(event)
        if isinstance(event, Received):
            self._unfetched[event.peer] -= 1
            self._fetched(event.peer)
        return event

    def _put_refused(self, event: Refused) -> None:
        key = (event.peer, event.reason)
        if key not in self._refused and len(self._refused) >= MAX_REFUSALS:
            event = replace(_FURTHER, count=event.count)
            key = (event.peer, event.reason)
        waiting = self._refused.get(key)
        if waiting is None:
            self._events.append(key)
            self._refused[key] = event
        else:
            self._refused[key] = replace(waiting, count=waiting.count + event.count)
