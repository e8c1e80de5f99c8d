"""What a node does about a peer: a small state machine a peer, driven by reputation and time.

    verdict       averaged   goes to
    TRUSTED       yes        SUSPECT below the mark, QUARANTINED below the limit, EVICTED on proof
    SUSPECT       yes        TRUSTED above the mark again, QUARANTINED below the limit, EVICTED on proof
    QUARANTINED   no         PROBATION when its time is over, EVICTED on proof
    PROBATION     yes        TRUSTED after so many good rounds, QUARANTINED on evidence above low, EVICTED on proof
    EVICTED       no

A quarantine lasts `quarantine_s`, each further one twice as long as the one before, up to `MAX_FACTOR` times. A peer
in quarantine stays connected and is heard; an evicted one is not. Nothing but proof, or an operator's word, evicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_FACTOR = 32


class Verdict(StrEnum):
    """What is believed of a peer."""

    TRUSTED = "trusted"
    SUSPECT = "suspect"
    QUARANTINED = "quarantined"
    PROBATION = "probation"
    EVICTED = "evicted"

    @property
    def averaged(self) -> bool:
        """Whether what the peer contributes counts."""
        return self in (Verdict.TRUSTED, Verdict.SUSPECT, Verdict.PROBATION)


@dataclass(frozen=True, slots=True)
class Response:
    """The settings: `[detect]` of the topology file."""

    penalty: float = 25.0
    """Reputation, of 100, that a fact of high severity costs."""
    reward: float = 1.0
    """What a good round gives back."""
    mark: float = 75.0
    """Below it a peer is suspect."""
    limit: float = 50.0
    """Below it a peer is quarantined."""
    quarantine_s: float = 120.0
    """How long, the first time."""
    probation_rounds: int = 10
    """Good rounds that end a probation."""

    def __post_init__(self) -> None:
        if not (0 < self.penalty <= 100 and 0 <= self.reward <= 100 and 0 < self.limit < self.mark <= 100):
            raise ValueError(f"0 < penalty <= 100, 0 <= reward <= 100 and 0 < limit < mark <= 100 are needed: {self}")
        if not (0 < self.quarantine_s < float("inf") and self.probation_rounds >= 1):
            raise ValueError(f"a finite quarantine_s > 0 and probation_rounds >= 1 are needed: {self}")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a peer stands with this node. `until` is on the clock of whoever asks, seconds since the epoch."""

    verdict: Verdict = Verdict.TRUSTED
    until: float = 0.0
    """End of the quarantine."""
    offences: int = 0
    """Quarantines so far."""
    good_rounds: int = 0
    """Of the probation."""

    def judged(self, reputation: float, response: Response, now: float, *, grave: bool) -> Standing:
        """After evidence that left so much reputation; `grave`: it was more than low."""
        match self.verdict:
            case Verdict.EVICTED | Verdict.QUARANTINED:
                return self
            case Verdict.PROBATION if grave:
                return self._quarantined(response, now)
            case Verdict.PROBATION:
                return Standing(Verdict.PROBATION, 0.0, self.offences, 0)
        if reputation < response.limit:
            return self._quarantined(response, now)
        verdict = Verdict.SUSPECT if reputation < response.mark else Verdict.TRUSTED
        return Standing(verdict, 0.0, self.offences)

    def rewarded(self, reputation: float, response: Response) -> Standing:
        """After a good round that left so much reputation."""
        match self.verdict:
            case Verdict.PROBATION if self.good_rounds + 1 >= response.probation_rounds:
                return Standing(Verdict.TRUSTED, 0.0, self.offences)
            case Verdict.PROBATION:
                return Standing(Verdict.PROBATION, 0.0, self.offences, self.good_rounds + 1)
            case Verdict.SUSPECT if reputation >= response.mark:
                return Standing(Verdict.TRUSTED, 0.0, self.offences)
        return self

    def released(self, now: float) -> Standing:
        """Once its time is over."""
        if self.verdict is Verdict.QUARANTINED and now >= self.until:
            return Standing(Verdict.PROBATION, 0.0, self.offences)
        return self

    def ordered(self, verdict: Verdict, until: float) -> Standing | None:
        """By an operator's word, which is no offence of the peer's; None where it stands against what is known."""
        match verdict:
            case _ if self.verdict is Verdict.EVICTED:
                return None
            case Verdict.QUARANTINED:
                return Standing(verdict, until, self.offences)
            case Verdict.EVICTED:
                return Standing(verdict, 0.0, self.offences)
            case Verdict.PROBATION if self.verdict is Verdict.QUARANTINED:
                return Standing(verdict, 0.0, self.offences)
        return None

    def _quarantined(self, response: Response, now: float) -> Standing:
        factor = min(2**self.offences, MAX_FACTOR)
        return Standing(Verdict.QUARANTINED, now + factor * response.quarantine_s, self.offences + 1)
