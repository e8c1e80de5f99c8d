"""One TCP connection as libp2p wants to see it: metered, bounded in every read, and closable at any moment."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

import trio
from libp2p.abc import IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError
from multiaddr import Multiaddr

RECEIVE_BYTES = 256 * 1024
"""At most this much is asked of the system at a time, whatever length a peer announces."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_TIMEOUT_OPTIONS = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")  # not on every system


@dataclass(slots=True)
class Meter:
    """Bytes of all connections with one peer, as handed to and taken from the operating system."""

    sent: int = 0
    received: int = 0


class Socket(IRawConnection):
    """A TCP connection. Raises `ConnectionClosedError` once it is closed, by whichever side.

    There is no lock: the layers above have one reader and one writer at a time.
    """

    def __init__(self, stream: trio.SocketStream, address: str, *, is_initiator: bool, silence_s: float) -> None:
        self._stream = stream
        self.address = address
        self.is_initiator = is_initiator
        self.heard_at = trio.current_time()
        """When the last bytes came in."""
        self._meter = Meter()
        self._tune(silence_s)

    def _tune(self, silence_s: float) -> None:
        # The heartbeat finds a silent peer. This finds, as early, a path on which our own bytes stay unacknowledged.
        idle_s = max(1, round(silence_s))
        values = (idle_s, max(1, idle_s // 4), 4, idle_s * 1000)
        with suppress(OSError):  # of a connection that is gone already; the first read says so
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in zip(_TIMEOUT_OPTIONS, values, strict=True):
                if hasattr(socket, name):
                    self._stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def charge(self, meter: Meter) -> None:
        """Count on `meter` from now on, and what was counted so far as well: the peer behind this is known."""
        meter.sent += self._meter.sent
        meter.received += self._meter.received
        self._meter = meter

    def excuse_silence(self, since: float) -> None:
        """Count the peer's silence from `since`: before that we were not listening ourselves."""
        self.heard_at = max(self.heard_at, since)

    async def read(self, n: int | None = None) -> bytes:
        """Between 1 and `n` bytes."""
        if n == 0:
            return b""
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES if n is None else min(n, RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("the connection broke", transport="tcp") from error
        if not data:
            raise ConnectionClosedError("the peer closed the connection", transport="tcp")
        self._meter.received += len(data)
        self.heard_at = trio.current_time()
        return bytes(data)

    async def write(self, data: bytes) -> None:
        """All of `data`."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("the connection broke", transport="tcp") from error
        self._meter.sent += len(data)

    def shut(self, *, reset: bool = False) -> None:
        """Close now, without waiting for anybody; reads and writes under way fail.

        `reset` drops what the system still holds for a peer that does not take it.
        """
        shut_stream(self._stream, reset=reset)

    async def close(self) -> None:
        """As `shut`, in the form that libp2p calls."""
        self.shut()
        await trio.lowlevel.checkpoint()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Unused by the layers we build; part of libp2p's interface."""
        return None

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Unused by the layers we build; part of libp2p's interface."""
        return [Multiaddr(self.address)]

    def get_connection_type(self) -> ConnectionType:
        """Always direct."""
        return ConnectionType.DIRECT


def shut_stream(stream: trio.SocketStream, *, reset: bool) -> None:
    """Close a stream at once, with a TCP reset where asked: it leaves no state behind on our side."""
    if reset and stream.socket.fileno() >= 0:
        with suppress(OSError):  # of a connection that is gone already
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    stream.socket.close()  # wakes whoever waits on it


def remote_host(stream: trio.SocketStream) -> tuple[str, str] | None:
    """(host, multiaddr) of the other end; None where it is gone already."""
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:
        return None
    return host, f"/{'ip6' if ':' in host else 'ip4'}/{host}/tcp/{port}"
