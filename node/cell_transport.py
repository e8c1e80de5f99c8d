"""A transport to all members of our cells, neighbours or not, and the beacon that draws the cells.

    the loop ──► CellTransport ──► neighbours                          directly
                     │    └─────► the centre of a star ──► a member    sealed and signed (`overlay.relay`)
                     └──► beacon ──► seeds ──► `plan`                  (`consensus.beacon`)

To the loop it is a transport as any other: members without an edge are up while the centre of the star that both are in
says that it reaches them, or, where no star has both, a neighbour that they could meet through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from consensus.adjacency import Adjacency
from consensus.beacon import Beacon, Posting
from consensus.beacon_messages import Inventory, Rumour, SeedProof
from consensus.effects import RoundMessage
from consensus.errors import RemoteFault
from consensus.meeting_messages import ChannelKeyNotice
from consensus.plan import Plan
from consensus.relay_messages import Reached, Relayed
from crypto.identity import PeerId
from node.guard import Guard
from overlay.relay import Arrived, Onward, Relay
from overlay.transport import Event, PeerDown, PeerUp, Received, Traffic, Transport
from overlay.wire import Message

BEACON_HASTE: Final = 4
"""By how much a deadline of the beacon is shorter than that of a round: nobody trains meanwhile."""
KEYS_EACH: Final = 4
"""New channel keys of one owner that are taken and passed on in `KEYS_EVERY_S`; an honest one rarely has two."""
KEYS_EVERY_S: Final = 60.0
MOST_FAULTS: Final = 256


class CellTransport:
    """Node `order[me]` of `graph`, over the open transport `below` to its neighbours. One task calls `next_event`."""

    def __init__(
        self,
        me: int,
        order: Sequence[PeerId],
        graph: Adjacency,
        plan: Plan,
        guard: Guard,
        below: Transport,
        *,
        swarm: bytes,
        deadline_s: float,
        first_round: int,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.plan = plan
        """With the seeds that are known."""
        self._me, self._order, self._graph = me, tuple(order), graph
        self._guard = guard
        self._below = below
        self._now = now
        self._neighbours = frozenset(self._order[node] for node in graph.of(me).tolist())
        self._ways = {peer: self._ways_to(peer) for peer in company(me, self._order, graph, plan) - self._neighbours}
        """Members without an edge → neighbours through which they might be met."""
        self._up: set[PeerId] = set()
        self._far_up: set[PeerId] = set()
        self._reached: dict[PeerId, int] = {}
        """By neighbour: its round."""
        self._sat_out: dict[PeerId, int] = {}
        """By neighbour: the last round that it sat out."""
        self._sits = False
        self._behind: dict[PeerId, frozenset[PeerId]] = {}
        """By neighbour: whom it says it can reach."""
        self._ready: deque[Event] = deque()
        # Bounded: between two rounds, which may be long, nobody asks for them.
        self._faults: deque[tuple[PeerId, str]] = deque(maxlen=MOST_FAULTS)
        self._keyed: dict[PeerId, list[float]] = {}
        """When the last keys of an owner were taken."""
        self._number = first_round
        signer = guard.hand.signer
        self._relay = Relay(
            me,
            self._order,
            self._neighbours,
            signer,
            guard.hand.channel_key,
            lambda: guard.public_keys,
            swarm=swarm,
            most_bytes=guard.most_bytes,
            room=guard.room,
        )
        self._beacon = Beacon(
            me,
            self._order,
            graph,
            signer,
            swarm=swarm,
            epoch_rounds=plan.seeds.epoch_rounds,
            deadline_s=deadline_s,
            first_round=first_round,
        )
        self._relay.reach(first_round, plan)

    # --- a transport ------------------------------------------------------------------------------------------------

    @property
    def peer_id(self) -> PeerId:
        """Our own."""
        return self._below.peer_id

    @property
    def address(self) -> str:
        """Where neighbours reach us."""
        return self._below.address

    def send(self, peer: PeerId, message: Message) -> None:
        """To a neighbour directly; to another member of our star through its centre. Raises `KeyError` for others."""
        if peer in self._neighbours:
            self._below.send(peer, message)
        elif peer not in self._ways:
            raise KeyError(peer)
        elif isinstance(message, RoundMessage):
            for onward in self._relay.send(peer, message):
                self._below.send(onward.peer, onward.message)
        # Channel keys, which are about no round, travel from neighbour to neighbour by themselves.

    async def next_event(self) -> Event:
        """The next event of a neighbour, or of a member behind one."""
        while not self._ready:
            with trio.move_on_at(self._beacon.wake_at(self._now())) as alarm:
                self._hear(await self._below.next_event())
            if alarm.cancelled_caught:
                self._post(self._beacon.advance(self._now()))
        return self._ready.popleft()

    def traffic(self) -> Mapping[PeerId, Traffic]:
        """Of neighbours: what goes through one is its traffic."""
        return self._below.traffic()

    # --- rounds -----------------------------------------------------------------------------------------------------

    def reach(self, number: int) -> None:
        """Round `number` begins."""
        self._number, self._sits = number, False
        self._announce()
        self._post(self._beacon.reach(number, self._now()))
        self._relay.reach(number, self.plan)
        self._refresh()

    @property
    def neighbours(self) -> int:
        """How many tell us where they are."""
        return len(self._neighbours)

    @property
    def up(self) -> frozenset[PeerId]:
        """Who can be reached, through whomever."""
        return frozenset(self._up | self._far_up)

    def behind(self) -> frozenset[PeerId]:
        """Neighbours that are about to reach our round: so close that who sits a round out may wait for them."""
        near = range(self._number - self.plan.lead, self._number)
        return frozenset(peer for peer, number in self._reached.items() if number in near)

    def sit_out(self) -> None:
        """We take no part in our round: members of our star need not wait for us."""
        self._sits = True
        self._announce()

    def lost(self) -> frozenset[PeerId]:
        """Neighbours that will take no part in our round: they say so, or are too far behind."""
        late = {peer for peer, number in self._reached.items() if number < self._number - self.plan.lead}
        return frozenset(late | {peer for peer, number in self._sat_out.items() if number == self._number})

    def faults(self) -> list[tuple[PeerId, str]]:
        """Who did what no honest peer does, since the last call."""
        found = list(self._faults)
        self._faults.clear()
        return found

    def failures(self) -> list[tuple[int, str]]:
        """Epochs that go on with an older seed, and why, since the last call."""
        found, self._beacon.failed = self._beacon.failed, []
        return found

    # --- hearing ----------------------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        match event:
            case Received(peer, Relayed() as relayed):
                self._hear_relayed(peer, relayed)
            case Received(peer, Rumour() | Inventory() | SeedProof() as message):
                self._post(self._beacon.hear(peer, message, self._now()))
            case Received(peer, ChannelKeyNotice() as notice):
                self._hear_key(peer, notice)
            case Received(peer, Reached() as reached):
                self._hear_reached(peer, reached)
                self._ready.append(event)
            case PeerUp(peer):
                self._up.add(peer)
                self._announce()
                self._ready.append(event)
                for notice in self._guard.notices:
                    if notice.owner not in (peer, self.peer_id):
                        self._below.send(peer, notice)
                self._post(self._beacon.up(peer, self._now()))
                self._refresh()
            case PeerDown(peer):
                self._up.discard(peer)
                self._reached.pop(peer, None)
                self._behind.pop(peer, None)
                self._announce()
                self._ready.append(event)
                self._refresh()
            case _:
                self._ready.append(event)

    def _hear_reached(self, peer: PeerId, reached: Reached) -> None:
        theirs = self._graph.of(self._order.index(peer)).tolist()
        found = zip(theirs, reached.reachable(len(theirs)), strict=True)
        self._reached[peer] = reached.round
        if reached.sits:
            self._sat_out[peer] = reached.round
        self._behind[peer] = frozenset(self._order[node] for node, up in found if up)
        self._refresh()

    def _announce(self) -> None:
        """Tell our neighbours where we are, and whom they can reach through us. All of them: members of a row of a grid
        that fell behind together would see nobody ahead but a minority.
        """
        mine = [self._order[node] in self._up for node in self._graph.of(self._me).tolist()]
        for peer in self._up:
            self._below.send(peer, Reached.of(self._number, mine, sits=self._sits))

    def _hear_relayed(self, peer: PeerId, relayed: Relayed) -> None:
        try:
            heard = self._relay.hear(peer, relayed)
        except RemoteFault as fault:
            self._faults.append((fault.culprit, fault.reason))
            return
        match heard:
            case Onward(target, message):
                self._below.send(target, message)
            case Arrived(origin, message) if origin in self._ways:
                if origin not in self._far_up:
                    self._rise(origin)
                self._ready.append(Received(origin, message))
            case _:
                pass

    def _hear_key(self, peer: PeerId, notice: ChannelKeyNotice) -> None:
        """Two edges away they have no other way of hearing of it."""
        now = self._now()
        taken = [at for at in self._keyed.get(notice.owner, ()) if now - at < KEYS_EVERY_S]
        if not self._guard.is_news(notice) or len(taken) >= KEYS_EACH:
            return
        wrong = self._guard.take_key(peer, notice)
        if wrong is not None:
            self._faults.append((peer, wrong))
            return
        self._keyed[notice.owner] = [*taken, now]
        for other in self._up - {peer, notice.owner}:
            self._below.send(other, notice)
        self._refresh()

    def _post(self, postings: Sequence[Posting]) -> None:
        for peer, message in postings:
            self._below.send(peer, message)
        for seed in self._beacon.learned:
            self.plan = self.plan.with_seed(seed.epoch, seed.value, seed.start)
            self._relay.reach(self._number, self.plan)
        self._faults += self._beacon.blamed
        self._beacon.learned, self._beacon.blamed = [], []

    # --- members behind neighbours ----------------------------------------------------------------------------------

    def _ways_to(self, peer: PeerId) -> frozenset[PeerId]:
        theirs = self._graph.of(self._order.index(peer)).tolist()
        return self._neighbours & {self._order[node] for node in theirs}

    def _refresh(self) -> None:
        keyed = self._guard.public_keys  # once: to gather them takes as long as all of the rest
        for peer, ways in self._ways.items():
            centre = self._relay.centre_for(peer, self._number)
            through = ways if centre is None else {centre}
            # Without its channel key nothing could be sealed for it.
            up = peer in keyed and any(peer in self._behind.get(way, ()) for way in through)
            if up and peer not in self._far_up:
                self._rise(peer)
            elif not up and peer in self._far_up:
                self._far_up.discard(peer)
                self._ready.append(PeerDown(peer, "no neighbour that we could meet through reaches it"))

    def _rise(self, peer: PeerId) -> None:
        self._far_up.add(peer)
        self._ready.append(PeerUp(peer))


def company(me: int, order: Sequence[PeerId], graph: Adjacency, plan: Plan) -> frozenset[PeerId]:
    """All whom node `me` may ever have to speak with, neighbours or not."""
    return frozenset(order[node] for node in {*graph.of(me).tolist(), *plan.company_of(me)})
