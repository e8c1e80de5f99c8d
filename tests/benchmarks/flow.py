"""One end of a flow of equal messages, as a process: `python -m tests.benchmarks.flow CARRIER ROLE FOLDER BYTES COUNT`.

CARRIER is `transport` (overlay.libp2p_transport: encrypted, authenticated, framed) or `raw` (a trio TCP stream, each
message behind its length). ROLE is `sender` or `receiver`; the two find each other through FOLDER. Each prints
{"wall_s", "cpu_s"}: the sender from its first message until the last was acknowledged, the receiver between its first
and its last message, which excludes the first.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import trio

from consensus.messages import Contribution
from crypto.identity import Identity
from overlay.discovery import FolderBook
from overlay.libp2p_transport import open_libp2p_transport
from overlay.transport import PeerDown, PeerUp, Received, Transport
from overlay.wire import Greeting

WINDOW_BYTES = 32 * 2**20
WINDOW_MESSAGES = 32
"""In flight at most: below the bounds of the transport's outbox, which drops what exceeds them."""
READ_BYTES = 256 * 1024
LENGTH = struct.Struct("!Q")
GREETING = Greeting(swarm=bytes(32), layout=bytes(32))
LIMIT_S = 120.0


class Clock:
    """Wall and CPU time between `start` and `stop`."""

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> dict[str, float]:
        return {"wall_s": time.perf_counter() - self._wall, "cpu_s": time.process_time() - self._cpu}


def window(size: int) -> int:
    """How many messages of `size` bytes may be on their way."""
    return max(2, min(WINDOW_MESSAGES, WINDOW_BYTES // size))


def identity(role: str) -> Identity:
    return Identity.from_seed(role.ljust(32).encode())


def open_transport(role: str, folder: Path) -> AbstractAsyncContextManager[Transport]:
    other = identity("receiver" if role == "sender" else "sender").peer_id
    return open_libp2p_transport(
        identity(role), "/ip4/127.0.0.1/tcp/0", [other], FolderBook(folder), GREETING, rng=random.Random(role)
    )


async def send_transport(folder: Path, size: int, count: int) -> dict[str, float]:
    vector = np.zeros(size // 4, dtype=np.float32)
    peer = identity("receiver").peer_id
    clock = Clock()
    async with open_transport("sender", folder) as transport:
        FolderBook(folder).publish(transport.peer_id, transport.address)
        sent = acknowledged = 0
        while acknowledged < count:
            match await transport.next_event():
                case PeerUp():
                    clock.start()
                case Received(message=Contribution() as message):
                    acknowledged = message.round + 1
                case PeerDown(reason=reason):
                    raise ConnectionError(reason)
            while sent < min(count, acknowledged + window(size)):
                transport.send(peer, Contribution(sent, 0, vector))
                sent += 1
        return clock.stop()


async def receive_transport(folder: Path, size: int, count: int) -> dict[str, float]:
    peer = identity("sender").peer_id
    clock = Clock()
    acknowledgement = np.zeros(1, dtype=np.float32)
    every = max(1, window(size) // 4)
    async with open_transport("receiver", folder) as transport:
        FolderBook(folder).publish(transport.peer_id, transport.address)
        times: dict[str, float] = {}
        received = 0
        while True:
            match await transport.next_event():
                case Received(message=Contribution() as message):
                    if message.round != received or message.vector.nbytes != size:
                        raise ValueError(f"message {message.round} instead of {received}: some were dropped")
                    if received == 0:
                        clock.start()
                    received += 1
                    if received == count:
                        times = clock.stop()
                    if received % every == 0 or received == count:
                        transport.send(peer, Contribution(message.round, 1, acknowledgement))
                case PeerDown(reason=reason):
                    if received == count:
                        return times
                    raise ConnectionError(reason)


async def send_raw(folder: Path, size: int, count: int) -> dict[str, float]:
    port = folder / "port"
    while not port.exists():  # noqa: ASYNC110 - another process makes it
        await trio.sleep(0.01)
    frame = LENGTH.pack(size) + bytes(size)
    clock = Clock()
    async with await trio.open_tcp_stream("127.0.0.1", int(port.read_text(encoding="ascii"))) as stream:
        clock.start()
        for _ in range(count):
            await stream.send_all(frame)
        await stream.receive_some(1)  # the acknowledgement of the last
        return clock.stop()


async def receive_raw(folder: Path, size: int, count: int) -> dict[str, float]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    draft = folder / "port.part"
    draft.write_text(str(listener.socket.getsockname()[1]), encoding="ascii")
    draft.replace(folder / "port")
    clock = Clock()
    async with listener, await listener.accept() as stream:
        reader = _Reader(stream)
        for i in range(count):
            (length,) = LENGTH.unpack(await reader.exactly(LENGTH.size))
            message = await reader.exactly(length)
            if len(message) != size:
                raise ValueError(f"a message of {len(message)} bytes instead of {size}")
            if i == 0:
                clock.start()
        times = clock.stop()
        await stream.send_all(b"!")
        return times


class _Reader:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._rest = memoryview(b"")

    async def exactly(self, size: int) -> bytearray:
        buffer, filled = bytearray(size), 0
        while filled < size:
            data = self._rest or memoryview(await self._stream.receive_some(READ_BYTES))
            if not data:
                raise ConnectionError("the sender went away")
            taken = min(size - filled, len(data))
            buffer[filled : filled + taken] = data[:taken]
            filled += taken
            self._rest = data[taken:]
        return buffer


ENDS = {
    ("transport", "sender"): send_transport,
    ("transport", "receiver"): receive_transport,
    ("raw", "sender"): send_raw,
    ("raw", "receiver"): receive_raw,
}


def main(carrier: str, role: str, folder: str, size: str, count: str) -> None:
    async def bounded() -> dict[str, float]:
        with trio.fail_after(LIMIT_S):
            return await ENDS[carrier, role](Path(folder), int(size), int(count))

    sys.stdout.write(json.dumps(trio.run(bounded)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
