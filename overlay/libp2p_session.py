"""What two nodes say over a link: a greeting each way, then messages and heartbeats until either side is gone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from overlay.libp2p_limits import TransportLimits
from overlay.libp2p_link import Link, LinkDown, Misbehaved
from overlay.libp2p_outbox import Outbox, frame
from overlay.wire import Decoder, Greeting, Message, Ping, Pong, WireError

_SLICE_BYTES: Final = 16 * 1024
_PONG_EVERY_S: Final = 0.05
_REFRESH: Final = 5
"""The round trip is measured anew after so many ping intervals, even where messages flow all the time."""


class Listener(Protocol):
    """Whom a session tells about its peer."""

    def up(self) -> None:
        """The greetings agree."""

    def received(self, message: Message) -> None:
        """A message for the node."""

    async def room(self) -> None:
        """Wait while too many messages of this peer are not fetched."""

    def refused(self, reason: str) -> None:
        """The peer is turned away."""


class Session:
    """One link's conversation: `run` it once, and it is over. `end`, from anywhere, ends it early."""

    def __init__(
        self, link: Link, greeting: Greeting, limits: TransportLimits, outbox: Outbox, listener: Listener
    ) -> None:
        self._link = link
        self._greeting = greeting
        self._limits = limits
        self._outbox = outbox
        self._listener = listener
        self._decoder = Decoder(limits.wire)
        self._scope = trio.CancelScope()
        self._greeted = trio.Event()
        self._nonces = itertools.count(1)
        self._asked: tuple[int, float] | None = None
        self._ponged_at = -math.inf
        self._unread = memoryview(b"")
        self.reason = ""
        """Why it ended, once it did."""
        self.is_up = False
        self.round_trip_s: float | None = None

    def end(self, reason: str, *, reset: bool = False) -> None:
        """Hang up now; `reset` also drops what the peer did not take. The first reason counts."""
        if not self.reason:
            self.reason = reason
            self._link.socket.shut(reset=reset)
            self._scope.cancel()

    async def run(self) -> None:
        """Talk until the link is down or `end` is called."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for task in (self._write, self._read, self._watch):
                    nursery.start_soon(self._until_down, task)

    async def _until_down(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Misbehaved as down:
            self._refuse(down.reason)
        except LinkDown as down:
            self.end(down.reason)

    def _refuse(self, reason: str) -> None:
        if not self.reason:
            self._listener.refused(reason)
            self.end(f"refused: {reason}")

    async def _write(self) -> None:
        await self._link.send([frame(self._greeting).head])
        self._greeted.set()
        while True:
            await self._link.send(await self._outbox.take())

    async def _read(self) -> None:
        try:
            messages = await self._first_messages()
            if not self._agrees(messages[0]):
                return await self._part(messages[0])
            self.is_up = True
            self._listener.up()
            self._ask(trio.current_time())
            self._hear(messages[1:])
            while True:
                await self._listener.room()
                self._hear(await self._more())
        except WireError as error:
            self._refuse(str(error))

    async def _more(self) -> list[Message]:
        """Parse what has arrived, a slice at a time: megabytes of tiny messages must not hold up everybody else."""
        if not self._unread:
            self._unread = memoryview(await self._link.receive(self._decoder.wanted))
        else:
            await trio.lowlevel.checkpoint()
        size = max(_SLICE_BYTES, self._decoder.wanted)
        piece, self._unread = self._unread[:size], self._unread[size:]
        return self._decoder.receive(piece)

    async def _first_messages(self) -> list[Message]:
        with trio.move_on_after(self._limits.upgrade_s):
            while True:
                if messages := await self._more():
                    return messages
        raise Misbehaved(f"sent no greeting within {self._limits.upgrade_s:g} s")

    def _agrees(self, first: Message) -> bool:
        return isinstance(first, Greeting) and self._greeting.mismatch(first) is None

    async def _part(self, first: Message) -> None:
        """Turn a peer away that began wrongly, but let it see our own greeting, so that it can say why on its side."""
        with trio.move_on_after(self._limits.upgrade_s):
            await self._greeted.wait()
        reason = self._greeting.mismatch(first) if isinstance(first, Greeting) else None
        self._refuse(reason or f"began with a {type(first).__name__.lower()} instead of a greeting")

    def _hear(self, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case Ping(nonce):
                    self._pong(nonce)
                case Pong(nonce):
                    self._answered(nonce)
                case Greeting():
                    return self._refuse("sent a second greeting")
                case _:
                    self._listener.received(message)
        return None

    def _pong(self, nonce: int) -> None:
        now = trio.current_time()
        if now - self._ponged_at >= _PONG_EVERY_S:  # an honest peer asks far less often
            self._ponged_at = now
            self._outbox.put_urgent(frame(Pong(nonce)))

    def _ask(self, now: float) -> None:
        nonce = next(self._nonces)
        self._asked = nonce, now
        self._outbox.put_urgent(frame(Ping(nonce)))

    def _answered(self, nonce: int) -> None:
        if self._asked is not None and self._asked[0] == nonce:
            self.round_trip_s = trio.current_time() - self._asked[1]

    async def _watch(self) -> None:
        """Ask a silent peer for a sign of life, and hang up where none comes."""
        interval_s = self._limits.ping_every_s
        while True:
            planned = trio.current_time() + interval_s / 2
            await trio.sleep_until(planned)
            now = trio.current_time()
            if now - planned > interval_s:  # this process was stopped or blocked, and heard nobody meanwhile
                self._link.socket.excuse_silence(now - interval_s)
            silent_s = now - self._link.socket.heard_at
            asked_s = now - (self._asked[1] if self._asked else now)
            if silent_s >= self._limits.silence_s:
                self.end(f"no sign of life for {self._limits.silence_s:g} s", reset=True)
            elif asked_s >= interval_s and (silent_s >= interval_s or asked_s >= _REFRESH * interval_s):
                self._ask(now)
