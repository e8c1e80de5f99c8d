"""The update watch in a running node: what rounds leave goes in, the journal and the checkpoint get what comes of it.

The loop notes faults as they come; all else happens in `review`, in the compute thread, once a round is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import msgpack

from consensus.effects import Outcome
from consensus.messages import Vector
from consensus.private_outcome import PrivateOutcome
from crypto.identity import PeerId
from detect.peers.evidence import FAULT, Evidence, Severity
from detect.peers.features import Seen
from detect.peers.quarantine import Verdict
from detect.peers.reputation import FULL, Change
from detect.peers.watch import Findings, PeerWatch
from node.errors import BEGIN_ANEW, StateError

_KEY: Final = "watch"
_MAX_PENDING: Final = 256
"""Faults noted between two reviews; those beyond are journalled and not weighed."""


@dataclass(frozen=True, slots=True)
class Review:
    """What came of a round."""

    number: int
    findings: Findings
    reputation: Mapping[PeerId, float]
    """Of those who have not all of it."""
    shunned: frozenset[PeerId]


class Watching(Protocol):
    """What the loop asks of whatever watches the peers."""

    @property
    def loss(self) -> Callable[[Vector], float] | None:
        """Of a model on the node's holdout, where that may steer what others see."""

    @property
    def shunned(self) -> frozenset[PeerId]:
        """Who is not averaged in the round under way."""

    @property
    def evicted(self) -> frozenset[PeerId]:
        """Of those, the ones that are not waited for either."""

    def begin(self) -> None:
        """A round begins."""

    def fault(self, number: int, culprit: PeerId, reason: str, severity: Severity = Severity.HIGH) -> None:
        """A peer did what no honest peer does."""

    def take_faults(self) -> list[Evidence]:
        """What was noted since the last call."""

    def review(
        self,
        number: int,
        outcome: Outcome,
        before: Vector,
        secret: PrivateOutcome | None,
        faults: Sequence[Evidence] = (),
    ) -> Review:
        """A round is closed. In the compute thread."""


class Lookout:
    """One node's watch on its peers over a run."""

    def __init__(
        self, watch: PeerWatch, wall_clock: Callable[[], float], *, loss: Callable[[Vector], float] | None = None
    ) -> None:
        """`loss` is that of a model on the node's holdout, where that may steer what others see."""
        self.loss = loss
        self.shunned: frozenset[PeerId] = watch.shunned()
        """Who is not averaged in the round under way."""
        self.evicted: frozenset[PeerId] = watch.evicted()
        """Of those, the ones that are not waited for either."""
        self._watch = watch
        self._wall_clock = wall_clock
        self._pending: list[Evidence] = []

    # --- the loop ---------------------------------------------------------------------------------------------------

    def fault(self, number: int, culprit: PeerId, reason: str, severity: Severity = Severity.HIGH) -> None:
        """A peer did what no honest peer does; weighed at the next review."""
        if len(self._pending) < _MAX_PENDING:
            self._pending.append(Evidence(culprit, number, FAULT, severity, reason))

    def begin(self) -> None:
        """A round begins: from now on until its end the same peers are shunned."""
        self.shunned, self.evicted = self._watch.shunned(), self._watch.evicted()

    def order(self, peer: PeerId, number: int, verdict: Verdict, seconds: float, words: str) -> Change | None:
        """An operator's word on `peer`, between two rounds; None where it changes nothing."""
        word = Evidence(peer, number, "operator", Severity.LOW, words)  # it moves the verdict alone
        return self._watch.reputations.order(word, verdict, self._wall_clock(), seconds)

    @property
    def settings(self) -> dict[str, str | int]:
        """What changes while it watches, for people; between two rounds."""
        return self._watch.settings

    # --- the compute thread -------------------------------------------------------------------------------------------

    def review(
        self,
        number: int,
        outcome: Outcome,
        before: Vector,
        secret: PrivateOutcome | None,
        faults: Sequence[Evidence] = (),
    ) -> Review:
        """Round `number` is closed; `before` (d,) is the consensus from which it began, `faults` are those taken."""
        now, watch = self._wall_clock(), self._watch
        for fault in faults:
            watch.accuse(fault, now)
        for kept in outcome.kept:
            seen = {peer: Seen(vector, kept.lateness[peer]) for peer, vector in kept.heard.items()}
            watch.look(number, seen, kept.own, before, now, self.loss)
        if secret is not None and secret.mean is not None:
            watch.open_sum(number, secret.accepted, secret.mean, now, secret.weights)
        watch.was_there(outcome.present)
        findings = watch.settle(now)
        believed = watch.reputations.scores()
        lowered = {peer: score for peer, score in believed.items() if score < FULL}
        return Review(number, findings, MappingProxyType(lowered), watch.shunned())

    def take_faults(self) -> list[Evidence]:
        """Those noted since the last call: taken in the loop, before the review."""
        taken, self._pending = self._pending, []
        return taken

    # --- a restart ------------------------------------------------------------------------------------------------

    def pack(self) -> dict[str, bytes]:
        """What a checkpoint holds of it."""
        return {_KEY: msgpack.packb(self._watch.snapshot())}


def restore(watch: PeerWatch, values: Mapping[str, object]) -> None:
    """Put what a checkpoint holds into `watch`; nothing where it holds nothing. Raises StateError for what is
    damaged.
    """
    stored = values.get(_KEY)
    if stored is None:
        return
    try:
        if not isinstance(stored, bytes):
            raise ValueError("it is not bytes")  # noqa: TRY301, TRY004 - told like the rest
        watch.restore(msgpack.unpackb(stored))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StateError(
            f"what the checkpoint says of peers' reputations is damaged: {error}",
            BEGIN_ANEW,
        ) from error
