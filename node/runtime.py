"""The loop of a node. Read this first.

    gather      wait for the neighbours, at most one deadline
    ┌─ train    local epochs in the compute thread; the network is heard meanwhile
    │  exchange drive the round's state machine: perform its effects, feed it what is heard, tick at its deadlines
    │  settle   adopt the outcome, assess it on the holdout, write the checkpoint, write the journal
    └─ next round, or jump ahead to where the committee is
    linger      all rounds done: keep answering peers that are behind, until cancelled

One task owns everything here. What a peer did wrong is caught in `_deliver` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import trio

from consensus.committee import Plan
from consensus.effects import Close, Down, Effect, Heard, Letter, Outcome, Send, Tick, Up, WakeAt
from consensus.effects import Event as RoundEvent
from consensus.encrypted_messages import EncryptedMessage
from consensus.errors import RemoteFault
from consensus.guarded_round import GuardedRound
from consensus.mailbox import Mailbox
from consensus.meeting_messages import ChannelKeyNotice, Standing
from consensus.messages import Contribution, Vector
from consensus.round import Round
from consensus.rules import Rule
from crypto.identity import PeerId
from node import journal
from node.compute import Compute
from node.guard import Guard
from node.learning.learner import Assessment, Trained
from overlay.liveness import Liveness
from overlay.transport import Event as TransportEvent
from overlay.transport import PeerDown, PeerUp, Received, Refused, Transport
from overlay.wire import Greeting, Message, Ping, Pong

T = TypeVar("T")
HURRY = 0.1
"""Share of a deadline that a node which comes late still waits for the rest of its neighbours to connect."""


TOLD_A_MINUTE = 20
"""Connections and disconnections of one peer in the journal; those beyond are left out."""


class Learner(Protocol):
    """What the loop asks of the learning room."""

    def train(self, round: int, pulse: Callable[[], None]) -> Trained:  # noqa: A002 - the glossary's word
        """Local epochs on the node's own data. `pulse` is called between batches and may raise to end it."""

    def vector(self) -> Vector:
        """The working model, shape (d,)."""

    def adopt(self, vector: Vector, round: int, *, averaged: bool) -> Assessment:  # noqa: A002
        """Take the round's outcome as the working model and assess it; `averaged` is false in a void round."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is who. `order` holds the PeerIds of all nodes in the order of the topology file."""

    me: PeerId
    order: tuple[PeerId, ...]
    names: Mapping[PeerId, str]
    peers: frozenset[PeerId]
    """Those we talk to; we are not among them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How rounds are run, the same on every node."""

    rounds: int
    quorum: float
    deadline_s: float
    rule: Rule
    plan: Plan


class Runtime:
    """Runs the rounds of one node over an open transport."""

    def __init__(
        self,
        roster: Roster,
        terms: Terms,
        learner: Learner,
        transport: Transport,
        *,
        compute: Compute,
        record: Callable[[journal.Event], None],
        checkpoint: Callable[[int], None],
        wall_clock: Callable[[], float],
        guard: Guard | None = None,
    ) -> None:
        """With `guard` the first phase of a round is a private one."""
        self._roster = roster
        self._terms = terms
        self._learner = learner
        self._transport = transport
        self._compute = compute
        self._record = record
        self._checkpoint = checkpoint
        self._wall_clock = wall_clock
        self._up: set[PeerId] = set()
        self._told: dict[PeerId, list[float]] = {}
        mine = roster.order.index(roster.me)
        self._mailbox = Mailbox(
            roster.peers,
            rounds=terms.rounds,
            phases=len(terms.plan.phases_of(mine, 0)),
            committee=len(terms.plan.committee_of(mine, 0)),
        )
        self._liveness = Liveness(roster.peers)
        self._number = 0
        self._round: Round | GuardedRound | None = None
        self._guard = guard
        self._before: GuardedRound | None = None
        """The round before: a private one still answers members that are behind."""
        self._wake_at = float("inf")
        self._bytes_before = (0, 0)

    async def run(self, first_round: int) -> None:
        """Run the rounds from `first_round` on, then linger. Ends only by cancellation."""
        self._number = first_round
        await self._gather()
        number = first_round
        while number < self._terms.rounds:
            number = await self._play(number) + 1
        if self._round is None and self._guard is None:
            # Started again after its last round: what it ended with is its word for peers that are behind.
            self._begin(self._open_round(self._terms.rounds - 1))
        self._record(journal.Finished(at=self._wall_clock(), rounds=self._terms.rounds))
        while True:
            self._hear(await self._transport.next_event())

    # --- the stages of a round ------------------------------------------------------------------------------------

    async def _gather(self) -> None:
        """Wait until all neighbours are up. Once one speaks of a round it is we who are late: then not for long."""
        with trio.move_on_after(self._terms.deadline_s) as patience:
            while self._up != self._roster.peers:
                self._hear(await self._transport.next_event())
                if any(self._mailbox.latest(peer) is not None for peer in self._up):
                    hurry = trio.current_time() + HURRY * self._terms.deadline_s
                    patience.deadline = min(patience.deadline, hurry)
        self._record(journal.Ready(at=self._wall_clock(), up=len(self._up), expected=len(self._roster.peers)))

    async def _play(self, first: int) -> int:
        """Train once and close one round: `first`, or where the committee is by then. The number of the round closed.

        Who trains longer than the others wait comes late for every round that was open when it began. It joins the
        round that they are about to open instead of training again for one that will have passed as well.
        """
        self._number = first
        began = trio.current_time()
        trained = await self._meanwhile(lambda: self._learner.train(first, self._compute.check_cancelled))
        trained_at = trio.current_time()
        number, outcome = first, None
        while outcome is None:
            number = self._number = self._ahead_of(number) or number
            if self._guard is not None:
                # A node that has lost its state in a private round must not take part in that round again.
                await self._meanwhile(partial(self._checkpoint, number + 1))
            outcome = await self._exchange(self._open_round(number))
        closed_at = trio.current_time()
        assessment = await self._meanwhile(lambda: self._settle(outcome, number))
        self._record_round(
            number,
            number - first,
            outcome,
            trained,
            assessment,
            train_s=trained_at - began,
            exchange_s=closed_at - trained_at,
            round_s=trio.current_time() - began,
        )
        return number

    def _open_round(self, number: int) -> Round | GuardedRound:
        order = self._roster.order
        mine = order.index(self._roster.me)
        phases = [
            {order[member]: weight for member, weight in weights.items()}
            for weights in self._terms.plan.phases_of(mine, number)
        ]
        absent = self._roster.peers - self._liveness.waited_for()
        passed = self._mailbox.passed(number)

        def plain(phases: Sequence[Mapping[PeerId, float]], vector: Vector, away: Collection[PeerId]) -> Round:
            return Round(
                self._roster.me,
                number,
                phases,
                vector,
                rule=self._terms.rule,
                quorum=self._terms.quorum,
                deadline_s=self._terms.deadline_s,
                absent=away,
                passed=passed,
            )

        if self._guard is None:
            return plain(phases, self._learner.vector(), absent)
        return self._guard.round(
            self._roster.me, number, phases, self._learner.vector(), then=plain, absent=absent | passed
        )

    async def _exchange(self, round_: Round | GuardedRound) -> Outcome | None:
        """Drive `round_` to its outcome; None when the committee turns out to be further ahead."""
        self._begin(round_)
        while round_.outcome is None:
            # One scope a deadline, not one an event: a scope costs as much as an event.
            with trio.move_on_at(self._wake_at) as alarm:
                while round_.outcome is None and self._wake_at == alarm.deadline:
                    if self._ahead_of(round_.number) is not None:
                        return None
                    self._hear(await self._transport.next_event())
            if alarm.cancelled_caught:
                self._deliver(Tick())
        for peer in round_.outcome.deadline_missed:
            self._liveness.missed(peer, trio.current_time())
        if isinstance(round_, GuardedRound) and self._guard is not None:
            self._guard.base = round_.base
            for culprit in round_.faults:
                self._record_fault(round_.number, culprit.peer, culprit.reason)
        return round_.outcome

    def _begin(self, round_: Round | GuardedRound) -> None:
        self._before = self._round if isinstance(self._round, GuardedRound) else None
        self._round = round_
        self._wake_at = float("inf")
        # Before the start: a round that knows of nobody's word yet, and that all have passed by, is void at once.
        for phase in range(round_.phase_count):
            for peer, early in self._mailbox.take(round_.number, phase).items():
                self._deliver(Heard(peer, early))
        if self._guard is not None:
            for peer, letter in self._guard.letters.take(round_.number):
                self._deliver(Heard(peer, letter))
        self._perform(round_.start(trio.current_time()))

    def _settle(self, outcome: Outcome, number: int) -> Assessment:
        """In the compute thread: nothing here touches what the loop owns."""
        assessment = self._learner.adopt(outcome.vector, number, averaged=outcome.averaged)
        self._checkpoint(number + 1)
        return assessment

    def _ahead_of(self, number: int) -> int | None:
        """The round to join when most of the committee is more than one further than `number`.

        One beyond theirs: by the time our word arrives they have closed theirs, and the next is in their mailbox.
        """
        target = self._mailbox.target_round(number, self._up)
        return None if target <= number else min(target + 1, self._terms.rounds - 1)

    # --- hearing and doing ----------------------------------------------------------------------------------------

    async def _meanwhile(self, work: Callable[[], T]) -> T:
        """Run blocking work and keep hearing the network: a silent reader would stall its peers."""
        results: list[T] = []

        async def labour(scope: trio.CancelScope) -> None:
            results.append(await self._compute.run(work))
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(labour, nursery.cancel_scope)
            while not results:
                self._hear(await self._transport.next_event())
        return results[0]

    def _hear(self, event: TransportEvent) -> None:
        now = trio.current_time()
        match event:
            case Received(peer, message):
                self._hear_message(peer, message, now)
            case PeerUp(peer):
                self._up.add(peer)
                if self._guard is not None:
                    self._transport.send(peer, self._guard.notice)
                self._liveness.up(peer, now)
                if self._may_tell(peer, now):
                    name, wall = self._roster.names[peer], self._wall_clock()
                    self._record(journal.Connected(at=wall, peer=name, up=len(self._up)))
                self._deliver(Up(peer))
                if peer not in self._liveness.waited_for():
                    self._deliver(Down(peer))  # sent what it may have missed, and still not waited for
            case PeerDown(peer, reason):
                self._up.discard(peer)
                self._liveness.down(peer, now)
                if self._may_tell(peer, now):
                    name, wall = self._roster.names[peer], self._wall_clock()
                    self._record(journal.Disconnected(at=wall, peer=name, reason=reason, up=len(self._up)))
                self._deliver(Down(peer))
            case Refused(peer, address, reason, count):
                who = None if peer is None else self._roster.names.get(peer, peer)
                self._record(
                    journal.Refused(at=self._wall_clock(), peer=who, address=address, reason=reason, count=count)
                )

    def _hear_message(self, peer: PeerId, message: Message, now: float) -> None:
        match message:
            case Contribution():
                if message.round >= self._number:  # one that is always late is no reason to wait
                    self._liveness.heard(peer, now)
                self._mailbox.offer(peer, message)
                self._deliver(Heard(peer, message))
            case Greeting() | Ping() | Pong():
                pass  # the transport's own messages end there
            case _ if self._guard is None:
                pass  # nobody was asked for anything private
            case ChannelKeyNotice():
                wrong = self._guard.take_key(peer, message)
                if wrong is not None:
                    self._record_fault(self._number, peer, wrong)
            case _:
                self._hear_letter(self._guard, peer, message, now)

    def _hear_letter(self, guard: Guard, peer: PeerId, letter: Letter, now: float) -> None:
        if isinstance(letter, Standing):
            self._mailbox.note(peer, letter.round)
        if letter.round >= self._number:
            self._liveness.heard(peer, now)
        if self._round is not None and letter.round == self._round.number:
            self._deliver(Heard(peer, letter))
        elif self._before is not None and letter.round == self._before.number:
            # Closed: what it does now is to answer.
            self._perform([e for e in self._before.receive(Heard(peer, letter), now) if isinstance(e, Send)])
        else:
            guard.letters.offer(peer, letter)

    def _may_tell(self, peer: PeerId, now: float) -> bool:
        """Whether a connection's coming or going is told: one that flaps for days must not fill the disk."""
        told = [at for at in self._told.get(peer, ()) if now - at < 60.0]
        if len(told) >= TOLD_A_MINUTE:
            return False
        self._told[peer] = [*told, now]
        return True

    def _deliver(self, event: RoundEvent) -> None:
        """Feed the round, closed ones too: they still answer peers that come back."""
        if self._round is None:
            return
        now = trio.current_time()
        try:
            self._perform(self._round.receive(event, now))
        except RemoteFault as fault:
            self._perform(self._round.receive(Tick(), now))  # it may have waited for the culprit alone
            self._record_fault(self._round.number, fault.culprit, fault.reason)

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, message):
                    if isinstance(message, EncryptedMessage):  # rounds of that kind are not run
                        raise TypeError(f"{type(message).__name__} has no wire format")
                    self._transport.send(peer, message)
                case WakeAt(time):
                    self._wake_at = time
                case Close():
                    self._wake_at = float("inf")

    # --- the journal ----------------------------------------------------------------------------------------------

    def _record_fault(self, number: int, culprit: PeerId, reason: str) -> None:
        peer = self._roster.names[culprit]
        self._record(journal.Faulted(at=self._wall_clock(), round=number, peer=peer, reason=reason))

    def _record_round(
        self,
        number: int,
        skipped: int,
        outcome: Outcome,
        trained: Trained,
        assessment: Assessment,
        *,
        train_s: float,
        exchange_s: float,
        round_s: float,
    ) -> None:
        now = self._wall_clock()
        if assessment.promoted is not None:
            self._record(
                journal.Promoted(
                    at=now,
                    round=number,
                    version=assessment.champion_version,
                    holdout_loss=assessment.promoted.holdout_loss,
                    previous_holdout_loss=assessment.promoted.previous_holdout_loss,
                )
            )
        if assessment.rolled_back is not None:
            self._record(
                journal.RolledBack(
                    at=now, round=number, to_version=assessment.champion_version, reason=assessment.rolled_back
                )
            )
        sent, received = self._count_bytes()
        self._record(
            journal.RoundClosed(
                at=now,
                round=number,
                outcome="averaged" if outcome.averaged else "void",
                present=self._names(outcome.present),
                absent=self._names(outcome.absent),
                deadline_missed=self._names(outcome.deadline_missed),
                skipped=skipped,
                train_s=train_s,
                exchange_s=exchange_s,
                round_s=round_s,
                loss=trained.loss,
                holdout_loss=assessment.holdout_loss,
                holdout_accuracy=assessment.holdout_accuracy,
                test_accuracy=assessment.test_accuracy,
                consensus_distance=outcome.consensus_distance,
                bytes_sent=sent,
                bytes_received=received,
                champion_version=assessment.champion_version,
            )
        )

    def _names(self, peers: Sequence[PeerId]) -> tuple[str, ...]:
        return tuple(sorted(self._roster.names[peer] for peer in peers))

    def _count_bytes(self) -> tuple[int, int]:
        """Bytes sent and received since the last call."""
        counters = self._transport.traffic().values()
        totals = sum(c.bytes_sent for c in counters), sum(c.bytes_received for c in counters)
        sent, received = totals[0] - self._bytes_before[0], totals[1] - self._bytes_before[1]
        self._bytes_before = totals
        return sent, received
