"""libp2p's yamux multiplexer with the short ways that one long-lived stream allows, and with a bound on its memory.

The protocol engine is the stock one. What is ours, each against a measured behaviour of libp2p 0.8.1:

- `receive`   takes what a stream has buffered without copying, and grants credit by what the reader expects next
- `send`      frames that fill Noise messages to the byte; waits for a slow reader instead of resetting after 5 s
- `_read_data_body`   ends the connection of a peer that ignores the window (stock buffers without a bound)
- `_cleanup_on_error` keeps what came in before the end, for a peer that says why it hangs up and then does
- `_write_frame`      without the logging and the scheduling point of every frame
"""

from __future__ import annotations

import struct
from typing import Final

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.yamux.yamux import HEADER_SIZE, TYPE_DATA, YAMUX_HEADER_FORMAT, Yamux, YamuxStream

from overlay.libp2p_noise import MAX_PLAINTEXT, NoiseSession

PROTOCOL: Final = "/yamux/1.0.0"
WINDOW_LEAST: Final = 4 << 20
WINDOW_MOST: Final = 16 << 20
"""What a peer may have under way towards us, by what we expect of it (yamux allows no more)."""

_FRAME_BYTES: Final = 4 * MAX_PLAINTEXT
"""A full yamux frame with its header fills four Noise messages and not one byte of a fifth."""
_BUFFER_MOST: Final = WINDOW_MOST + (4 << 20)
"""Over all streams of a connection; the excess is for streams that are refused."""
_WINDOW_POLL_S: Final = 0.002
_HEADER: Final = struct.Struct(YAMUX_HEADER_FORMAT)


class WindowIgnored(trio.TooSlowError):
    """A peer sent more than its window. Of this base because it is the one for which stock yamux hangs up."""


class BoundedYamux(Yamux):
    """A yamux connection over a Noise session."""

    def __init__(self, session: NoiseSession, peer_id: ID) -> None:
        super().__init__(session, peer_id, is_initiator=session.is_initiator)
        self.fault: str | None = None
        """What the peer did that we ended the connection for, if so."""

    async def receive(self, stream: YamuxStream, expected: int) -> bytearray:
        """The next bytes of `stream`, any number from 1 up.

        `expected` is what the reader still needs of a message under way; the peer gets credit for as much.
        Raises `ConnectionClosedError` when the stream has ended.
        """
        await self._grant(stream, min(max(expected, WINDOW_LEAST), WINDOW_MOST))
        sid = stream.stream_id
        while not (buffer := self.stream_buffers.get(sid)):
            if buffer is None or stream.recv_closed or stream.closed or self.event_shutting_down.is_set():
                raise ConnectionClosedError("the peer closed the connection")
            self.stream_events[sid] = arrival = trio.Event()
            await arrival.wait()
        self.stream_buffers[sid] = bytearray()
        return buffer

    async def _grant(self, stream: YamuxStream, window: int) -> None:
        credit = window - stream.recv_window
        if credit >= window // 2:  # seldom: an update costs the peer as much as a small message
            stream.recv_window += credit
            await stream.send_window_update(credit)

    async def send(self, stream: YamuxStream, data: bytes | memoryview) -> None:
        """All of `data`, as fast as the peer reads. Raises `ConnectionClosedError` when the stream has ended."""
        view = memoryview(data)
        while view:
            while stream.send_window <= 0 and not stream.send_closed:  # noqa: ASYNC110 - stock yamux signals no credit
                await trio.sleep(_WINDOW_POLL_S)
            if stream.send_closed or stream.closed:
                raise ConnectionClosedError("the peer closed the connection")
            size = min(len(view), stream.send_window, _FRAME_BYTES - HEADER_SIZE)
            stream.send_window -= size
            await self._write_frame(_HEADER.pack(0, TYPE_DATA, 0, stream.stream_id, size) + view[:size])
            view = view[size:]

    def end(self) -> None:
        """Let every reader and writer of a stream see the end, however the engine came to stop."""
        self.event_shutting_down.set()
        for stream in self.streams.values():
            stream.closed = stream.send_closed = stream.recv_closed = True
        for arrival in self.stream_events.values():
            arrival.set()

    async def _cleanup_on_error(self) -> None:
        self.end()
        self.new_stream_send_channel.close()
        await self.secured_conn.close()
        self.event_closed.set()

    async def _read_data_body(self, length: int) -> bytes:
        buffered = sum(map(len, self.stream_buffers.values()))
        if buffered + length > _BUFFER_MOST:
            self.fault = f"ignored its window: {buffered + length} bytes where {WINDOW_MOST} is the most"
            raise WindowIgnored(self.fault)
        return await self.secured_conn.read(length)

    async def _write_frame(self, data: bytes) -> None:
        try:
            self._write_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._write_lock.acquire()
        try:
            await self.secured_conn.write(data)
        finally:
            self._write_lock.release()
