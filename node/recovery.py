"""In the open mode: which champions were made on whose word, and back to one from before a liar's word was in it.

    round closed ─► champions: version, round, who was averaged with which weight
                 ─► grave facts by peer ──► a verdict of quarantine or eviction that rests on them
                                                  └─► the last champion from before the first of them, in use again

What a rule lets through stays in a model when the one who sent it is shunned, and may not show on a holdout of a few
rows (a backdoor does not). So a node goes back behind the first round about which there is high evidence, if the peer
was averaged since: it loses the rounds between. A jump of the holdout loss is judged apart (`node.learning.promotion`).
Each node does this by its own evidence. Where ε is claimed nobody does: the holdout chose the champions, and what is
trained on from one of them would tell of the holdout. In secret phases the shares of a convict are opened instead
(`consensus.recall`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgpack

from consensus.effects import Outcome
from consensus.open_phases import Phases
from crypto.identity import PeerId
from detect.peers.evidence import EVICTS, Severity
from detect.peers.quarantine import Verdict
from node import journal
from node.errors import BEGIN_ANEW, StateError, UserError
from node.learning.learner import Learner, Restored
from node.roster import Roster
from node.state import Checkpoint
from node.watch import Review
from overlay.topology import Topology

_KEY: Final = "recovery"
_CHAMPIONS: Final = 64
"""Remembered; the initial model besides."""
_ROUNDS: Final = 32
"""For so many rounds a fact counts: what is older did not bring the verdict about."""
_GRAVE: Final = (Severity.HIGH, *EVICTS)
_SHUNNED: Final = (Verdict.QUARANTINED, Verdict.EVICTED)


@dataclass(frozen=True, slots=True)
class Made:
    """A champion: the round that made it (−1: the initial model), and what each peer weighed in that round."""

    version: int
    round: int
    weights: Mapping[PeerId, float]


PutBack = Callable[[int], Restored]
"""Makes the champion of a version champion and working model again, as the next version: the lever that an operator has
as well. Raises a `UserError` where it cannot be."""


class Recovery:
    """One node's. Not thread-safe: `settle` is called in the compute thread, round after round."""

    def __init__(
        self,
        put_back: PutBack,
        names: Mapping[PeerId, str],
        record: Callable[[journal.Event], None],
        wall_clock: Callable[[], float],
    ) -> None:
        """`names` are those of the topology file, for the journal."""
        self._put_back = put_back
        self._names = names
        self._record = record
        self._wall_clock = wall_clock
        self._champions = [Made(0, -1, {})]
        self._grave: dict[PeerId, list[int]] = {}
        self._averaged: dict[PeerId, int] = {}
        """The last round in which each was averaged."""

    @property
    def champions(self) -> tuple[Made, ...]:
        """The oldest first."""
        return tuple(self._champions)

    def settle(self, number: int, outcome: Outcome, version: int, review: Review, phases: Phases) -> Restored | None:
        """Round `number` of these phases is closed with champion `version`: go back where `review` asks for it."""
        if outcome.averaged:
            self._averaged |= dict.fromkeys(outcome.present, number)
        if version > self._champions[-1].version:
            weights = {peer: max(phase.get(peer, 0.0) for phase in phases) for peer in outcome.present}
            self._remember(Made(version, number, weights))
        for fact in review.findings.evidence:
            if fact.severity in _GRAVE:
                self._grave.setdefault(fact.peer, []).append(fact.round)
        self._forget(number)
        judged = {change.peer for change in review.findings.changes if change.after in _SHUNNED}
        since = {peer: min(self._grave.pop(peer)) for peer in sorted(judged & self._grave.keys())}
        since = {peer: first for peer, first in since.items() if self._averaged.get(peer, -1) >= first}
        return self._go_back(number, since) if since else None

    def _go_back(self, number: int, since: Mapping[PeerId, int]) -> Restored | None:
        """Behind the first round of `since`, to the last champion before it that is still kept."""
        first = min(since.values())
        before = [made for made in self._champions if made.round < first]
        for made in reversed(before):
            try:
                restored = self._put_back(made.version)
            except UserError:
                continue
            # Nobody goes back to champions made since: they have the convict's word in them.
            self._champions = [*before, Made(restored.version, made.round, made.weights)]
            self._tell(number, made, restored, since)
            return restored
        return None

    def _tell(self, number: int, made: Made, restored: Restored, since: Mapping[PeerId, int]) -> None:
        who = " and ".join(f"{self._names[peer]} sent since round {first}" for peer, first in since.items())
        now = self._wall_clock()
        self._record(
            journal.RolledBack(
                at=now,
                round=number,
                to_version=made.version,
                reason=f"what {who} is left behind, with all that was learned since champion {made.version}",
            )
        )
        self._record(
            journal.Promoted(
                at=now,
                round=number,
                version=restored.version,
                holdout_loss=restored.holdout_loss,
                previous_holdout_loss=restored.previous_holdout_loss,
            )
        )

    def _remember(self, made: Made) -> None:
        self._champions.append(made)
        if len(self._champions) > 1 + _CHAMPIONS:
            del self._champions[1]

    def _forget(self, number: int) -> None:
        recent = {peer: [at for at in rounds if at > number - _ROUNDS] for peer, rounds in self._grave.items()}
        self._grave = {peer: rounds for peer, rounds in recent.items() if rounds}

    # --- a restart ------------------------------------------------------------------------------------------------

    def pack(self) -> dict[str, bytes]:
        """What a checkpoint holds of it."""
        champions = [[made.version, made.round, dict(made.weights)] for made in self._champions]
        return {_KEY: msgpack.packb([champions, self._grave, self._averaged])}

    def unpack(self, values: Mapping[str, object]) -> None:
        """Go on from what a checkpoint holds; nothing where it holds nothing. Raises StateError for what is damaged."""
        stored = values.get(_KEY)
        if stored is None:
            return
        try:
            if not isinstance(stored, bytes):
                raise TypeError("it is not bytes")  # noqa: TRY301 - told like the rest
            champions, grave, averaged = msgpack.unpackb(stored)
            read = [
                Made(int(version), int(round_), {PeerId(peer): float(weight) for peer, weight in weights.items()})
                for version, round_, weights in champions
            ]
            rounds = {PeerId(peer): [int(at) for at in ats] for peer, ats in grave.items()}
            last = {PeerId(peer): int(at) for peer, at in averaged.items()}
            if not read or [made.version for made in read] != sorted({made.version for made in read}):
                raise ValueError("its champions are in no order")  # noqa: TRY301 - as above
        except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
            raise StateError(
                f"what the checkpoint says of champions and who made them is damaged: {error}",
                BEGIN_ANEW,
            ) from error
        self._champions, self._grave, self._averaged = read, rounds, last


def recovery_of(
    topology: Topology,
    roster: Roster,
    learner: Learner,
    put_back: PutBack | None,
    record: Callable[[journal.Event], None],
    checkpoint: Checkpoint | None,
) -> Recovery | None:
    """What goes back behind liars' words in a node of `topology`, going on from `checkpoint`; None where nothing does.

    Raises StateError for a checkpoint that is damaged.
    """
    if put_back is None or not topology.detect.enabled or topology.privacy.sharing != "none" or learner.private:
        return None
    recovery = Recovery(put_back, roster.names, record, time.time)
    if checkpoint is not None:
        recovery.unpack(checkpoint.learner)
    return recovery
