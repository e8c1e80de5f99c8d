"""One journal folded into what the report says of its node."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node import journal, journal_file

REASONS_MAX = 3


@dataclass(slots=True)
class Fold:
    """State after some events of one node. `limit` is how many rounds the run has."""

    limit: int
    missing: bool = False
    """There is no journal."""
    torn_lines: int = 0
    peer_id: str | None = None
    rounds: dict[int, journal.RoundClosed] = field(default_factory=dict)
    """By number; the last record of a round wins."""
    beyond: int = 0
    """Records of rounds that the run does not have."""
    bytes_sent: int = 0
    bytes_received: int = 0
    resumed_at: list[int] = field(default_factory=list)
    finished: bool = False
    promotions: int = 0
    rollbacks: int = 0
    refused: int = 0
    epsilon: float | None = None
    """The most that it ever told of, closed round or not; None where it claims nothing."""
    spent_at: int | None = None
    """The first round to which it brought nothing, its budget of privacy being spent."""
    faults: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    """(peer, reason) → rounds."""
    proved: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that were proved."""
    witnessed: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that were witnessed."""
    quarantines: list[journal.VerdictChanged] = field(default_factory=list)
    """Each time that it stopped averaging a peer."""

    @property
    def last(self) -> journal.RoundClosed | None:
        """The highest round that the node closed."""
        return self.rounds[max(self.rounds)] if self.rounds else None

    def add(self, event: journal.Event) -> None:
        """Take the next event of the journal."""
        match event:
            case journal.Started():
                self.peer_id = event.peer_id
                if event.resumed:
                    self.resumed_at.append(event.round)
            case journal.RoundClosed():
                self._close(event)
            case journal.Charged() | journal.PrivacySpent():
                self._account(event)
            case journal.Finished():
                self.finished = True
            case journal.Promoted():
                self.promotions += 1
            case journal.RolledBack():
                self.rollbacks += 1
            case journal.Refused() | journal.Faulted():
                self._blame(event)
            case journal.VerdictChanged(after="quarantined" | "evicted"):
                self.quarantines.append(event)
            case _:
                pass  # connections come and go: the console shows them

    def _account(self, event: journal.Charged | journal.PrivacySpent) -> None:
        self._tell(event.epsilon)
        if isinstance(event, journal.PrivacySpent):
            self.spent_at = event.round if self.spent_at is None else min(self.spent_at, event.round)

    def _tell(self, epsilon: float | None) -> None:
        if epsilon is not None:
            self.epsilon = epsilon if self.epsilon is None else max(self.epsilon, epsilon)

    def _blame(self, event: journal.Refused | journal.Faulted) -> None:
        if isinstance(event, journal.Refused):
            self.refused += event.count
            return
        what = event.peer, event.reason
        self.faults[what].append(event.round)
        if event.proved:
            self.proved.add(what)
        if event.witnessed:
            self.witnessed.add(what)

    def _close(self, event: journal.RoundClosed) -> None:
        self._tell(event.epsilon)
        if not 0 <= event.round < self.limit:
            self.beyond += 1
            return
        self.rounds[event.round] = event
        # Traffic of a round that is played again was real: it counts twice here, once in the round's own figure.
        self.bytes_sent += event.bytes_sent
        self.bytes_received += event.bytes_received

    def remarks(self, rounds: int, restarts: int) -> Iterator[str]:
        """What a reader of this node's figures must know; each completes a sentence that its name begins."""
        if self.missing:
            yield "left no journal: its figures are missing."
            return
        restarts = max(restarts, len(self.resumed_at))
        if restarts:
            at = "rounds " if len(self.resumed_at) > 1 else "round "
            came_back = f" and came back at {at}{_listed(self.resumed_at)}" if self.resumed_at else ""
            yield f"was restarted {_times(restarts)}{came_back}."
        if self.torn_lines:
            yield f"has {_count(self.torn_lines, 'torn journal line')} (a killed process leaves them), passed over."
        if self.beyond:
            yield f"reports {_count(self.beyond, 'round')} that the run of {rounds} does not have, passed over."
        closed = len(self.rounds)
        if closed < rounds:
            end = "" if self.finished else f", the last was {max(self.rounds)}" if self.rounds else ""
            yield f"closed {closed} of {rounds} rounds{end}."
        void = [row for row in self.rounds.values() if row.outcome == "void"]
        empty = sum(row.void is None for row in void)
        if empty:
            yield f"had no quorum in {_count(empty, 'round')} and kept its own vector."
        if len(void) > empty:
            told = Counter(row.void for row in void if row.void is not None)
            why = "; ".join(f"{reason} ({_times(times)})" for reason, times in told.most_common(REASONS_MAX))
            yield f"opened no sum in {_count(len(void) - empty, 'round')} and kept its own vector: {why}."
        if self.spent_at is not None:
            yield f"brought nothing from round {self.spent_at} on: its budget of privacy was spent."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(numbers: Sequence[int]) -> str:
    *before, last = map(str, numbers)
    return f"{', '.join(before)} and {last}" if before else last


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def read_journal(path: Path, limit: int) -> Fold:
    """Fold the journal at `path`; a missing one gives an empty fold that says so."""
    fold = Fold(limit)
    fold.missing = not path.exists()
    follower = journal_file.Follower(path)
    for event in follower.poll():
        fold.add(event)
    fold.torn_lines = follower.torn_lines
    return fold
