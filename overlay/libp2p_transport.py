"""The `Transport` of real devices: libp2p over TCP, with Noise and yamux and nothing else, for admitted peers alone.

    libp2p_door        who may try to prove an identity; how often refusals are told
    libp2p_socket      a TCP connection, metered and bounded
    libp2p_link        from a TCP connection to an authenticated stream: the only place that knows libp2p's exceptions
    libp2p_noise, _yamux   the hardened layers that it is built of
    libp2p_session     greeting, messages, heartbeats
    libp2p_neighbour   one admitted peer across its connections
    libp2p_transport   this: listen, dial, and who is told

Of two peers the one with the lower PeerId dials, so that one connection stands between them.
"""

from __future__ import annotations

import errno
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import trio

from crypto.identity import Identity, PeerId
from overlay.addresses import Address
from overlay.discovery import AddressBook
from overlay.inbox import Inbox
from overlay.libp2p_door import TOO_MANY, Door, Knock, RefusalLog
from overlay.libp2p_limits import TransportLimits
from overlay.libp2p_link import Authenticator, LinkDown, Misbehaved, NotAuthenticated, WrongIdentity, open_link, peer_of
from overlay.libp2p_neighbour import Neighbour
from overlay.libp2p_noise import NoiseSession
from overlay.libp2p_socket import Socket, remote_host, shut_stream
from overlay.transport import Event, Traffic, Transport
from overlay.wire import Greeting, Message, Ping, Pong

__all__ = ["TransportLimits", "open_libp2p_transport"]

STRANGER: Final = "a stranger: its PeerId is not on the peer list"
NO_HANDSHAKE: Final = "no libp2p handshake"
WRONG_WAY: Final = "dialled us, though the lower PeerId dials"
NO_FILES: Final = "this process has no file descriptors left: raise its limit (ulimit -n)"

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_EXHAUSTED_S: Final = 0.1


@asynccontextmanager
async def open_libp2p_transport(
    identity: Identity,
    listen: str,
    admitted: Collection[PeerId],
    book: AddressBook,
    greeting: Greeting,
    *,
    limits: TransportLimits = TransportLimits(),  # noqa: B008 - frozen
    rng: random.Random,
) -> AsyncIterator[Transport]:
    """Listen at the multiaddr `listen` and keep a connection to each of `admitted`.

    Publishing `Transport.address` in the book is the caller's. `rng` spreads dials in time.
    Raises `ValueError` for an address of another form, `OSError` where we cannot listen there.
    """
    place = Address.parse(listen)
    listeners = await _listeners(place)
    port: int = listeners[0].socket.getsockname()[1]
    transport = _Libp2pTransport(identity, replace(place, port=port), admitted, book, greeting, limits, rng)
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(transport.listen, listener)
        for neighbour in transport.to_dial():
            nursery.start_soon(transport.keep_dialled, neighbour)
        nursery.start_soon(transport.tell_refusals)
        try:
            yield transport
        finally:
            nursery.cancel_scope.cancel()


async def _listeners(place: Address) -> Sequence[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(place.port, host=place.host)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot listen at {place}: {error.strerror or error}; "
            "is it this device's own address, and no other node at this port?",
        ) from error


class _Libp2pTransport:
    """As `Transport`; the other public methods are the tasks of `open_libp2p_transport`."""

    def __init__(
        self,
        identity: Identity,
        place: Address,
        admitted: Collection[PeerId],
        book: AddressBook,
        greeting: Greeting,
        limits: TransportLimits,
        rng: random.Random,
    ) -> None:
        self._peer_id = identity.peer_id
        self._address = f"{place}/p2p/{identity.peer_id}"
        self._authenticator = Authenticator(identity)
        self._book = book
        self._limits = limits
        self._rng = rng
        self._inbox = Inbox(lambda peer: self._neighbours[peer].fetched())
        self._log = RefusalLog(self._inbox.put, trio.current_time, limits.refusals_every_s)
        self._door = Door(limits)
        self._half_open: dict[Knock, trio.CancelScope] = {}
        self._neighbours = {
            peer: Neighbour(peer, greeting, limits, self._inbox, self._log)
            for peer in sorted(set(admitted) - {identity.peer_id})
        }

    @property
    def peer_id(self) -> PeerId:
        """As `Transport.peer_id`."""
        return self._peer_id

    @property
    def address(self) -> str:
        """As `Transport.address`."""
        return self._address

    def send(self, peer: PeerId, message: Message) -> None:
        """As `Transport.send`."""
        if isinstance(message, Greeting | Ping | Pong):
            raise ValueError(f"{type(message).__name__} is the transport's own message")  # noqa: TRY004
        try:
            neighbour = self._neighbours[peer]
        except KeyError:
            raise KeyError(f"{peer} is not on the admission list of {self._peer_id}") from None
        neighbour.send(message)

    async def next_event(self) -> Event:
        """As `Transport.next_event`."""
        return await self._inbox.get()

    def traffic(self) -> Mapping[PeerId, Traffic]:
        """As `Transport.traffic`."""
        return {peer: neighbour.traffic() for peer, neighbour in self._neighbours.items()}

    # Tasks.

    async def tell_refusals(self) -> None:
        """Once in a while, sum up the refusals of a flood."""
        while True:
            await trio.sleep(self._limits.refusals_every_s)
            self._log.flush()

    async def listen(self, listener: trio.SocketListener) -> None:
        """Accept connections; most of a flood is turned away here, before it costs a task."""
        async with listener, trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _EXHAUSTED:
                        raise
                    self._log.refuse(None, str(self._address), NO_FILES)
                    await trio.sleep(_EXHAUSTED_S)
                    continue
                self._answer(stream, nursery)

    def _answer(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        where = remote_host(stream)
        if where is None:
            return shut_stream(stream, reset=True)
        host, address = where
        place, victim, reason = self._door.knock(host, trio.current_time())
        if victim is not None:
            self._half_open[victim].cancel()
        if place is None:
            self._log.refuse(None, address, reason)
            return shut_stream(stream, reset=True)
        self._half_open[place] = trio.CancelScope()
        socket = Socket(stream, address, is_initiator=False, silence_s=self._limits.silence_s)
        return nursery.start_soon(self._take_up, socket, place)

    async def _take_up(self, socket: Socket, place: Knock) -> None:
        """One inbound connection, from its first byte to its last."""
        try:
            session = await self._identify(socket, place)
            if session is None:
                return
            neighbour = self._neighbours.get(peer_of(session))
            if neighbour is None:
                self._log.refuse(peer_of(session), socket.address, STRANGER)
            elif neighbour.peer > self._peer_id:
                self._log.refuse(neighbour.peer, socket.address, WRONG_WAY)
            else:
                await self._converse(session, socket, neighbour)
        finally:
            socket.shut()

    async def _identify(self, socket: Socket, place: Knock) -> NoiseSession | None:
        """The session with whoever proves an identity in time."""
        session: NoiseSession | None = None
        refusal = TOO_MANY  # where somebody newer takes its place
        try:
            with self._half_open[place], trio.move_on_after(self._limits.upgrade_s) as patience:
                session = await self._authenticator.inbound(socket)
            if patience.cancelled_caught:
                refusal = f"proved no identity within {self._limits.upgrade_s:g} s"
        except NotAuthenticated:
            refusal = NO_HANDSHAKE
        finally:
            self._door.leave(place)
            del self._half_open[place]
        if session is None:
            self._log.refuse(None, socket.address, refusal)
            socket.shut(reset=True)
        return session

    async def _converse(self, session: NoiseSession, socket: Socket, neighbour: Neighbour) -> float:
        """The message stream with an admitted peer, and what is said over it; how long that stood, in seconds."""
        stood_s = 0.0
        socket.charge(neighbour.meter)
        try:
            with trio.move_on_after(self._limits.upgrade_s) as patience:
                async with open_link(session, socket, opener=socket.is_initiator) as link:
                    patience.deadline = float("inf")
                    stood_s = await neighbour.talk(link)
        except Misbehaved as down:
            self._log.refuse(neighbour.peer, socket.address, down.reason)
        except LinkDown:
            pass  # it went away before it was up: nobody was told of it
        if patience.cancelled_caught and not socket.is_initiator:
            reason = f"opened no message stream within {self._limits.upgrade_s:g} s"
            self._log.refuse(neighbour.peer, socket.address, reason)
        return stood_s

    def to_dial(self) -> list[Neighbour]:
        """Whom this side dials."""
        return [neighbour for peer, neighbour in self._neighbours.items() if self._peer_id < peer]

    async def keep_dialled(self, neighbour: Neighbour) -> None:
        """Dial, for ever, with back-off; an address is looked up afresh each time."""
        delay_s = self._limits.redial_first_s
        while True:
            address = self._book.lookup(neighbour.peer)
            stood_s = 0.0 if address is None else await self._dial(neighbour, address)
            if stood_s > delay_s:
                delay_s = self._limits.redial_first_s
            moved = await self._back_off(neighbour.peer, address, delay_s * self._rng.uniform(0.5, 1.0))
            delay_s = self._limits.redial_first_s if moved else min(2 * delay_s, self._limits.redial_most_s)

    async def _back_off(self, peer: PeerId, address: str | None, delay_s: float) -> bool:
        """Wait `delay_s`, or less where the book has a new address meanwhile; whether it has."""
        until = trio.current_time() + delay_s
        while (now := trio.current_time()) < until:
            await trio.sleep(min(until - now, self._limits.lookup_every_s))
            if self._book.lookup(peer) != address:
                return True
        return False

    async def _dial(self, neighbour: Neighbour, address: str) -> float:
        """One attempt, and the conversation that comes of it; how long that stood, in seconds."""
        place = Address.parse(address.partition("/p2p/")[0])
        try:
            with trio.move_on_after(self._limits.upgrade_s) as patience:
                stream = await trio.open_tcp_stream(place.host, place.port)
        except OSError:
            return 0.0  # nobody listens there now
        if patience.cancelled_caught:
            return 0.0
        socket = Socket(stream, address, is_initiator=True, silence_s=self._limits.silence_s)
        try:
            with trio.move_on_after(self._limits.upgrade_s) as patience:
                session = await self._authenticator.outbound(socket, neighbour.peer)
            return 0.0 if patience.cancelled_caught else await self._converse(session, socket, neighbour)
        except WrongIdentity as down:
            self._log.refuse(None, address, down.reason)
        except LinkDown:
            pass  # it turned us away, or went: dialled again later
        finally:
            socket.shut()
        return 0.0
