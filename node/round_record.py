"""What the journal says of a round: its outcome, the model after it, the bytes it took, and who was at fault."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from consensus.effects import Outcome
from consensus.vault import Recalled
from crypto.identity import PeerId
from detect.peers.evidence import Severity
from detect.peers.reputation import Change
from node import journal
from node.desk import Order
from node.learning.learner import Assessment, Restored, Trained
from node.watch import Review
from overlay.transport import Traffic, Transport

TOLD_A_MINUTE = 20
"""Connections and disconnections of one peer in the journal; those beyond are left out."""
TOLD_A_ROUND = 20
"""Faults of one peer in the journal; those beyond are left out."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a round took."""

    train_s: float
    exchange_s: float
    round_s: float
    """From the start of training to the end of assessment."""


class RoundRecord:
    """Writes down what happens to one node. `names` are those of the topology file."""

    def __init__(
        self,
        names: Mapping[PeerId, str],
        record: Callable[[journal.Event], None],
        wall_clock: Callable[[], float],
        transport: Transport,
        on_fault: Callable[[int, PeerId, str, Severity], None] | None = None,
    ) -> None:
        """`on_fault` hears of every fault that is written down."""
        self._names = names
        self._record = record
        self._wall_clock = wall_clock
        self._transport = transport
        self._on_fault = on_fault
        self._before: Mapping[PeerId, Traffic] = {}
        """The counters when the last round closed."""
        self._told: dict[PeerId, list[float]] = {}
        self._faulted: Counter[PeerId] = Counter()
        """How many faults are told of each peer, of those since the last round was closed."""

    # --- the run ----------------------------------------------------------------------------------------------------

    def ready(self, up: int, expected: int) -> None:
        """The first round begins."""
        self._record(journal.Ready(at=self._wall_clock(), up=up, expected=expected))

    def unseeded(self, epoch: int, reason: str) -> None:
        """An epoch goes on with an older seed."""
        self._record(journal.Unseeded(at=self._wall_clock(), epoch=epoch, reason=reason))

    def finished(self, rounds: int) -> None:
        """All rounds are done."""
        self._record(journal.Finished(at=self._wall_clock(), rounds=rounds))

    # --- what an operator does, and pauses ----------------------------------------------------------------------------

    def operated(self, number: int, order: Order) -> None:
        """Call it before anything is done."""
        self._record(
            journal.Operated(
                at=self._wall_clock(),
                round=number,
                actor=order.actor,
                action=order.action,
                target=order.target,
                reason=order.reason,
            )
        )

    def paused(self, number: int, cause: Literal["quorum", "operator"], reason: str) -> None:
        """From round `number` on none is played."""
        self._record(journal.Paused(at=self._wall_clock(), round=number, cause=cause, reason=reason))

    def unpaused(self, number: int, reason: str) -> None:
        """Rounds go on with `number`."""
        self._record(journal.Unpaused(at=self._wall_clock(), round=number, reason=reason))

    def restored(self, number: int, version: int, restored: Restored, reason: str) -> None:
        """The champion of `version` is in use again, as the next version: a version is one model for ever."""
        now = self._wall_clock()
        self._record(journal.RolledBack(at=now, round=number, to_version=version, reason=f"ordered {reason}"))
        self._record(
            journal.Promoted(
                at=now,
                round=number,
                version=restored.version,
                holdout_loss=restored.holdout_loss,
                previous_holdout_loss=restored.previous_holdout_loss,
            )
        )

    # --- peers ------------------------------------------------------------------------------------------------------

    def connected(self, peer: PeerId, up: int, now: float) -> None:
        """`peer` can be reached; `now` is on the loop's clock."""
        if self._may_tell(peer, now):
            self._record(journal.Connected(at=self._wall_clock(), peer=self._names[peer], up=up))

    def disconnected(self, peer: PeerId, reason: str, up: int, now: float) -> None:
        """`peer` cannot be reached any more."""
        if self._may_tell(peer, now):
            self._record(journal.Disconnected(at=self._wall_clock(), peer=self._names[peer], reason=reason, up=up))

    def refused(self, peer: PeerId | None, address: str, reason: str, count: int) -> None:
        """Somebody was turned away."""
        who = None if peer is None else self._names.get(peer, peer)
        self._record(journal.Refused(at=self._wall_clock(), peer=who, address=address, reason=reason, count=count))

    def fault(self, number: int, culprit: PeerId, reason: str, severity: Severity = Severity.HIGH) -> None:
        """A peer did what no honest peer does. One that does nothing else must not fill the disk; nor hide what evicts
        it behind much that does not.
        """
        self._faulted[culprit] += 1
        if self._faulted[culprit] > TOLD_A_ROUND and severity is Severity.HIGH:
            return
        proved, witnessed = severity is Severity.PROVED, severity is Severity.WITNESSED
        self._record(
            journal.Faulted(
                at=self._wall_clock(),
                round=number,
                peer=self._names[culprit],
                reason=reason,
                proved=proved,
                witnessed=witnessed,
            )
        )
        if self._on_fault is not None:
            self._on_fault(number, culprit, reason, severity)

    def recalled(self, number: int, recalled: Recalled) -> None:
        """What a convict had brought was taken out of the base, or could not be."""
        rounds = tuple(part.number for part in recalled.parts)
        name = self._names[recalled.peer]
        self._record(
            journal.Recalled(at=self._wall_clock(), round=number, peer=name, rounds=rounds, refused=recalled.refused)
        )

    def _found(self, review: Review) -> None:
        now = self._wall_clock()
        for fact in review.findings.evidence:
            self._record(
                journal.Evidence(
                    at=now,
                    round=fact.round,
                    peer=self._names[fact.peer],
                    kind=fact.kind,
                    severity=fact.severity.value,
                    reason=fact.reason,
                )
            )
        for change in review.findings.changes:
            self.judged(review.number, change)

    def judged(self, number: int, change: Change) -> None:
        """What is believed of a peer is another thing now."""
        self._record(
            journal.VerdictChanged(
                at=self._wall_clock(),
                round=number,
                peer=self._names[change.peer],
                before=change.before.value,
                after=change.after.value,
                until=change.until,
                reason=change.reason,
            )
        )

    def _may_tell(self, peer: PeerId, now: float) -> bool:
        """Whether a connection's coming or going is told: one that flaps for days must not fill the disk."""
        told = [at for at in self._told.get(peer, ()) if now - at < 60.0]
        if len(told) >= TOLD_A_MINUTE:
            return False
        self._told[peer] = [*told, now]
        return True

    # --- rounds -----------------------------------------------------------------------------------------------------

    def trained(self, number: int, trained: Trained) -> None:
        """Call it before anything that round `number` taught leaves the node."""
        at = self._wall_clock()
        if trained.epsilon is not None:
            self._record(journal.Charged(at=at, round=number, epsilon=trained.epsilon))
        if trained.spent is not None:
            self._record(journal.PrivacySpent(at=at, round=number, epsilon=trained.epsilon, reason=trained.spent))

    def round(
        self,
        number: int,
        skipped: int,
        outcome: Outcome,
        trained: Trained,
        assessment: Assessment,
        timing: Timing,
        void: str | None = None,
        review: Review | None = None,
    ) -> None:
        """Round `number` is closed, `skipped` rounds having been passed over before it."""
        if review is not None:
            self._found(review)
        self._faulted.clear()
        self._champion(number, assessment)
        spent, latency = self._count()
        sent, received = sum(out for out, _ in spent.values()), sum(back for _, back in spent.values())
        self._record(
            journal.RoundClosed(
                at=self._wall_clock(),
                round=number,
                outcome="averaged" if outcome.averaged else "void",
                void=void,
                present=self._sorted(outcome.present),
                absent=self._sorted(outcome.absent),
                deadline_missed=self._sorted(outcome.deadline_missed),
                skipped=skipped,
                train_s=timing.train_s,
                exchange_s=timing.exchange_s,
                round_s=timing.round_s,
                loss=_figure(trained.loss),
                holdout_loss=_figure(assessment.holdout_loss),
                holdout_accuracy=assessment.holdout_accuracy,
                test_accuracy=assessment.test_accuracy,
                consensus_distance=_figure(outcome.consensus_distance),
                bytes_sent=sent,
                bytes_received=received,
                champion_version=assessment.champion_version,
                epsilon=assessment.epsilon,
                latency_ms=latency,
                layer_change={name: min(far, journal.FIGURE_MAX) for name, far in assessment.layer_change.items()},
                peer_bytes=spent,
                reputation={}
                if review is None
                else {self._names[peer]: score for peer, score in sorted(review.reputation.items())},
            )
        )

    def _champion(self, number: int, assessment: Assessment) -> None:
        now, version = self._wall_clock(), assessment.champion_version
        if assessment.promoted is not None:
            self._record(
                journal.Promoted(
                    at=now,
                    round=number,
                    version=version,
                    holdout_loss=assessment.promoted.holdout_loss,
                    previous_holdout_loss=assessment.promoted.previous_holdout_loss,
                )
            )
        if assessment.rolled_back is not None:
            self._record(journal.RolledBack(at=now, round=number, to_version=version, reason=assessment.rolled_back))

    def _sorted(self, peers: Sequence[PeerId]) -> tuple[str, ...]:
        return tuple(sorted(self._names[peer] for peer in peers))

    def _count(self) -> tuple[dict[str, tuple[int, int]], dict[str, float]]:
        """By peer since the last call: bytes sent and received, and the last ping in ms, where one was answered."""
        now, before = dict(self._transport.traffic()), self._before
        self._before = now
        spent, latency = {}, {}
        for peer, name in sorted(self._names.items(), key=lambda known: known[1]):
            new, old = now.get(peer), before.get(peer, Traffic())
            if new is None or new == old:
                continue
            spent[name] = (new.bytes_sent - old.bytes_sent, new.bytes_received - old.bytes_received)
            if new.round_trip_s is not None and new.round_trip_s != old.round_trip_s:
                latency[name] = 1000 * new.round_trip_s
        return spent, latency


def _figure(value: float | None) -> float | None:
    """`value`, no further out than the journal takes: a peer's vector may hold 3e38, and must not end the node."""
    if value is None or math.isnan(value):
        return None
    return min(max(value, -journal.FIGURE_MAX), journal.FIGURE_MAX)
