"""What a node hears between and during its rounds: who is up, who speaks of which round, and to whom it goes on.

    transport ──► Hearing ──► the round in play (open or private), the mailbox for later ones, liveness, the journal

One task hears at a time: whoever waits for something waits by hearing on, for a silent reader would stall its peers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from consensus.beacon_messages import Inventory, Rumour, SeedProof
from consensus.effects import Down, Heard, Letter, Up
from consensus.effects import Event as RoundEvent
from consensus.mailbox import Mailbox
from consensus.meeting_messages import ChannelKeyNotice, Standing
from consensus.messages import Contribution, Unchanged, Unheard
from consensus.relay_messages import Reached, Relayed
from crypto.identity import PeerId
from node.cell_transport import CellTransport
from node.open_driver import OpenDriver
from node.private_player import PrivatePlayer
from node.roster import Roster, Terms
from node.round_record import RoundRecord
from overlay.liveness import Liveness
from overlay.transport import Event as TransportEvent
from overlay.transport import PeerDown, PeerUp, Received, Refused, Transport
from overlay.wire import Greeting, Message, Ping, Pong

T = TypeVar("T")


class Hearing:
    """Takes the events of `transport`, one after another. `cells` is the transport, where it draws them."""

    def __init__(
        self,
        roster: Roster,
        terms: Terms,
        transport: Transport,
        book: RoundRecord,
        opened: OpenDriver,
        cells: CellTransport | None,
    ) -> None:
        mine = roster.order.index(roster.me)
        self.up: set[PeerId] = set()
        """Who can be reached."""
        self.liveness = Liveness(roster.peers)
        self.mailbox = Mailbox(
            roster.peers,
            rounds=terms.rounds,
            phases=len(terms.plan.phases_of(mine, 0)),
            committee=len(terms.plan.committee_of(mine, 0)) if cells is None else cells.neighbours,
            lead=terms.plan.lead,
        )
        self.number = 0
        """The round in play, or the next."""
        self.private: PrivatePlayer | None = None
        """Who plays private rounds; None where none are played."""
        self.resting: set[PeerId] = set()
        """Who says that it plays no rounds for now."""
        self._at_rest = False
        self._transport = transport
        self._book = book
        self._open = opened
        self._cells = cells

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def next(self) -> None:
        """Take one event."""
        self._hear(await self._transport.next_event())

    async def during(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`; hears meanwhile."""
        return (await self._until(work, lambda: False))[0]

    async def until(self, enough: Callable[[], bool], or_else: Callable[[], Awaitable[T]]) -> T | None:
        """Hear until `enough`, asked after each event, or until `or_else` is done: what that gave, else None."""
        results = await self._until(or_else, enough)
        return results[0] if results else None

    async def _until(self, work: Callable[[], Awaitable[T]], enough: Callable[[], bool]) -> list[T]:
        results: list[T] = []

        async def labour(scope: trio.CancelScope) -> None:
            results.append(await work())
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(labour, nursery.cancel_scope)
            while not (results or enough()):
                await self.next()
            nursery.cancel_scope.cancel()
        return results

    # --- what is known ----------------------------------------------------------------------------------------------

    def waited_for(self) -> frozenset[PeerId]:
        """The peers worth waiting for."""
        return self.liveness.waited_for() - self.resting

    def early(self, number: int, phases: int) -> list[Heard]:
        """The contributions that came before their round."""
        taken = [self.mailbox.take(number, phase) for phase in range(phases)]
        return [Heard(peer, early) for kept in taken for peer, early in kept.items()]

    # --- resting ----------------------------------------------------------------------------------------------------

    def rest(self, at_rest: bool) -> None:
        """Tell all peers whether we play rounds: nobody need wait for a node that somebody paused."""
        if at_rest != self._at_rest:
            self._at_rest = at_rest
            for peer in sorted(self.up):
                self._say_rest(peer)
            if at_rest and self._cells is not None:
                self._cells.sit_out()

    def _say_rest(self, peer: PeerId) -> None:
        # Where cells are drawn the transport says it, to who comes up too, until our next round.
        if self._cells is None:
            self._transport.send(peer, Reached.of(self.number, (), sits=self._at_rest))

    def _hear_rest(self, peer: PeerId, *, sits: bool) -> None:
        # In stars whom nobody took sits that round out; elsewhere only who is paused does.
        if sits and (self._cells is None or not self._cells.plan.apart):
            self.resting.add(peer)
            self._tell(Down(peer))
        else:
            # From its next word on it is waited for; in the round in play it still may be missing.
            self.resting.discard(peer)

    # --- hearing ----------------------------------------------------------------------------------------------------

    def _hear(self, event: TransportEvent) -> None:
        now = trio.current_time()
        match event:
            case Received(peer, message):
                self._hear_message(peer, message, now)
            case PeerUp(peer):
                self.up.add(peer)
                if self.private is not None:
                    self._transport.send(peer, self.private.guard.notice)
                if self._at_rest:
                    self._say_rest(peer)
                self.liveness.up(peer, now)
                self._book.connected(peer, len(self.up), now)
                self._tell(Up(peer))
                if peer not in self.liveness.waited_for():
                    self._tell(Down(peer))  # sent what it may have missed, and still not waited for
            case PeerDown(peer, reason):
                self.up.discard(peer)
                self.resting.discard(peer)
                self.liveness.down(peer, now)
                self._book.disconnected(peer, reason, len(self.up), now)
                self._tell(Down(peer))
            case Refused(peer, address, reason, count):
                self._book.refused(peer, address, reason, count)

    def _hear_message(self, peer: PeerId, message: Message, now: float) -> None:
        match message:
            case Contribution():
                self._hear_of(peer, message.round, now)
                self.mailbox.offer(peer, message)
                self._tell(Heard(peer, message))
            case Reached():
                self.mailbox.note(peer, message.round)
                self._hear_rest(peer, sits=bool(message.sits))
            case Unchanged() | Unheard():
                pass  # a `SparingTransport` says what they mean; the file asks for none
            case Greeting() | Ping() | Pong() | Relayed() | Rumour() | Inventory() | SeedProof():
                pass  # the transport's own messages end there, and those of cells that are drawn
            case _ if self.private is None:
                pass  # nobody was asked for anything private
            case ChannelKeyNotice():
                wrong = self.private.guard.take_key(peer, message)
                if wrong is not None:
                    self._book.fault(self.number, peer, wrong)
            case _:
                self._hear_letter(self.private, peer, message, now)

    def _hear_letter(self, private: PrivatePlayer, peer: PeerId, letter: Letter, now: float) -> None:
        if isinstance(letter, Standing):
            self.mailbox.note(peer, letter.round)
        self._hear_of(peer, letter.round, now)
        private.hear(peer, letter)

    def _hear_of(self, peer: PeerId, number: int, now: float) -> None:
        """`peer` speaks of round `number`. One that is always late is no reason to wait."""
        if number >= self.number:
            self.liveness.heard(peer, now)

    def _tell(self, event: RoundEvent) -> None:
        """Feed the round in play, a closed one too: it still answers peers that come back."""
        if self.private is not None:
            self.private.tell(event)
        self._open.tell(event)
