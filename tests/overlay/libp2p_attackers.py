"""Ends of libp2p connections in the hands of a test: bare sockets, authenticated sessions, message streams."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import trio

from overlay.libp2p_link import Authenticator, open_link
from overlay.libp2p_noise import NoiseSession
from overlay.libp2p_socket import Socket
from overlay.transport import Received, Refused
from overlay.wire import encode
from tests.overlay.test_transport_conformance import contribution, until
from tests.overlay.transports import GREETING, QUICK, identity, peer_id

HELLO = b"".join(encode(GREETING))
MULTISTREAM = b"\x13/multistream/1.0.0\n"


def delimited(text: bytes) -> bytes:
    return bytes([len(text) + 1]) + text + b"\n"


async def raw(swarm, name: str) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", swarm.ports[name])


async def read_to_end(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        with trio.fail_after(20):
            while more := await stream.receive_some():
                data += more
    except trio.BrokenResourceError:
        pass
    return data


def tasks_and_sockets() -> tuple[int, int]:
    return trio.lowlevel.current_statistics().tasks_living, len(list(Path("/proc/self/fd").iterdir()))


async def assert_still_works(swarm, anna, bert) -> list[Refused]:
    """The pair was not disturbed: messages pass, and no event comes but refusals, which it returns."""
    anna.send(bert.peer_id, contribution(77))
    events = await until(swarm, bert, lambda event: isinstance(event, Received) and event.message.round == 77)
    refusals = [event for event in events[:-1] if isinstance(event, Refused)]
    assert len(refusals) == len(events) - 1, events
    return refusals


@asynccontextmanager
async def member_session(swarm, name: str, target: str):
    """An authenticated Noise session of a hostile member, whose next bytes are up to the test."""
    socket = Socket(await raw(swarm, target), "", is_initiator=True, silence_s=QUICK.silence_s)
    try:
        yield await Authenticator(identity(name)).outbound(socket, peer_id(target)), socket
    finally:
        socket.shut()


@asynccontextmanager
async def member_link(swarm, name: str, target: str):
    async with (
        member_session(swarm, name, target) as (session, socket),
        open_link(session, socket, opener=True) as link,
    ):
        yield link


@asynccontextmanager
async def sessions():
    """Two ends of an authenticated session over real sockets."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        far = await listener.accept()
        left = Socket(near, "near", is_initiator=True, silence_s=1.0)
        right = Socket(far, "far", is_initiator=False, silence_s=1.0)
        dialled: list[NoiseSession] = []
        done = trio.Event()

        async def dial() -> None:
            dialled.append(await Authenticator(identity("anna")).outbound(left, peer_id("bert")))
            done.set()

        nursery.start_soon(dial)
        accepted = await Authenticator(identity("bert")).inbound(right)
        await done.wait()
        yield (dialled[0], left), (accepted, right)
        left.shut()
        right.shut()
