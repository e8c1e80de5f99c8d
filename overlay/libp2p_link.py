"""A connection to one peer, from a TCP stream to an authenticated stream of messages.

    TCP  ->  /noise (both prove their PeerId)  ->  [is it admitted?]  ->  /yamux/1.0.0  ->  one stream of /grapevine/1

The layers are libp2p's; its host and swarm are not used. Those accept plaintext by default, die of an exception in a
handler, stop accepting after so many connections in their life, dial whom they please, and wait 250 ms at every dial.
What libp2p raises is mapped here, in `_seam`, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol, cast

import trio
from libp2p.abc import IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.secure_session import SecureSession
from libp2p.stream_muxer.yamux.yamux import YamuxStream
from multiaddr import Multiaddr

from crypto.identity import Identity, PeerId
from overlay.libp2p_noise import NoiseSession
from overlay.libp2p_socket import Socket
from overlay.libp2p_yamux import PROTOCOL as YAMUX
from overlay.libp2p_yamux import BoundedYamux

PROTOCOL: Final = "/grapevine/1"

_NEGOTIATION_BYTES: Final = 1024
"""Read at most for one choice of protocol, whose lengths libp2p does not bound."""
_HANDSHAKE_BYTES: Final = 8192
"""The same for a Noise handshake: three messages of about 200 bytes."""
_NEGOTIATION_S: Final = 3600
"""libp2p wants a time limit of its own; the caller's is the one that counts."""
_STRAY_STREAMS: Final = 32
"""Streams that a peer may open beside the one we use: stock libp2p peers try to identify themselves on one."""
_JOIN_BYTES: Final = 64 * 1024
"""Parts of messages below this are joined, since a frame costs more than the copy."""

# Without a handler Python prints a library's warnings to stderr; LIBP2P_DEBUG still adds libp2p's own handlers.
logging.getLogger("libp2p").addHandler(logging.NullHandler())


class LinkDown(Exception):  # noqa: N818 - what happened to a connection, not an error of ours
    """A connection ended or came to nothing, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotAuthenticated(LinkDown):
    """The other side closed, stalled, or sent something else than a libp2p handshake."""


class Misbehaved(LinkDown):
    """We hung up, for what an authenticated peer sent."""


class WrongIdentity(LinkDown):
    """Another key answered than the one that we dialled."""


@contextmanager
def _seam(step: str) -> Iterator[None]:
    """Map whatever libp2p raises in `step` to `LinkDown`.

    This is the one broad `except`: on a peer's bytes libp2p raises ValueError, UnicodeDecodeError, InvalidTag, groups
    of these, and more. Only calls of libp2p stand inside it.
    """
    try:
        yield
    except LinkDown:
        raise
    except ConnectionClosedError as error:
        raise LinkDown(str(error)) from error
    except Exception as error:
        raise LinkDown(f"{step}: {_innermost(error)}") from error


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    while not str(error) and error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__)[:200]


class _Channel(Protocol):
    """What `_Capped` needs of a socket, a session or a stream."""

    async def read(self, n: int | None = None) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


class _Capped(IRawConnection):
    """A channel from which only so many bytes may be read."""

    def __init__(self, channel: _Channel, allowance: int, *, is_initiator: bool) -> None:
        self._channel = channel
        self._allowance = allowance
        self.is_initiator = is_initiator

    async def read(self, n: int | None = None) -> bytes:
        if n is None or n > self._allowance:
            raise ConnectionClosedError("more bytes than a handshake has")
        self._allowance -= n
        data = await self._channel.read(n)
        self._allowance += n - len(data)
        return data

    async def write(self, data: bytes) -> None:
        await self._channel.write(data)

    async def close(self) -> None:
        await self._channel.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        return None

    def get_transport_addresses(self) -> list[Multiaddr]:
        return []

    def get_connection_type(self) -> ConnectionType:
        return ConnectionType.DIRECT


async def _agree(channel: _Channel, protocol: str, *, propose: bool) -> None:
    """Settle on `protocol` by multistream-select; there is no second choice."""
    communicator = MultiselectCommunicator(_Capped(channel, _NEGOTIATION_BYTES, is_initiator=propose))
    wanted = TProtocol(protocol)
    if propose:
        await MultiselectClient().select_one_of([wanted], communicator, _NEGOTIATION_S)
    else:
        await Multiselect({wanted: None}).negotiate(communicator, _NEGOTIATION_S)


class Authenticator:
    """Our identity in libp2p's terms; proves it, and has the other side prove its own."""

    def __init__(self, identity: Identity) -> None:
        private_key = Ed25519PrivateKey.new(identity.seed)
        keys = KeyPair(private_key, private_key.get_public_key())
        self._noise = NoiseTransport(keys, noise_privkey=new_x25519_key_pair().private_key)

    async def outbound(self, socket: Socket, peer: PeerId) -> NoiseSession:
        """Dialled: the session with `peer` and nobody else. Raises `WrongIdentity` or another `LinkDown`."""
        with _seam("the handshake"):
            await _agree(socket, NOISE, propose=True)
            channel = _Capped(socket, _HANDSHAKE_BYTES, is_initiator=True)
            try:
                session = await self._noise.secure_outbound(channel, ID.from_base58(peer))
            except PeerIDMismatchesPubkey as error:
                raise WrongIdentity("another PeerId answers at this address") from error
            return _ours(session, socket)

    async def inbound(self, socket: Socket) -> NoiseSession:
        """Accepted: the session with whoever it is, proved. Raises `NotAuthenticated`."""
        try:
            with _seam("the handshake"):
                await _agree(socket, NOISE, propose=False)
                channel = _Capped(socket, _HANDSHAKE_BYTES, is_initiator=False)
                return _ours(await self._noise.secure_inbound(channel), socket)
        except LinkDown as down:
            raise NotAuthenticated(down.reason) from down


def _ours(session: object, socket: Socket) -> NoiseSession:
    if not isinstance(session, SecureSession):
        raise HandshakeFailure(f"libp2p made a {type(session).__name__} of the handshake, not a SecureSession")
    return NoiseSession(session, socket)


def peer_of(session: NoiseSession) -> PeerId:
    """Who proved to be at the other end. Of a key that is not Ed25519 too: such a PeerId is on no list."""
    return PeerId(session.get_remote_peer().to_base58())


@dataclass(frozen=True, slots=True)
class Link:
    """A standing stream of bytes to an authenticated peer. One reader, one writer."""

    peer: PeerId
    socket: Socket
    _muxer: BoundedYamux
    _stream: YamuxStream

    async def receive(self, expected: int) -> bytearray:
        """The next bytes; `expected` is what a message under way still lacks. Raises `LinkDown` or `Misbehaved`."""
        with self._ended():
            return await self._muxer.receive(self._stream, expected)

    async def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """All parts, in order; waits while the peer does not read. Raises `LinkDown`."""
        with self._ended():
            for data in _joined(parts):
                await self._muxer.send(self._stream, data)

    @contextmanager
    def _ended(self) -> Iterator[None]:
        try:
            with _seam("the connection"):
                yield
        except LinkDown as down:
            if self._muxer.fault is None:
                raise
            raise Misbehaved(self._muxer.fault) from down


def _joined(parts: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    small: list[bytes | memoryview] = []
    for part in parts:
        if len(part) < _JOIN_BYTES:
            small.append(part)
            continue
        yield b"".join(small)
        small.clear()
        yield part
    yield b"".join(small)


@asynccontextmanager
async def open_link(session: NoiseSession, socket: Socket, *, opener: bool) -> AsyncIterator[Link]:
    """The message stream over `session`. `opener` dialled. Raises `LinkDown`; closes the socket at the end."""
    with _seam("choosing a multiplexer"):
        await _agree(session, YAMUX, propose=opener)
    muxer = BoundedYamux(session, session.get_remote_peer())
    failure: LinkDown | None = None
    async with trio.open_nursery() as nursery:
        try:
            nursery.start_soon(_run, muxer, socket)
            await muxer.event_started.wait()
            stream = await (_open_stream(muxer) if opener else _accept_stream(muxer))
            nursery.start_soon(_turn_away, muxer, socket)
            yield Link(peer_of(session), socket, muxer, stream)
        except LinkDown as down:  # raised below, for a nursery would wrap it in a group
            failure = down
        finally:
            socket.shut()
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _run(muxer: BoundedYamux, socket: Socket) -> None:
    """Run libp2p's engine until it stops, in whatever way: what it raises ends this connection and nothing else."""
    try:
        with suppress(LinkDown), _seam("multiplexing"):
            await muxer.start()
    finally:
        muxer.event_started.set()  # where it stopped before it began, nobody shall wait for it
        muxer.end()
        socket.shut()


async def _open_stream(muxer: BoundedYamux) -> YamuxStream:
    with _seam("opening the message stream"):
        stream = await muxer.open_stream()
        await _agree(stream, PROTOCOL, propose=True)
        return stream


async def _accept_stream(muxer: BoundedYamux) -> YamuxStream:
    with _seam("waiting for the message stream"):
        for _ in range(_STRAY_STREAMS):
            stream = cast(YamuxStream, await muxer.accept_stream())  # libp2p types it by its interface
            try:
                with _seam("a stream"):
                    await _agree(stream, PROTOCOL, propose=False)
            except LinkDown:
                await stream.reset()
            else:
                return stream
    raise Misbehaved(f"opened {_STRAY_STREAMS} streams, and none speaks {PROTOCOL}")


async def _turn_away(muxer: BoundedYamux, socket: Socket) -> None:
    """Reset the streams that a peer opens beside the message stream; many of them end the connection."""
    with suppress(LinkDown), _seam("turning a stream away"):
        for _ in range(_STRAY_STREAMS):
            await (await muxer.accept_stream()).reset()
        muxer.fault = f"opened more than {_STRAY_STREAMS} streams beside the message stream"
    muxer.end()
    socket.shut()
