"""The loop of a node. Read this first.

    gather      wait for the neighbours, at most one deadline
    ┌─ begin    do what an operator ordered; wait while paused, or while too few are up for a quorum
    │  train    local epochs in the compute thread; the network is heard meanwhile
    │  exchange drive the round's state machine: perform its effects, feed it what is heard, tick at its deadlines
    │  settle   adopt the outcome, assess it on the holdout, write the checkpoint, write the journal
    └─ next round, or jump ahead to where the committee is
    linger      all rounds done: keep answering peers that are behind, until drained or cancelled

One task owns everything here, in `Hearing`, which takes what the network brings, and in `Standby`, which begins rounds;
the state machine of a private round has a `SecretDriver` of its own. What a peer did wrong is caught where rounds are
fed, in the two drivers, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import trio

from consensus.effects import Outcome
from consensus.messages import Vector
from consensus.open_phases import Phases
from consensus.plan import Plan
from consensus.round import Round
from consensus.seeds import Seeds
from consensus.sharing import Update
from consensus.standpoint_rules import Standpoint
from crypto.identity import PeerId
from detect.peers.evidence import Evidence, Severity
from node import journal
from node.attendance import Attendance
from node.cell_transport import CellTransport
from node.compute import Compute
from node.controls import Controls
from node.desk import Desk
from node.hearing import Hearing
from node.learning.learner import Assessment, Trained
from node.open_driver import OpenDriver
from node.private_player import Privately, PrivatePlayer
from node.public_copy import PublicCopy
from node.quorum import lacking
from node.recovery import Recovery
from node.roster import Roster, Terms
from node.round_record import RoundRecord, Timing
from node.standby import Levers, Standby
from node.watch import Review, Watching
from overlay.transport import Transport

T = TypeVar("T")
_NO_LEVERS = Levers()
HURRY = 0.1
"""Share of a deadline that a node which comes late still waits for the rest of its neighbours to connect."""


class Learner(Protocol):
    """What the loop asks of the learning room."""

    def train(self, round: int, pulse: Callable[[], None]) -> Trained:  # noqa: A002 - the glossary's word
        """Local epochs on the node's own data. `pulse` is called between batches and may raise to end it."""

    def vector(self) -> Vector:
        """The working model, shape (d,)."""

    def update(self, base: Vector) -> Update | None:
        """What the last training brings to a cell whose base is held as `base`, shape (d,); None: nothing. Asked for
        once for every secret phase, and charged before it is given.
        """

    def adopt(self, vector: Vector, round: int, *, averaged: bool) -> Assessment:  # noqa: A002
        """Take the round's outcome as the working model and assess it; `averaged` is false in a void round."""


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
        private: Privately | None = None,
        cells: CellTransport | None = None,
        lookout: Watching | None = None,
        recovery: Recovery | None = None,
        public: PublicCopy | None = None,
        levers: Levers = _NO_LEVERS,
        paused: str | None = None,
        enter: Callable[[int], None] | None = None,
    ) -> None:
        """With `private` the first phase of a round is a private one. `cells` is the transport, where it draws them.
        `lookout` watches the peers; without one all are averaged. `recovery` goes back behind what liars sent. `public`
        is what peers have of the model, where small changes are not sent. `levers` are what an operator's orders move;
        `paused` is why an operator paused the node before it was started again. `enter` is called once, with the
        first round that is played, before anything is trained on, charged or signed in it; it may raise a `UserError`.
        """
        self._roster = roster
        self._terms = terms
        self._learner = learner
        self._transport = transport
        self._cells = cells
        self._compute = compute
        self._lookout = lookout
        self._recovery = recovery
        self._public = public
        note = None if lookout is None else self._note_fault
        self._book = RoundRecord(roster.names, record, wall_clock, transport, note)
        self._checkpoint = checkpoint
        self._enter = enter
        self._privately = private
        self._private: PrivatePlayer | None = None
        self._spoke_in: int | None = None
        """The last round of which a private one was begun."""
        self._open = OpenDriver(transport, lambda number, fault: self._book.fault(number, fault.culprit, fault.reason))
        self._attendance: Attendance | None = None
        if cells is not None and private is not None:
            absentees = private.guard.sharing.absentees
            self._attendance = Attendance(cells, self._book, absentees=absentees, deadline_s=terms.deadline_s)
        self._hearing = Hearing(roster, terms, transport, self._book, self._open, cells)
        self._desk = Desk(
            {roster.names[peer]: peer for peer in roster.peers},
            lambda order: self._book.operated(self._hearing.number, order),
        )
        self._standby = Standby(
            self._hearing,
            self._book,
            self._desk,
            levers,
            compute,
            checkpoint,
            lacks=self._lacks,
            paused=paused,
        )

    async def run(self, first_round: int) -> None:
        """Run the rounds from `first_round` on, then linger. Ends once it is drained, or by cancellation."""
        self._hearing.number = first_round
        async with trio.open_nursery() as nursery:
            if self._privately is not None:
                self._private = PrivatePlayer(self._privately, self._transport, self._book, nursery)
                self._hearing.private = self._private
            await self._gather()
            number = first_round
            while number < self._terms.rounds and await self._standby.begin(number):
                if self._enter is not None:
                    await self._meanwhile(partial(self._enter, number))
                    self._enter = None
                number = await self._play(number) + 1
            if number >= self._terms.rounds:
                self._recall(self._terms.rounds - 1)
                self._book.finished(self._terms.rounds)
                await self._standby.linger(self._terms.rounds)
            nursery.cancel_scope.cancel()

    def drain(self) -> None:
        """Have `run` end: after the round under way, or at once where none is."""
        self._desk.end()

    @property
    def controls(self) -> Controls:
        """For operators."""
        return self._desk

    @property
    def paused(self) -> str | None:
        """Why an operator paused the node; None where none did. To be kept over restarts."""
        return self._standby.paused

    # --- the stages of a round ------------------------------------------------------------------------------------

    async def _gather(self) -> None:
        """Wait until all neighbours are up. Once one speaks of a round it is we who are late: then not for long."""
        hearing = self._hearing
        with trio.move_on_after(self._terms.deadline_s) as patience:

            def all_there() -> bool:
                if any(hearing.mailbox.latest(peer) is not None for peer in hearing.up):
                    hurry = trio.current_time() + HURRY * self._terms.deadline_s
                    patience.deadline = min(patience.deadline, hurry)
                return hearing.up == self._roster.peers

            await hearing.until(all_there, self._desk.ending)
        self._book.ready(len(self._hearing.up), len(self._roster.peers))

    async def _play(self, first: int) -> int:
        """Train once and close one round: `first`, or where the committee is by then. The number of the round closed.

        Who trains longer than the others wait comes late for every round that was open when it began. It joins the
        round that they are about to open instead of training again for one that will have passed as well.
        """
        self._hearing.number = first
        began, before = trio.current_time(), self._learner.vector()
        trained = await self._meanwhile(lambda: self._learner.train(first, self._compute.check_cancelled))
        trained_at = trio.current_time()
        self._book.trained(first, trained)
        number, outcome = first, None
        while outcome is None:
            number = self._hearing.number = self._ahead_of(number) or number
            if self._lookout is not None:
                self._lookout.begin()
            if self._attendance is not None:
                self._attendance.reach(number)
            # Once a round, whatever seed is learned meanwhile: who sits it out must not play it in the open after all.
            phases, seeds = self._phases(number), self._plan.seeds
            # Whom no star took has nobody to hide among and nobody to hear: it keeps what it learned for its next cell.
            alone = [{self._roster.me: 1.0}]
            if self._attendance is not None and self._attendance.lacks(phases[0], self._hearing.mailbox.passed(number)):
                self._attendance.sit_out()
                phases = alone
            if number == self._spoke_in:  # given up, and not passed after all: nobody signs two histories of a round
                phases = alone
            private = None if phases == alone else self._private
            if private is None and self._attendance is not None:
                await self._attendance.keep_pace(self._hearing.waited_for, self._hearing.next)
            if private is None:
                outcome = await self._exchange(self._open_round(number, phases))
            else:
                outcome = await self._exchange_in_private(number, phases, seeds, private)
        for peer in outcome.deadline_missed:
            self._hearing.liveness.missed(peer, trio.current_time())
        closed_at = trio.current_time()
        faults = [] if self._lookout is None else self._lookout.take_faults()
        assessment, review = await self._meanwhile(lambda: self._settle(outcome, number, before, faults, phases))
        timing = Timing(trained_at - began, closed_at - trained_at, trio.current_time() - began)
        void = None if private is None else private.void
        self._book.round(number, number - first, outcome, trained, assessment, timing, void, review)
        return number

    def _settle(
        self, outcome: Outcome, number: int, before: Vector, faults: Sequence[Evidence], phases: Phases
    ) -> tuple[Assessment, Review | None]:
        """In the compute thread: nothing here touches what the loop owns."""
        secret = None if self._private is None else self._private.secret
        vector = outcome.vector if self._public is None else self._public.after(outcome.vector)
        assessment = self._learner.adopt(vector, number, averaged=outcome.averaged)
        review = None
        if self._lookout is not None:
            review = self._lookout.review(number, outcome, before, secret, faults)
        if self._recovery is not None and review is not None:
            restored = self._recovery.settle(number, outcome, assessment.champion_version, review, phases)
            if restored is not None:
                assessment = replace(assessment, champion_version=restored.version)
        self._checkpoint(number + 1)
        return assessment, review

    def _note_fault(self, number: int, culprit: PeerId, reason: str, severity: Severity) -> None:
        if self._lookout is not None:
            self._lookout.fault(number, culprit, reason, severity)

    def _ahead_of(self, number: int) -> int | None:
        """The round to join when most of the committee is more than one further than `number`.

        One beyond theirs: by the time our word arrives they have closed theirs, and the next is in their mailbox.
        """
        target = self._hearing.mailbox.target_round(number, self._hearing.up)
        return None if target <= number else min(target + 1, self._terms.rounds - 1)

    # --- open rounds ----------------------------------------------------------------------------------------------

    def _open_round(self, number: int, phases: Phases) -> Round:
        absent = self._away()
        vector = self._learner.vector()
        return self._plain(number, phases, vector if self._public is None else self._public.offer(vector), absent)

    def _away(self) -> frozenset[PeerId]:
        """Who is not waited for."""
        return frozenset(self._roster.peers - self._hearing.waited_for()) | self._evicted

    @property
    def _evicted(self) -> frozenset[PeerId]:
        return frozenset() if self._lookout is None else self._lookout.evicted

    def _lacks(self, number: int) -> str | None:
        """What a quorum lacks, where all phases of round `number`, or of the one to join instead, would be void.

        It goes by who can be reached, not by who was heard: two nodes that wait for each other's word would wait for
        ever.
        """
        there = (self._hearing.up - self._hearing.resting - self._evicted) | {self._roster.me}
        if self._plan.apart:  # stars are drawn anew each round: who has a neighbour may be in the next one
            return None if len(there) > 1 else "no neighbour is up"
        return lacking(self._phases(self._ahead_of(number) or number), there, self._terms.quorum)

    def _phases(self, number: int) -> list[dict[PeerId, float]]:
        order = self._roster.order
        rows = self._plan.phases_of(order.index(self._roster.me), number)
        return [{order[member]: weight for member, weight in weights.items()} for weights in rows]

    @property
    def _plan(self) -> Plan:
        return self._terms.plan if self._cells is None else self._cells.plan

    def _plain(
        self, number: int, phases: Sequence[Mapping[PeerId, float]], vector: Vector, absent: Collection[PeerId]
    ) -> Round:
        return Round(
            self._roster.me,
            number,
            phases,
            vector,
            rule=self._terms.rule,
            quorum=self._terms.quorum,
            deadline_s=self._terms.deadline_s,
            absent=absent,
            passed=self._hearing.mailbox.passed(number),
            shunned=() if self._lookout is None else self._lookout.shunned,
            standpoint=Standpoint(
                progress=number / self._terms.rounds, loss=None if self._lookout is None else self._lookout.loss
            ),
            keep=self._lookout is not None,
        )

    async def _exchange(self, round_: Round) -> Outcome | None:
        """Drive `round_` to its outcome; None when the committee turns out to be further ahead."""
        self._begin(round_)
        await self._open.play(round_, self._hearing.next, lambda: self._ahead_of(round_.number) is not None)
        return round_.outcome

    def _begin(self, round_: Round) -> None:
        self._open.begin(round_, self._hearing.early(round_.number, round_.phase_count))

    def _recall(self, last: int) -> None:
        """If we were started again after the last round: what it ended with is our word for peers that are behind."""
        if self._private is None and self._open.idle:
            self._begin(self._open_round(last, self._phases(last)))
        elif self._private is not None and self._private.idle:
            self._private.begin(self._private.guard.closed_round(last, self._phases(last)), ())

    # --- private rounds -------------------------------------------------------------------------------------------

    async def _exchange_in_private(
        self, number: int, phases: Phases, seeds: Seeds, private: PrivatePlayer
    ) -> Outcome | None:
        """As `_exchange`, with a private round."""
        guard = private.guard
        update = await self._meanwhile(partial(self._update, number, guard.base.vector))
        round_ = guard.round(
            number,
            phases,
            self._learner.vector(),
            update,
            then=partial(self._plain, number),
            absent=self._away() | self._hearing.mailbox.passed(number),
            shunned=() if self._lookout is None else self._lookout.shunned,
            epoch=seeds.epoch_of(number),
            beacon=seeds.at(number).value,
        )
        self._spoke_in = number
        closed = private.begin(round_, self._hearing.early(number, round_.phase_count))
        lacks = (lambda _: False) if self._attendance is None else self._attendance.lacks
        # Until the round is closed, or the committee is further ahead, or a star lost whom it cannot do without.
        await self._hearing.until(lambda: self._ahead_of(number) is not None or lacks(phases[0]), closed.wait)
        return private.end(round_)

    def _update(self, number: int, base: Vector) -> Update | None:
        """In the compute thread. Who has lost its state in a private round must not take part in that round again, so
        its number is on disk before anything is made for it.
        """
        self._checkpoint(number + 1)
        if self._roster.me in self._terms.benched(number, tuple(self._phases(number)[0])):
            return None
        return self._learner.update(base)

    async def _meanwhile(self, work: Callable[[], T]) -> T:
        """Run blocking work and keep hearing the network."""
        return await self._hearing.during(lambda: self._compute.run(work))
