"""The implementations of `Transport` that the conformance suite is run on, behind one handle each.

To plug one in: subclass `Swarm`, write an async context manager that yields it, add it to `IMPLEMENTATIONS`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

import trio
from trio.abc import Clock
from trio.testing import MockClock

from crypto.identity import Identity, PeerId
from overlay.addresses import LOOPBACK
from overlay.libp2p_link import Authenticator, LinkDown, open_link
from overlay.libp2p_socket import Socket
from overlay.libp2p_transport import TransportLimits, open_libp2p_transport
from overlay.memory import Conditions, MemoryNetwork, open_memory_network
from overlay.transport import Transport
from overlay.wire import Greeting, Limits
from tests.overlay.cables import Cable

GREETING = Greeting(swarm=b"\x11" * 32, layout=b"\x22" * 32)

# Names in alphabetical order have PeerIds in ascending order, for an implementation may let the lower one dial:
# a test in which somebody must be seen to dial gives that part to the earlier name.
_NAMES = ("anna", "bert", "cleo", "dora", "emil", "finn")
_IDENTITIES = dict(
    zip(_NAMES, sorted((Identity.from_seed(bytes([i]) * 32) for i in range(6)), key=lambda i: i.peer_id), strict=True)
)


def identity(name: str) -> Identity:
    return _IDENTITIES[name]


def peer_id(name: str) -> PeerId:
    return _IDENTITIES[name].peer_id


@dataclass
class Swarm(ABC):
    """Nodes by name, and what may happen to them. Each transport is held open by a task of `nursery`."""

    nursery: trio.Nursery
    patience_s: float
    """By when a thing that must happen has happened, a silent loss and the dial after it included."""
    calm_s: float
    """How long to look before saying that nothing happens."""
    _leave: dict[str, tuple[trio.Event, trio.Event]] = field(default_factory=dict)

    @abstractmethod
    def opener(
        self, name: str, admitted: Collection[PeerId], greeting: Greeting, limits: Limits
    ) -> AbstractAsyncContextManager[Transport]:
        """The implementation's own context manager."""

    @abstractmethod
    async def crash(self, name: str) -> None:
        """The node vanishes, with no goodbye on the wire. It may be opened again."""

    @abstractmethod
    async def cut(self, one: str, other: str) -> None:
        """Nothing passes between the two any more, and neither is told: a half-open connection."""

    @abstractmethod
    async def mend(self, one: str, other: str) -> None:
        """Undo `cut`."""

    @abstractmethod
    async def intrude(self, name: str, target: str, data: bytes) -> None:
        """With the identity of `name`, which is not open, connect to `target`, send `data` as the first bytes of the
        message stream, then stay silent until `target` hangs up or the test ends. Returns when connected or refused."""

    async def open(
        self,
        name: str,
        *admitted: str,
        greeting: Greeting = GREETING,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> Transport:
        peers = [peer_id(other) for other in admitted]
        return await self.nursery.start(self._hold, name, self.opener(name, peers, greeting, limits))

    async def close(self, name: str) -> None:
        leave, left = self._leave.pop(name)
        leave.set()
        await left.wait()

    async def _hold(
        self,
        name: str,
        opener: AbstractAsyncContextManager[Transport],
        task_status: trio.TaskStatus[Transport] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        leave, left = self._leave[name] = trio.Event(), trio.Event()
        try:
            async with opener as transport:
                task_status.started(transport)
                await leave.wait()
        finally:
            left.set()


@dataclass
class MemorySwarm(Swarm):
    network: MemoryNetwork = field(kw_only=True)

    def opener(self, name, admitted, greeting, limits):
        return self.network.open(peer_id(name), admitted, greeting, limits=limits)

    async def crash(self, name):
        self.network.crash(peer_id(name))
        await self.close(name)

    async def cut(self, one, other):
        self.network.cut(peer_id(one), peer_id(other))

    async def mend(self, one, other):
        self.network.mend(peer_id(one), peer_id(other))

    async def intrude(self, name, target, data):
        opener = self.network.open(peer_id(name), [peer_id(target)], GREETING, raw_hello=data)
        await self.nursery.start(self._hold, name, opener)
        await trio.sleep(0.9)  # in virtual time, and longer than a redial takes
        await self.crash(name)


@asynccontextmanager
async def open_memory_swarm() -> AsyncIterator[MemorySwarm]:
    conditions = Conditions(latency_s=0.01, jitter_s=0.02, detection_s=3.0, redial_s=0.5)
    async with open_memory_network(7, conditions) as network, trio.open_nursery() as nursery:
        yield MemorySwarm(nursery, patience_s=10.0, calm_s=10.0, network=network)
        nursery.cancel_scope.cancel()


class _CableBook:
    """What one node knows: of whom it dials, the near end of the cable that leads there."""

    def __init__(self, swarm: Libp2pSwarm, name: str) -> None:
        self._swarm = swarm
        self._name = name

    def publish(self, peer_id: PeerId, address: str) -> None:
        raise NotImplementedError

    def lookup(self, peer_id: PeerId) -> str | None:
        other = next(name for name in _NAMES if identity(name).peer_id == peer_id)
        cable = self._swarm.cables.get(frozenset((self._name, other)))
        listening = other in self._swarm.ports
        return f"/ip4/127.0.0.1/tcp/{cable.port}/p2p/{peer_id}" if cable and listening else None


@dataclass
class Libp2pSwarm(Swarm):
    """Real sockets on this machine, with a cable between each two nodes."""

    cables: dict[frozenset[str], Cable] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def opener(self, name, admitted, greeting, limits):
        for other in _NAMES[_NAMES.index(name) + 1 :]:  # whom it may dial
            await self._lay(name, other)
        book, quick, rng = _CableBook(self, name), replace(QUICK, wire=limits), random.Random(name)
        async with open_libp2p_transport(
            identity(name), LOOPBACK, admitted, book, greeting, limits=quick, rng=rng
        ) as transport:
            self.ports[name] = int(transport.address.split("/")[4])
            try:
                yield transport
            finally:
                self.ports.pop(name, None)

    async def crash(self, name):
        for pair, cable in self.cables.items():
            if name in pair:
                cable.abandon()
        await self.close(name)

    async def cut(self, one, other):
        self.cables[frozenset((one, other))].cut()

    async def mend(self, one, other):
        self.cables[frozenset((one, other))].mend()

    async def intrude(self, name, target, data):
        await self.nursery.start(self._intrude, name, target, data)

    async def _intrude(self, name, target, data, task_status):
        stream = await trio.open_tcp_stream("127.0.0.1", self.ports[target])
        socket = Socket(stream, "", is_initiator=True, silence_s=QUICK.silence_s)
        told = False
        try:
            session = await Authenticator(identity(name)).outbound(socket, peer_id(target))
            async with open_link(session, socket, opener=True) as link:
                await link.send([data])
                task_status.started()
                told = True
                while True:
                    await link.receive(1)
        except LinkDown:
            if not told:
                task_status.started()
        finally:
            socket.shut()

    async def _lay(self, one, other):
        pair = frozenset((one, other))
        if pair not in self.cables:
            self.cables[pair] = await self.nursery.start(Cable(lambda: self.ports.get(other)).run)


QUICK = TransportLimits(
    ping_every_s=0.2,
    silence_s=1.0,
    upgrade_s=1.0,
    redial_first_s=0.05,
    redial_most_s=0.3,
    lookup_every_s=0.05,
    refusals_every_s=0.1,
)
"""As a plant would set them, in a tenth of the time."""


@asynccontextmanager
async def open_libp2p_swarm() -> AsyncIterator[Libp2pSwarm]:
    async with trio.open_nursery() as nursery:
        yield Libp2pSwarm(nursery, patience_s=20.0, calm_s=0.5)
        nursery.cancel_scope.cancel()


@dataclass(frozen=True)
class Implementation:
    open: Callable[[], AbstractAsyncContextManager[Swarm]]
    clock: Callable[[], Clock | None]
    """Of the trio run; None for real time, which sockets need."""


IMPLEMENTATIONS = {
    "memory": Implementation(open_memory_swarm, lambda: MockClock(autojump_threshold=0)),
    "libp2p": Implementation(open_libp2p_swarm, lambda: None),
}
