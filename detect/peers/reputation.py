"""What a node believes of each of its peers: its own evidence, its own score, nobody else's word."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crypto.identity import PeerId
from detect.peers.evidence import EVICTS, FAULT, SHARE_OF_PENALTY, Evidence, Severity
from detect.peers.quarantine import Response, Standing, Verdict

FULL = 100.0
KEPT = 64
"""Facts remembered a peer. Scores keep the effect of all."""


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict that changed."""

    peer: PeerId
    before: Verdict
    after: Verdict
    until: float
    """End of a quarantine; 0 otherwise."""
    reason: str


@dataclass(slots=True)
class _Record:
    score: float = FULL
    standing: Standing = field(default_factory=Standing)
    facts: deque[tuple[Evidence, float]] = field(default_factory=lambda: deque(maxlen=KEPT))


class Reputations:
    """Of the peers on the list. `now` is seconds since the epoch: a quarantine lasts across restarts."""

    def __init__(self, peers: Iterable[PeerId], response: Response) -> None:
        self._response = response
        self._records = {peer: _Record() for peer in sorted(peers)}

    # --- what happens ---------------------------------------------------------------------------------------------

    def accuse(self, evidence: Evidence, now: float) -> Change | None:
        """Take a fact in; the change of verdict that it brings. Raises `KeyError` for a peer off the list."""
        record = self._records[evidence.peer]
        cost = self._response.penalty * SHARE_OF_PENALTY[evidence.severity]
        if evidence.kind == FAULT and evidence.severity is Severity.HIGH:
            cost = max(cost, record.score - self._response.limit + 1)
        cost = min(record.score, cost)
        record.score -= cost
        record.facts.append((evidence, -cost))
        if evidence.severity in EVICTS:
            standing = Standing(Verdict.EVICTED, 0.0, record.standing.offences)
        else:
            grave = evidence.severity is not Severity.LOW
            standing = record.standing.judged(record.score, self._response, now, grave=grave)
        return self._move(evidence.peer, standing, f"{evidence.kind}: {evidence.reason}")

    def reward(self, peer: PeerId) -> Change | None:
        """A round in which nothing spoke against `peer`, who took part."""
        record = self._records[peer]
        record.score = min(FULL, record.score + self._response.reward)
        return self._move(peer, record.standing.rewarded(record.score, self._response), "good rounds")

    def release(self, now: float) -> list[Change]:
        """End the quarantines whose time is over. Who comes out begins at the limit, not below it."""
        changes = []
        for peer, record in self._records.items():
            change = self._move(peer, record.standing.released(now), "its quarantine is over")
            if change is not None:
                record.score = max(record.score, self._response.limit)
                changes.append(change)
        return changes

    def order(self, word: Evidence, verdict: Verdict, now: float, seconds: float = 0.0) -> Change | None:
        """An operator's word on `word.peer`, kept among the facts: QUARANTINED for `seconds`, PROBATION out of a
        quarantine, EVICTED for good. None where it changes nothing: an eviction stands.
        """
        record = self._records[word.peer]
        standing = record.standing.ordered(verdict, now + seconds)
        if standing is None:
            return None
        if verdict is Verdict.PROBATION:
            record.score = max(record.score, self._response.limit)
        record.facts.append((word, 0.0))
        before, record.standing = record.standing.verdict, standing
        return Change(word.peer, before, standing.verdict, standing.until, word.reason)

    def _move(self, peer: PeerId, standing: Standing, reason: str) -> Change | None:
        record = self._records[peer]
        before, record.standing = record.standing.verdict, standing
        if before is standing.verdict:
            return None
        return Change(peer, before, standing.verdict, standing.until, reason)

    # --- what is believed -----------------------------------------------------------------------------------------

    def score(self, peer: PeerId) -> float:
        """Of `peer`, 0 to 100."""
        return self._records[peer].score

    def scores(self) -> dict[PeerId, float]:
        """Of all on the list."""
        return {peer: record.score for peer, record in self._records.items()}

    def standing(self, peer: PeerId) -> Standing:
        """Of `peer`."""
        return self._records[peer].standing

    def facts(self, peer: PeerId) -> tuple[tuple[Evidence, float], ...]:
        """The last facts about `peer`, each with what it did to the score; the oldest first."""
        return tuple(self._records[peer].facts)

    def shunned(self) -> frozenset[PeerId]:
        """Who is not averaged."""
        return frozenset(peer for peer, record in self._records.items() if not record.standing.verdict.averaged)

    def evicted(self) -> frozenset[PeerId]:
        """Who is not even heard."""
        return frozenset(peer for peer, record in self._records.items() if record.standing.verdict is Verdict.EVICTED)

    def trust(self, peer: PeerId) -> float:
        """What the peer's word weighs beside others', in [0, 1]: its score, nothing while it is shunned."""
        record = self._records[peer]
        return record.score / FULL if record.standing.verdict.averaged else 0.0

    # --- a restart ------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """All of it, in plain values."""
        return {
            peer: {
                "score": record.score,
                "verdict": record.standing.verdict.value,
                "until": record.standing.until,
                "offences": record.standing.offences,
                "good_rounds": record.standing.good_rounds,
                "facts": [
                    [fact.round, fact.kind, fact.severity.value, fact.reason, change] for fact, change in record.facts
                ],
            }
            for peer, record in self._records.items()
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from `snapshot`; peers that are not on the list any more are forgotten.

        Raises `ValueError`, and changes nothing, where it is not one.
        """
        read: dict[PeerId, _Record] = {}
        for peer in self._records:
            if peer in snapshot:
                read[peer] = _read(peer, snapshot[peer])
        self._records |= read


def _read(peer: PeerId, values: object) -> _Record:
    try:
        if not isinstance(values, Mapping):
            raise TypeError(f"not a table: {type(values).__name__}")  # noqa: TRY301 - told like the rest
        score = float(values["score"])
        standing = Standing(
            Verdict(values["verdict"]), float(values["until"]), int(values["offences"]), int(values["good_rounds"])
        )
        facts = deque(
            ((Evidence(peer, int(at), str(kind), Severity(severity), str(reason)), float(change))
             for at, kind, severity, reason, change in values["facts"]), maxlen=KEPT,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the reputation of {peer} cannot be read: {error!r}") from error
    if not (0 <= score <= FULL and standing.offences >= 0 and standing.good_rounds >= 0 and standing.until >= 0):
        raise ValueError(f"the reputation of {peer} cannot be read: {score}, {standing}")
    return _Record(score, replace(standing), facts)
