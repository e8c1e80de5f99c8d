"""The centre of a star passes messages between members that have no edge; it learns who speaks when, and how much.

    origin ── Relayed: sealed for the target, signed by the origin ──► centre ──► target

**What a lying centre can do**: keep messages back, or delay and reorder them, which costs the round as a crash of its
members would. Not: read them (sealed for the target's channel key), make or alter them (the origin's signature covers
swarm, both ends, round, number and body), or repeat them (the target takes each number of a round once). An honest
centre passes on only what its own neighbour signed, to a member of the star that both are in, in the round that it
plays or one of the few around it, once, and within bounds of number and bytes. A message that arrives with a wrong
signature was altered by the neighbour that it came from, who is named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consensus.effects import RoundMessage
from consensus.errors import RemoteFault
from consensus.plan import Plan
from consensus.relay_messages import MESSAGES_EACH, Relayed, relayed_statement
from consensus.signer import Signer
from crypto.identity import PeerId
from crypto.passage import OVERHEAD_BYTES, Receiver, Sender
from crypto.sealing import WRAPPED_BYTES, BoxContext, ChannelKey, SealingError
from overlay.wire import Decoder, Limits, WireError, encode

FRAME_BYTES: Final = OVERHEAD_BYTES + 16 + 4096
"""What a relayed message is longer by than the body of what is in it, at most."""


@dataclass(frozen=True, slots=True)
class Onward:
    """Pass `message` on to the neighbour `peer`."""

    peer: PeerId
    message: Relayed


@dataclass(frozen=True, slots=True)
class Arrived:
    """`origin` said this to us."""

    origin: PeerId
    message: RoundMessage


@dataclass(slots=True)
class _Flow:
    """What came of one member for another in one round."""

    seen: int = 0
    """A bit a number."""
    bytes_: int = 0

    def admits(self, sequence: int, size: int, room: int) -> bool:
        """Whether it is new, and within bounds; counts it."""
        bit = 1 << sequence
        if not 0 <= sequence < MESSAGES_EACH or self.seen & bit or self.bytes_ + size > room:
            return False
        self.seen |= bit
        self.bytes_ += size
        return True


class Relay:
    """Both ends and the middle, as node `order[me]`. `keys` gives the channel keys known at the moment, by owner.

    `most_bytes` bounds the body of an inner message, `room` those of one member for another in one round.
    """

    def __init__(
        self,
        me: int,
        order: Sequence[PeerId],
        neighbours: Collection[PeerId],
        signer: Signer,
        channel_key: ChannelKey,
        keys: Callable[[], Mapping[PeerId, bytes]],
        *,
        swarm: bytes,
        most_bytes: int,
        room: int,
    ) -> None:
        self._me = me
        self._order = tuple(order)
        self._places = {peer: place for place, peer in enumerate(self._order)}
        self._neighbours = frozenset(neighbours)
        self._signer = signer
        self._channel_key = channel_key
        self._keys = keys
        self._swarm = swarm
        self._limits = Limits(max_body=most_bytes)
        self._room = room + MESSAGES_EACH * FRAME_BYTES
        self._plan: Plan | None = None
        self._number = 0
        self._flows: dict[tuple[int, int, int], _Flow] = {}
        self._sending: dict[tuple[int, PeerId], tuple[bytes, Sender]] = {}
        """By round and peer: its channel key, and the session."""
        self._sent: dict[tuple[int, PeerId], int] = {}
        self._hearing: dict[tuple[int, int], tuple[bytes, Receiver]] = {}
        """By round and origin: the wrapped key of its session, and the session."""

    def reach(self, number: int, plan: Plan) -> None:
        """Round `number` of `plan` begins here."""
        self._plan, self._number = plan, number
        self._flows = {key: flow for key, flow in self._flows.items() if self._near(key[0])}
        self._sending = {key: one for key, one in self._sending.items() if self._near(key[0])}
        self._sent = {key: count for key, count in self._sent.items() if self._near(key[0])}
        self._hearing = {key: one for key, one in self._hearing.items() if self._near(key[0])}

    def centre_for(self, peer: PeerId, number: int) -> PeerId | None:
        """The neighbour through which `peer` is reached in round `number`; None where no star has us both."""
        if self._plan is None or peer not in self._places:
            return None
        if self._places[peer] not in self._plan.cell_of(self._me, number):
            return None
        centre = self._plan.centre_of(self._me, number)
        return None if centre is None or centre == self._me else self._order[centre]

    def send(self, peer: PeerId, message: RoundMessage) -> list[Onward]:
        """What to send so that `peer`, no neighbour of ours, hears `message`; nothing where there is no way now.

        Messages are best effort: without the peer's channel key, or beyond the bounds that its centre keeps, none goes.
        """
        number = message.round
        via = self.centre_for(peer, number) if self._near(number) else None
        public = self._keys().get(peer)
        if via is None or public is None:
            return []
        sequence = self._sent.get((number, peer), 0)
        if sequence >= MESSAGES_EACH:
            return []
        self._sent[(number, peer)] = sequence + 1
        head, body = encode(message)
        sealed = self._sender(number, peer, public).seal(head + bytes(body), sequence)
        statement = relayed_statement(self._swarm, self._order[self._me], peer, number, sequence, sealed)
        signature = self._signer.sign(statement)
        return [Onward(via, Relayed(number, self._me, self._places[peer], sequence, signature, sealed))]

    def hear(self, neighbour: PeerId, relayed: Relayed) -> Onward | Arrived | None:
        """What to do about a message that `neighbour` sent; None: nothing. Raises `RemoteFault` for what no honest
        neighbour, or no honest origin, sends.
        """
        plan = self._plan
        if plan is None or not self._near(relayed.round) or max(relayed.origin, relayed.target) >= len(self._order):
            return None
        cell = plan.cell_of(relayed.origin, relayed.round)
        centre = plan.centre_of(relayed.origin, relayed.round)
        # Nodes that do not know of a new seed yet draw other stars: no reason to blame anybody.
        if centre is None or relayed.target not in cell or relayed.origin == relayed.target:
            return None
        origin = self._order[relayed.origin]
        if centre == self._me:
            return self._pass_on(neighbour, origin, relayed)
        if relayed.target != self._me or self._order[centre] != neighbour:
            return None
        return self._take(neighbour, origin, relayed)

    # --- the middle -------------------------------------------------------------------------------------------------

    def _pass_on(self, neighbour: PeerId, origin: PeerId, relayed: Relayed) -> Onward | None:
        target = self._order[relayed.target]
        if neighbour != origin or target not in self._neighbours:
            return None
        if not self._flow(relayed).admits(relayed.sequence, len(relayed.body), self._room):
            return None
        self._check(neighbour, origin, relayed)
        return Onward(target, relayed)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _take(self, neighbour: PeerId, origin: PeerId, relayed: Relayed) -> Arrived | None:
        if relayed.sequence >= MESSAGES_EACH or self._flow(relayed).seen >> relayed.sequence & 1:
            return None
        self._check(neighbour, origin, relayed)
        if not self._flow(relayed).admits(relayed.sequence, len(relayed.body), self._room):
            return None
        try:
            frame = self._open(origin, relayed)
        except SealingError:
            return None  # sealed for a channel key that we had before
        return Arrived(origin, self._read(origin, relayed.round, frame))

    def _read(self, origin: PeerId, number: int, frame: bytes) -> RoundMessage:
        try:
            messages = Decoder(self._limits).receive(frame)
        except WireError as error:
            raise RemoteFault(origin, f"relayed bytes that are no message: {error}") from error
        inner = messages[0] if len(messages) == 1 else None
        if not isinstance(inner, RoundMessage) or inner.round != number:
            raise RemoteFault(origin, f"relayed something else than one message about round {number}")
        return inner

    # --- small things -----------------------------------------------------------------------------------------------

    def _near(self, number: int) -> bool:
        """Who sat out a few rounds is ahead of its star."""
        return self._plan is not None and abs(number - self._number) <= self._plan.lead

    def _flow(self, relayed: Relayed) -> _Flow:
        return self._flows.setdefault((relayed.round, relayed.origin, relayed.target), _Flow())

    def _check(self, neighbour: PeerId, origin: PeerId, relayed: Relayed) -> None:
        target = self._order[relayed.target]
        statement = relayed_statement(self._swarm, origin, target, relayed.round, relayed.sequence, relayed.body)
        if not self._signer.verify(origin, statement, relayed.signature):
            raise RemoteFault(neighbour, f"passes on as a message of {origin} what that one did not sign")

    def _context(self, number: int, origin: PeerId, target: PeerId) -> BoxContext:
        return BoxContext(self._swarm, 0, number, origin, target, 2, 1, 1, 0, 0, b"", "relayed")

    def _sender(self, number: int, peer: PeerId, public: bytes) -> Sender:
        key, sender = self._sending.get((number, peer), (None, None))
        if sender is None or key != public:
            context = self._context(number, self._order[self._me], peer)
            sender = Sender(self._signer.randbytes(32), context, public)
            self._sending[(number, peer)] = public, sender
        return sender

    def _open(self, origin: PeerId, relayed: Relayed) -> bytes:
        wrapped = bytes(relayed.body[:WRAPPED_BYTES])
        key, receiver = self._hearing.get((relayed.round, relayed.origin), (None, None))
        if receiver is None or key != wrapped:
            receiver = Receiver(wrapped, self._context(relayed.round, origin, self._order[self._me]), self._channel_key)
            self._hearing[(relayed.round, relayed.origin)] = wrapped, receiver
        return receiver.open(relayed.sequence, relayed.body[WRAPPED_BYTES:])
