"""One node's eyes on its peers: what it saw becomes evidence, evidence reputation, reputation a verdict.

    open phase    vectors ──► features ──► outliers, forest ──┐
    secret phase  culprits, the mean over ever other dealers ─┼─► Evidence ──► Reputations ──► Change, shunned
    elsewhere     faults of messages ─────────────────────────┘

A z-score alone is no evidence: honest nodes with uneven data are far from each other in every feature, and with eight
of them some are always beyond three deviations. So each kind asks for a fact besides that honest updates seldom come
by (`_severity`; measured with seven neighbours or more at Dirichlet 0.1 and 0.5, `tests/benchmarks`): an update that
points away from the others' median, one many times as long, one that all but destroys the model, one that puts much of
its energy where others have none, as a backdoor does. Among five vectors honest ones come by it too, one neighbour long
away above all. What the forest alone finds odd is a low fact, and low facts never quarantine by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from consensus.messages import Vector
from crypto.identity import PeerId
from detect.peers.evidence import Evidence, Severity
from detect.peers.features import Seen, features, rare_shares
from detect.peers.group_test import GroupTest
from detect.peers.outliers import LEAST_PEERS, Values, robust_z
from detect.peers.quarantine import Response
from detect.peers.reputation import Change, Reputations

FEATURES: Final = ("norm", "cosine", "distance", "layer", "loss_change", "lateness")
"""What a forest is asked about where the node has a holdout that may steer."""
_AWAY: Final = -0.4
"""Cosine to the median below which an update works against the others. Honest ones stay above where eight meet at
Dirichlet 0.1; where five meet (an MLP on digits, 0.5) some come to −0.48.
"""
_OVER: Final = 0.3
"""Of the longest that a round's median update ever was: below, most is learned, and where updates nearly cancel
somebody honest has to point away from the others (an MLP on digits, Dirichlet 0.5 and 0.1: −0.46 from 0.19 on).
"""
_LONG: Final = (8.0, 12.0)
"""Times the median length, or distance: medium, high. Honest ones reach 7 where another pulls the model away."""
_LAYER: Final = 5.0
"""Times the usual share of an update in one layer."""
_RUIN: Final = (5.0, 20.0)
"""Nats that a vector costs on the holdout: medium, high. A guess among ten classes costs 2.3."""
_RARE: Final = 0.25
"""Share of an update's energy in coordinates that others leave alone (`rare_shares`), where it is 15 deviations out.
MNIST's backdoors at Dirichlet 1.0 and 0.3 are so in most of the first rounds. Of honest nodes (Dirichlet 0.1 to 1.0,
one class a node, 8 and 24 nodes, softmax and an MLP) some are once; in three rounds, as it takes, none was beyond 12.
At 0.1, and where honest rows light the trigger's pixels too (digits), backdoors are no further out, and not found.
"""
_EARLY: Final = 0.4
"""Of the longest that a round's median update ever was: below, an honest node whose rows are like nobody's still learns
what the others have learned, and half of its energy may be rare (softmax on digits, Dirichlet 0.1). Then this is a fact
about those alone that were in quarantine before. So it finds who begins early, and not who waits until all is learned.
"""
_PULL: Final = 4.0
"""Standard errors; more where the limit of z is higher."""


class Forest(Protocol):
    """What a watch asks of an Isolation Forest (`detect.peers.forest`)."""

    @property
    def trained(self) -> bool:
        """Whether it judges yet."""

    def see(self, sample: Mapping[str, float], *, accused: bool) -> None:
        """One update, and whether other evidence speaks against it."""

    def odd(self, samples: Sequence[Mapping[str, float]]) -> list[bool]:
        """Which are out of the ordinary."""

    def learn(self) -> object:
        """Train a challenger if it is time."""

    def snapshot(self) -> dict[str, Any]:
        """Plain values and bytes."""

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on. Raises `ValueError`."""


@dataclass(frozen=True, slots=True)
class WatchTerms:
    """The settings: `[detect]` of the topology file, and where layers begin in the flat vector."""

    response: Response = field(default_factory=Response)
    z_limit: float = 3.0
    layers: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of a round."""

    evidence: tuple[Evidence, ...]
    changes: tuple[Change, ...]


class PeerWatch:
    """`peers` are all whose word may come to count. `now` is seconds since the epoch throughout."""

    def __init__(
        self,
        peers: Collection[PeerId],
        terms: WatchTerms,
        *,
        forest: Forest | None = None,
        group_test: bool = False,
        me: PeerId | None = None,
    ) -> None:
        """`me`, where given, is a member of companies in the group test, and never accused."""
        self._terms = terms
        self._forest = forest
        self._me = me
        self._reputations = Reputations(peers, terms.response)
        self._peers = frozenset(peers)
        members = self._peers | ({me} if me is not None else set())
        self._group_test = GroupTest(members) if group_test else None
        self._evidence: list[Evidence] = []
        self._changes: list[Change] = []
        self._longest = 0.0
        self._took_part: set[PeerId] = set()
        self._accused: set[PeerId] = set()

    # --- what happens ---------------------------------------------------------------------------------------------

    def accuse(self, evidence: Evidence, now: float) -> None:
        """Take a fact in. One about somebody off the list is nobody's business; a low one stops short of quarantine."""
        if evidence.peer not in self._peers:
            return
        self._accused.add(evidence.peer)
        if evidence.severity is Severity.LOW and self.score(evidence.peer) <= self._terms.response.mark:
            return
        self._evidence.append(evidence)
        self._note(self._reputations.accuse(evidence, now))

    def look(
        self,
        number: int,
        seen: Mapping[PeerId, Seen],
        own: Vector,
        before: Vector,
        now: float,
        loss: Callable[[Vector], float] | None = None,
    ) -> None:
        """An open phase of round `number`: what others sent, our `own` vector (d,), the last consensus `before` (d,).

        Our own is among those that make the median, and is not judged.
        """
        peers = sorted(self._peers & seen.keys())
        self._took_part |= set(peers)
        if not peers:
            return
        company = {str(peer): seen[peer] for peer in peers} | {"": Seen(own, 0.0)}  # no PeerId is empty; it sorts first
        columns = features({PeerId(name): sight for name, sight in company.items()}, before, self._terms.layers, loss)
        columns["rare"] = rare_shares(np.stack([company[name].vector for name in sorted(company)]) - before)
        scores = {name: robust_z(np.asarray(values)) for name, values in columns.items()}
        usual = {name: float(np.median(values)) for name, values in columns.items()}
        length = usual["norm"]
        if len(company) >= LEAST_PEERS:  # of fewer one liar makes the median, and what it says is remembered
            self._longest = max(self._longest, length)
        if length < _OVER * self._longest:
            scores["cosine"] = np.zeros(len(company))
        if length < _EARLY * self._longest:
            known = [self._reputations.standing(peer).offences > 0 for peer in peers]
            scores["rare"] = scores["rare"] * np.array([False, *known])
        samples = [{name: values[place + 1] for name, values in columns.items()} for place in range(len(peers))]
        odd = [False] * len(peers) if self._forest is None else self._forest.odd([_whole(one) for one in samples])
        for place, peer in enumerate(peers):
            fact = self._fact(number, peer, place + 1, columns, scores, usual, odd=odd[place])
            if fact is not None:
                self.accuse(fact, now)
            if self._forest is not None:
                self._forest.see(_whole(samples[place]), accused=fact is not None and fact.severity != Severity.LOW)
        if self._forest is not None:
            self._forest.learn()

    def _fact(
        self,
        number: int,
        peer: PeerId,
        place: int,
        columns: Mapping[str, Sequence[float]],
        scores: Mapping[str, Values],
        usual: Mapping[str, float],
        *,
        odd: bool,
    ) -> Evidence | None:
        """The gravest that speaks against the one at `place`."""
        worst: tuple[Severity, str, str] | None = None
        far = False
        for name, values in columns.items():
            z, value = float(scores[name][place]), float(values[place])
            far = far or abs(z) > self._terms.z_limit
            severity = _severity(name, z, value, usual[name], self._terms.z_limit)
            if severity is not None and (worst is None or _ORDER[severity] > _ORDER[worst[0]]):
                worst = severity, name, f"{_SAYS[name]} {value:.3g}, z = {z:.1f} among {len(values)}"
        if worst is None and odd and far:
            worst = Severity.LOW, "forest", "its update is unlike those of this run so far"
        return None if worst is None else Evidence(peer, number, worst[1], worst[0], worst[2])

    def open_sum(
        self, number: int, accepted: Sequence[PeerId], mean: Vector, now: float, weights: Sequence[int] = ()
    ) -> None:
        """A secret phase of round `number` opened `mean` (d,) over the updates of `accepted`, by `weights` where they
        were weighed.
        """
        self._took_part |= self._peers & set(accepted)
        if self._group_test is None:
            return
        self._group_test.see(accepted, mean, weights)
        limit = max(_PULL, self._terms.z_limit)
        for peer, pull in self._group_test.pulls().items():
            if pull > limit and peer in accepted and peer != self._me:
                reason = f"it pulls the sums that it is in against the others, by {pull:.1f} standard errors"
                self.accuse(Evidence(peer, number, "group-test", Severity.MEDIUM, reason), now)

    def was_there(self, peers: Collection[PeerId]) -> None:
        """They took part in the round in a way that shows nothing."""
        self._took_part |= self._peers & set(peers)

    def settle(self, now: float) -> Findings:
        """The round is over: reward who took part and was not accused, release whose time is over; what came of it."""
        for peer in sorted(self._took_part - self._accused):
            self._note(self._reputations.reward(peer))
        self._took_part.clear()
        self._accused.clear()
        self._changes += self._reputations.release(now)
        found = Findings(tuple(self._evidence), tuple(self._changes))
        self._evidence, self._changes = [], []
        return found

    def _note(self, change: Change | None) -> None:
        if change is not None:
            self._changes.append(change)

    # --- what is believed -----------------------------------------------------------------------------------------

    def shunned(self) -> frozenset[PeerId]:
        """Who is not averaged."""
        return self._reputations.shunned()

    def evicted(self) -> frozenset[PeerId]:
        """Who is not even heard."""
        return self._reputations.evicted()

    def score(self, peer: PeerId) -> float:
        """The reputation of `peer`, 0 to 100."""
        return self._reputations.score(peer)

    def trust(self, peer: PeerId) -> float:
        """What its word weighs, in [0, 1]."""
        return self._reputations.trust(peer)

    @property
    def settings(self) -> dict[str, str | int]:
        """What changes while it watches, for people."""
        forest, group_test = "off", "off"
        if self._forest is not None:
            forest = "trained" if self._forest.trained else "not trained yet: approve"
        if self._group_test is not None:
            group_test = "on"
        return {"forest": forest, "group_test": group_test, "left_out": len(self.shunned())}

    @property
    def reputations(self) -> Reputations:
        """All that is believed."""
        return self._reputations

    # --- a restart ------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """All of it, in plain values and bytes."""
        return {
            "reputations": self._reputations.snapshot(),
            "longest": self._longest,
            "forest": None if self._forest is None else self._forest.snapshot(),
            "group_test": None if self._group_test is None else self._group_test.snapshot(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from `snapshot`; what is switched off now is passed over. Raises `ValueError` where it is none."""
        if not isinstance(snapshot, Mapping) or not isinstance(snapshot.get("reputations"), Mapping):
            raise ValueError("it holds no reputations")  # noqa: TRY004 - told as all damage is
        longest = snapshot.get("longest")
        if not isinstance(longest, float) or not 0 <= longest < float("inf"):
            raise ValueError(f"its longest update is {longest!r}")
        self._reputations.restore(snapshot["reputations"])
        self._longest = longest
        for part, name in ((self._forest, "forest"), (self._group_test, "group_test")):
            stored = snapshot.get(name)
            if part is None or stored is None:
                continue
            if not isinstance(stored, Mapping):
                raise ValueError(f"its {name} is no table")  # noqa: TRY004 - as above
            part.restore(stored)


_ORDER: Final = {severity: place for place, severity in enumerate(Severity)}
_SAYS: Final = {
    "norm": "length of its update",
    "cosine": "cosine of its update to the median one",
    "distance": "distance of its vector to the median one",
    "layer": "share of its update in one layer, times the usual",
    "loss_change": "nats that its vector costs on the holdout",
    "rare": "share of its update where others have next to nothing",
    "lateness": "lateness",
}


def _severity(name: str, z: float, value: float, usual: float, limit: float) -> Severity | None:
    """How grave it is that a peer has `value` in a feature, `z` deviations from the `usual` one."""
    match name:
        case "cosine" if z < -limit and value < _AWAY:
            return Severity.HIGH if z < -2 * limit else Severity.MEDIUM
        case "norm" | "distance" if z > 2 * limit and value > _LONG[0] * usual:
            return Severity.HIGH if z > 4 * limit and value > _LONG[1] * usual else Severity.MEDIUM
        case "layer" if z > 2 * limit and value > _LAYER * usual:
            return Severity.MEDIUM
        case "loss_change" if z > 2 * limit and not value < _RUIN[0]:
            return Severity.HIGH if z > 4 * limit and not value < _RUIN[1] else Severity.MEDIUM
        case "rare" if z > 5 * limit and value > _RARE:
            return Severity.HIGH
    return None  # lateness: a slow device is no liar; a low value elsewhere harms nobody


def _whole(sample: Mapping[str, float]) -> dict[str, float]:
    """A sample as the forest takes it: where there is no holdout the loss says nothing."""
    return {name: sample.get(name, 0.0) for name in FEATURES}
