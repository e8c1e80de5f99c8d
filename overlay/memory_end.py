"""A node's end of the memory network, and the lanes that lead to other ends. `overlay.memory` joins them."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from crypto.identity import PeerId
from overlay.inbox import Inbox
from overlay.transport import Event, PeerDown, PeerUp, Received, Refused, Traffic
from overlay.wire import Decoder, Greeting, Limits, Message, Ping, Pong, WireError, encode

_WINDOW: Final = 64
"""Messages of one lane on their way or waiting to be fetched: what TCP's and the muxer's windows are to a real one."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What every path of the network is like."""

    latency_s: float = 0.001
    """One way."""
    jitter_s: float = 0.0
    """At most so much on top, uniformly drawn for each message. Never overtakes on one lane."""
    loss: float = 0.0
    """Probability that a message vanishes on its way."""
    bandwidth_bytes_s: float = math.inf
    """Of each direction of each link."""
    detection_s: float = 3.0
    """How long a silent loss (a cut path, a crash, no greeting) takes to be noticed."""
    tick_s: float = 0.001
    """Messages arrive at multiples of it: the simulation wakes once for all that a tick brings."""
    redial_s: float = 0.5
    """Mean wait before a lost link is dialled again, drawn from half to one and a half of it."""

    def __post_init__(self) -> None:
        times = (self.latency_s, self.jitter_s, self.detection_s, self.redial_s)
        positive = self.tick_s > 0 and self.bandwidth_bytes_s > 0
        if not (positive and all(0 <= t < math.inf for t in times) and 0 <= self.loss <= 1):
            raise ValueError(f"needs finite times >= 0, a tick and a bandwidth > 0, and loss within 0..1: {self}")

    def delay(self, rng: random.Random) -> float:
        """One draw of the one-way delay, in seconds."""
        return self.latency_s + self.jitter_s * rng.random()


@dataclass(slots=True)
class _Counters:
    sent: int = 0
    received: int = 0
    dropped: int = 0
    round_trip_s: float | None = None


class MemoryTransport:
    """One node's `Transport`. Opened by `MemoryNetwork.open`."""

    def __init__(
        self,
        peer_id: PeerId,
        admitted: Collection[PeerId],
        greeting: Greeting,
        limits: Limits,
        outbox: int,
        raw_hello: bytes | None,
    ) -> None:
        self._peer_id = peer_id
        self._counters = {peer: _Counters() for peer in sorted(set(admitted) - {peer_id})}
        self._greeting = greeting
        self._raw_hello = raw_hello
        self._limits = limits
        self._outbox = outbox
        self._outgoing: dict[PeerId, Lane] = {}
        self._incoming: dict[PeerId, Lane] = {}
        self._left = False
        self.inbox = Inbox(self._fetched)

    @property
    def peer_id(self) -> PeerId:
        """As `Transport.peer_id`."""
        return self._peer_id

    @property
    def address(self) -> str:
        """As `Transport.address`; nobody can dial it from another process."""
        return f"/memory/0/p2p/{self._peer_id}"

    def send(self, peer: PeerId, message: Message) -> None:
        """As `Transport.send`."""
        if isinstance(message, Greeting | Ping | Pong):
            raise ValueError(f"{type(message).__name__} is the transport's own message")  # noqa: TRY004
        lane = self._outgoing.get(peer)
        if lane is None:
            self.counters_of(peer).dropped += 1
        else:
            lane.send(message)

    async def next_event(self) -> Event:
        """As `Transport.next_event`."""
        return await self.inbox.get()

    def traffic(self) -> Mapping[PeerId, Traffic]:
        """As `Transport.traffic`."""
        return {
            peer: Traffic(counters.sent, counters.received, counters.dropped, counters.round_trip_s)
            for peer, counters in self._counters.items()
        }

    # What the network calls.

    def admits(self, peer: PeerId) -> bool:
        """Whether `peer` is on the admission list."""
        return peer in self._counters

    def hello(self) -> bytes:
        """The first bytes of every connection."""
        return b"".join(encode(self._greeting)) if self._raw_hello is None else self._raw_hello

    def mismatch(self, theirs: Greeting) -> str | None:
        """As `Greeting.mismatch`; a hostile member accepts anything."""
        return self._greeting.mismatch(theirs) if self._raw_hello is None else None

    def lane_to(self, target: MemoryTransport, wiring: Wiring) -> Lane:
        """A new lane to `target`, which does not carry anything yet."""
        decoder = Decoder(target._limits)
        return Lane(self, target, decoder, self._outbox, wiring)

    def up(self, peer: PeerId, outgoing: Lane, incoming: Lane, round_trip_s: float) -> None:
        """A connection stands."""
        self._outgoing[peer], self._incoming[peer] = outgoing, incoming
        self._counters[peer].round_trip_s = round_trip_s
        self.inbox.put(PeerUp(peer))

    def down(self, peer: PeerId, reason: str) -> None:
        """The connection is gone."""
        self._outgoing.pop(peer).close()
        self._incoming.pop(peer).close()
        if not self._left:
            self.inbox.put(PeerDown(peer, reason))

    def leave(self) -> None:
        """No more events: the node is closed or has crashed."""
        self._left = True

    def counters_of(self, peer: PeerId) -> _Counters:
        """The running counters of an admitted peer. Raises `KeyError` for another."""
        try:
            return self._counters[peer]
        except KeyError:
            raise KeyError(f"{peer} is not on the admission list of {self._peer_id}") from None

    def _fetched(self, peer: PeerId) -> None:
        lane = self._incoming.get(peer)
        if lane is not None:
            lane.pump()


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a lane needs of the network and of its link."""

    conditions: Conditions
    rng: random.Random
    at: Callable[[float, Callable[[], None]], None]
    """Call something at a time of trio's clock."""
    refuse: Callable[[MemoryTransport, MemoryTransport, str], None]
    """`(end, peer, reason)`: the end turns the peer away."""


class Lane:
    """One direction of one connection: queue, bandwidth, latency, loss, wire format. In order, at most once."""

    def __init__(
        self, source: MemoryTransport, target: MemoryTransport, decoder: Decoder, outbox: int, wiring: Wiring
    ) -> None:
        self.source = source
        self.target = target
        self.flowing = True
        self._decoder = decoder
        self._queue: deque[tuple[bytes, memoryview]] = deque()
        self._outbox = outbox
        self._wiring = wiring
        self._flying = 0
        self._free_at = -math.inf  # when the last message has left
        self._arrived_at = -math.inf  # when it arrives
        self._waiting = False  # for `_free_at`

    def send(self, message: Message) -> None:
        """Queue, and drop the oldest where the queue is full."""
        self._queue.append(encode(message))
        self.pump()
        if len(self._queue) > self._outbox:
            self._queue.popleft()
            self._count_dropped(1)

    def pump(self) -> None:
        """Put on the way what the path, its bandwidth and the receiver's window take now."""
        while self.flowing and self._queue and self._window_is_open():
            now = trio.current_time()
            if self._free_at > now:
                if not self._waiting:
                    self._waiting = True
                    self._wiring.at(self._free_at, self._leave)
                return
            self._put_on_the_way(*self._queue.popleft(), now)

    def flow(self, whole: bool) -> None:
        """Stop at a cut path (what is on the way is lost, what is queued waits), and go on when it is mended."""
        self.flowing = whole
        self.pump()

    def close(self) -> None:
        """The connection is gone, and what was queued with it. May be called again."""
        self.flowing = False
        self._count_dropped(len(self._queue))
        self._queue.clear()

    def greet(self) -> list[Message] | None:
        """Let the target judge the source's first bytes: the messages after the greeting, None where it refuses."""
        data = self.source.hello()
        self._count_sent(len(data))
        self._count_received(len(data))
        try:
            messages = self._decoder.receive(data)
        except WireError as error:
            self._refuse(str(error))
            return None
        if not messages:
            detection_s = self._wiring.conditions.detection_s
            late = Refused(self.source.peer_id, self.source.address, f"no greeting in {detection_s:g} s")
            self._wiring.at(trio.current_time() + detection_s, partial(self.target.inbox.put, late))
            return None
        first, *others = messages
        reason = self.target.mismatch(first) if isinstance(first, Greeting) else "it began without a greeting"
        if reason is None:
            return others
        self._refuse(reason)
        return None

    def hand_over(self, messages: list[Message]) -> None:
        """Give the target what has arrived."""
        for message in messages:
            if isinstance(message, Greeting):
                self._refuse("it greeted twice")
                return
            if not isinstance(message, Ping | Pong):
                self.target.inbox.put(Received(self.source.peer_id, message))

    def _window_is_open(self) -> bool:
        return self._flying + self.target.inbox.unfetched(self.source.peer_id) < _WINDOW

    def _leave(self) -> None:
        self._waiting = False
        self.pump()

    def _put_on_the_way(self, head: bytes, body: memoryview, now: float) -> None:
        conditions, rng = self._wiring.conditions, self._wiring.rng
        size = len(head) + len(body)
        self._count_sent(size)
        self._free_at = now + size / conditions.bandwidth_bytes_s
        lost, delay = rng.random() < conditions.loss, conditions.delay(rng)  # both always: losses shift no delays
        if not lost:
            self._flying += 1
            tick = math.ceil((self._free_at + delay) / conditions.tick_s)
            self._arrived_at = max(self._arrived_at, tick * conditions.tick_s)
            self._wiring.at(self._arrived_at, partial(self._arrive, head, body))

    def _arrive(self, head: bytes, body: memoryview) -> None:
        self._flying -= 1
        if not self.flowing:
            return
        self._count_received(len(head) + len(body))
        try:
            messages = self._decoder.receive(head) + self._decoder.receive(body)
        except WireError as error:
            self._refuse(str(error))
        else:
            self.hand_over(messages)

    def _refuse(self, reason: str) -> None:
        self._wiring.refuse(self.target, self.source, reason)

    def _count_sent(self, size_bytes: int) -> None:
        self.source.counters_of(self.target.peer_id).sent += size_bytes

    def _count_received(self, size_bytes: int) -> None:
        self.target.counters_of(self.source.peer_id).received += size_bytes

    def _count_dropped(self, messages: int) -> None:
        self.source.counters_of(self.target.peer_id).dropped += messages
