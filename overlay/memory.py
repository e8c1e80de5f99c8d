"""A swarm in one process: the transport of simulations and of most tests. Seeded, on trio's clock, without a socket.

    MemoryNetwork    who is open, which paths are cut, a heap of what happens when; one task delivers
    _Link            a pair of peers: dials, greets, notices the loss
    Lane             one direction of an established link: queue, bandwidth, latency, loss, wire format
    MemoryTransport  one node's end: the `Transport`

Chance comes from generators of the link's and the lane's own, and ties in time are broken by PeerId, so that neither
the order of tasks in trio's scheduler nor that of other pairs shows in a history.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from functools import partial

import trio

from crypto.identity import PeerId
from overlay.memory_end import Conditions, Lane, MemoryTransport, Wiring
from overlay.transport import Refused
from overlay.wire import Greeting, Limits

__all__ = ["Conditions", "MemoryNetwork", "MemoryTransport", "open_memory_network"]

_Ends = tuple[MemoryTransport, MemoryTransport]
_SILENT = "no sign of life"


@asynccontextmanager
async def open_memory_network(seed: int, conditions: Conditions = Conditions()) -> AsyncIterator[MemoryNetwork]:  # noqa: B008 - frozen
    """A network and the task that delivers. Close the transports before it."""
    network = MemoryNetwork(seed, conditions)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.deliver)
        yield network
        nursery.cancel_scope.cancel()


class MemoryNetwork:
    """The medium. Made by `open_memory_network`, which runs `deliver`."""

    def __init__(self, seed: int, conditions: Conditions) -> None:
        self.conditions = conditions
        self._seed = seed
        self._ends: dict[PeerId, MemoryTransport] = {}
        self._links: dict[tuple[PeerId, PeerId], _Link] = {}
        self._group_of: dict[PeerId, int] = {}
        self._cut: set[tuple[PeerId, PeerId]] = set()
        self._agenda: list[tuple[float, PeerId, PeerId, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._earlier = trio.Event()

    @asynccontextmanager
    async def open(
        self,
        peer_id: PeerId,
        admitted: Collection[PeerId],
        greeting: Greeting,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        outbox: int = 64,
        raw_hello: bytes | None = None,
    ) -> AsyncIterator[MemoryTransport]:
        """A node's end of the network. `outbox`: messages queued for a peer before the oldest is dropped.

        `raw_hello` replaces our greeting by any bytes, and has us accept any greeting: a hostile member.
        Raises `ValueError` where `peer_id` is open already.
        """
        if peer_id in self._ends:
            raise ValueError(f"{peer_id} is open already; one process at a time has an identity")
        end = MemoryTransport(peer_id, admitted, greeting, limits, outbox, raw_hello)
        self._ends[peer_id] = end
        for other in self._ends.values():
            if other is not end and (other.admits(peer_id) or end.admits(other.peer_id)):
                self._link(peer_id, other.peer_id).meet_anew()
        try:
            yield end
        finally:
            if self._ends.get(peer_id) is end:
                self._leave(peer_id, "closed by the peer", self.conditions.latency_s)

    def crash(self, peer: PeerId) -> None:
        """`peer` vanishes with no goodbye: others notice in `detection_s`, its own transport falls silent for ever.

        Raises `KeyError` where it is not open. It may be opened again before its old context is left.
        """
        self._leave(peer, _SILENT, self.conditions.detection_s)

    def cut(self, one: PeerId, other: PeerId) -> None:
        """Nothing passes between the two from now on, and neither is told."""
        self._cut.add(_pair(one, other))
        self._reconsider()

    def mend(self, one: PeerId, other: PeerId) -> None:
        """Undo `cut`."""
        self._cut.discard(_pair(one, other))
        self._reconsider()

    def partition(self, groups: Iterable[Collection[PeerId]]) -> None:
        """Nothing passes between groups. Replaces an earlier partition; peers that are not named are one more group."""
        self._group_of = {peer: number for number, group in enumerate(groups) for peer in group}
        self._reconsider()

    def heal(self) -> None:
        """Undo `partition` and every `cut`."""
        self._group_of = {}
        self._cut.clear()
        self._reconsider()

    def ends_of(self, one: PeerId, other: PeerId) -> _Ends | None:
        """The two transports where both are open and a path is between them."""
        a, b = self._ends.get(one), self._ends.get(other)
        apart = self._group_of.get(one, -1) != self._group_of.get(other, -1) or _pair(one, other) in self._cut
        return None if a is None or b is None or apart else (a, b)

    def at(self, source: PeerId, target: PeerId, time: float, action: Callable[[], None]) -> None:
        """Call `action` at `time` on trio's clock. Of what is due at once, the pair decides the order."""
        heapq.heappush(self._agenda, (time, source, target, next(self._sequence), action))
        if self._agenda[0][0] == time:
            self._earlier.set()

    def rng(self, *names: object) -> random.Random:
        """A generator that depends on the seed and `names` alone."""
        return random.Random("/".join(map(str, (self._seed, *names))))

    async def deliver(self) -> None:
        """Do what the agenda says when it is due. Runs until cancelled."""
        while True:
            self._earlier = trio.Event()
            while self._agenda and self._agenda[0][0] <= trio.current_time():
                heapq.heappop(self._agenda)[-1]()
            with trio.move_on_at(self._agenda[0][0] if self._agenda else math.inf):
                await self._earlier.wait()

    def _link(self, one: PeerId, other: PeerId) -> _Link:
        pair = _pair(one, other)
        if pair not in self._links:
            self._links[pair] = _Link(self, pair)
        return self._links[pair]

    def _leave(self, peer: PeerId, reason: str, noticed_in_s: float) -> None:
        self._ends.pop(peer).leave()
        for pair, link in self._links.items():
            if peer in pair:
                link.reconsider(reason, noticed_in_s)

    def _reconsider(self) -> None:
        for link in self._links.values():
            link.reconsider(_SILENT, self.conditions.detection_s)


class _Link:
    """What stands between a pair of peers: nothing, a dial, or a lane each way."""

    def __init__(self, network: MemoryNetwork, pair: tuple[PeerId, PeerId]) -> None:
        self._network = network
        self._pair = pair
        self._rng = network.rng("link", *pair)
        self._lanes: tuple[Lane, ...] = ()
        self._connections = 0
        self._dialling = False
        self._refused = False
        self._loss = 0  # numbers the losses, so that the notice of one that was mended in time finds another number

    def meet_anew(self) -> None:
        """One of the two has just opened: what was refused before may pass now."""
        again = self._connections > 0
        self._refused = False
        self._dial(self._redial_s() if again else 0.0)

    def reconsider(self, reason: str, noticed_in_s: float) -> None:
        """The path or an end has changed."""
        ends = self._network.ends_of(*self._pair)
        if not self._lanes:
            if ends is not None:
                self._dial(self._redial_s())
            return
        whole = ends is not None and all(lane.source in ends for lane in self._lanes)
        if whole == self._lanes[0].flowing:
            return
        for lane in self._lanes:
            lane.flow(whole)
        self._loss += 1
        if not whole:
            self._in(noticed_in_s, partial(self._notice, self._loss, reason))

    def refuse(self, end: MemoryTransport, peer: MemoryTransport, reason: str) -> None:
        """`end` turns `peer` away, and hangs up where a connection stood."""
        end.inbox.put(Refused(peer.peer_id, peer.address, reason))
        if self._lanes:
            self._drop("its messages break the wire format")
            self._dial(self._redial_s())

    def _in(self, delay_s: float, action: Callable[[], None]) -> None:
        self._network.at(*self._pair, trio.current_time() + delay_s, action)

    def _redial_s(self) -> float:
        return self._network.conditions.redial_s * self._rng.uniform(0.5, 1.5)

    def _dial(self, wait_s: float) -> None:
        if self._dialling or self._refused:
            return
        self._dialling = True
        round_trip_s = sum(self._network.conditions.delay(self._rng) for _ in range(2))
        self._in(wait_s + round_trip_s, partial(self._meet, round_trip_s))

    def _meet(self, round_trip_s: float) -> None:
        self._dialling = False
        ends = self._network.ends_of(*self._pair)
        if ends is None:  # cut or closed since; `reconsider` dials again
            return
        if self._lanes:
            if all(lane.source in ends for lane in self._lanes):
                return
            self._drop("the peer restarted")
        strangers = [(one, other) for one, other in (ends, ends[::-1]) if not one.admits(other.peer_id)]
        for one, other in strangers:
            self._refused = True
            self.refuse(one, other, "a stranger: its PeerId is not on the peer list")
        if not strangers:
            self._greet(ends, round_trip_s)

    def _greet(self, ends: _Ends, round_trip_s: float) -> None:
        self._connections += 1
        there, back = (self._lane(one, other) for one, other in (ends, ends[::-1]))
        welcomes = (there.greet(), back.greet())  # both, before either is told: each side reports what it refuses
        if welcomes[0] is None or welcomes[1] is None:
            self._refused = True
            return
        self._lanes = (there, back)
        there.source.up(there.target.peer_id, there, back, round_trip_s)
        back.source.up(back.target.peer_id, back, there, round_trip_s)
        for lane, messages in zip(self._lanes, welcomes, strict=True):
            if lane.flowing:  # not where the other lane's first messages were refused
                lane.hand_over(messages or [])

    def _lane(self, source: MemoryTransport, target: MemoryTransport) -> Lane:
        network = self._network
        rng = network.rng("lane", self._connections, source.peer_id, target.peer_id)
        at = partial(network.at, source.peer_id, target.peer_id)
        return source.lane_to(target, Wiring(network.conditions, rng, at, self.refuse))

    def _notice(self, loss: int, reason: str) -> None:
        if self._lanes and loss == self._loss:
            self._drop(reason)
            if self._network.ends_of(*self._pair) is not None:
                self._dial(self._redial_s())

    def _drop(self, reason: str) -> None:
        lanes, self._lanes = self._lanes, ()
        self._loss += 1
        for lane in lanes:
            lane.source.down(lane.target.peer_id, reason)


def _pair(one: PeerId, other: PeerId) -> tuple[PeerId, PeerId]:
    return (one, other) if one < other else (other, one)
