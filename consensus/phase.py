"""One phase of a round of the open mode: who was heard, who can still come, and what it adds up to."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from consensus.errors import PlanError, RemoteFault
from consensus.messages import Vector
from consensus.mixing import squared_distance
from consensus.rules import Rule
from consensus.standpoint_rules import Standpoint
from crypto.identity import PeerId

_ROUNDING = 1e-9
_NOWHERE: Final = Standpoint()


def least_members(quorum: float, members: int) -> int:
    """How many of a committee of so many, oneself among them, close a phase where `quorum` is the share asked for."""
    return max(1, math.ceil(quorum * members - _ROUNDING))


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """The average of a phase, shape (d,), read-only, and the squared distance of those averaged from the own vector."""

    vector: Vector
    squared_distance: float


class Phase:
    """Collects one vector of each member.

    A member other than `me` is in one of these conditions; what is not in the table changes nothing.

        condition   a vector     another, or a bad one   speaks of a later phase or round
        expected    heard        convicted               passed by
        passed by   heard        convicted
        heard                    convicted
        convicted

    Another vector of one that may have been started again since the first changes nothing either (`began_anew`).
    """

    def __init__(
        self,
        label: str,
        me: PeerId,
        weights: Mapping[PeerId, float],
        size: int,
        quorum: float,
        shunned: Collection[PeerId] = (),
    ) -> None:
        """`label` names the phase in faults, `size` is d. `shunned` are heard and not averaged. Raises `ValueError` for
        weights that are no committee's.
        """
        _check(label, me, weights)
        self._label = label
        self._me = me
        self._weights = weights
        self._size = size
        self._quorum = least_members(quorum, len(weights))
        self._expected = {peer for peer in weights if peer != me}
        self._passed_by: set[PeerId] = set()
        self._convicted: set[PeerId] = set()
        self._heard: dict[PeerId, Vector] = {}
        self._anew: set[PeerId] = set()
        self._shunned = frozenset(shunned) & (weights.keys() - {me})
        self.others = tuple(sorted(self._expected))
        """The members other than `me`, in the order in which everybody sorts them."""

    @property
    def heard(self) -> Set[PeerId]:
        """Whose vector counts."""
        return self._heard.keys()

    @property
    def averaged(self) -> Set[PeerId]:
        """Whose vector is averaged: of those heard, who is not shunned."""
        return self._heard.keys() - self._shunned

    @property
    def vectors(self) -> Mapping[PeerId, Vector]:
        """What was heard, of those shunned too."""
        return MappingProxyType(dict(self._heard))

    @property
    def missing(self) -> Set[PeerId]:
        """The members without a vector that counts, whatever the reason."""
        return self._expected | self._passed_by | self._convicted

    def began_anew(self, peer: PeerId) -> None:
        """`peer` may be another process than the one that was heard. With noise, several phases or a `send_threshold`
        an honest node says another thing after a kill -9 than before: the first counts, the second convicts nobody.
        """
        if peer in self._heard:
            self._anew.add(peer)

    def hear(self, peer: PeerId, vector: Vector) -> bool:
        """Take the word of `peer`; False where it changes nothing (no member, convicted before, said before).

        Raises `RemoteFault` for a vector that no honest member sends; nothing that the culprit said in this phase
        counts from then on.
        """
        if peer not in self._weights or peer == self._me or peer in self._convicted:
            return False
        if vector is self._heard.get(peer):
            return False  # `Unchanged` costs its sender forty bytes, and must not cost us a look at a million numbers
        if (reason := self._fault(peer, vector)) is not None:
            self._convict(peer)
            raise RemoteFault(peer, f"{self._label}: {reason}")
        if peer in self._heard:
            return False
        self._expected.discard(peer)
        self._passed_by.discard(peer)
        self._heard[peer] = vector
        return True

    def _fault(self, peer: PeerId, vector: Vector) -> str | None:
        if vector.dtype != np.float32 or vector.shape != (self._size,):
            return f"a vector of shape {vector.shape} {vector.dtype}, expected ({self._size},) float32"
        if not np.isfinite(vector).all():
            return f"{int((~np.isfinite(vector)).sum())} of {self._size} values are not finite"
        if peer in self._heard and peer not in self._anew and not np.array_equal(vector, self._heard[peer]):
            return "a second vector that differs from the first"
        return None

    def _convict(self, peer: PeerId) -> None:
        self._heard.pop(peer, None)
        self._expected.discard(peer)
        self._passed_by.discard(peer)
        self._convicted.add(peer)

    def pass_by(self, peer: PeerId) -> None:
        """`peer` is further on: from one peer all arrives in the order of sending, so its word for this one is lost."""
        if peer in self._expected:
            self._expected.discard(peer)
            self._passed_by.add(peer)

    def awaited(self, away: Set[PeerId]) -> Set[PeerId]:
        """The members worth waiting for while those in `away` are not."""
        return self._expected - away

    def settled(self, away: Set[PeerId]) -> bool:
        """Whether waiting is pointless: all who can be awaited are heard and make a quorum, or none can be reached."""
        return (self._has_quorum(0) and not self.awaited(away)) or not self._has_quorum(len(self._expected))

    def _has_quorum(self, further: int) -> bool:
        return 1 + len(self._heard) + further >= self._quorum

    def mix(self, mine: Vector, rule: Rule, standpoint: Standpoint = _NOWHERE) -> Mixed | None:
        """The average of what was heard and `mine`, the weight of whoever is missing or shunned given to `mine`; None:
        no quorum, or fewer vectors than the rule needs to bear its liars.

        `standpoint` is the node's, but for its place. Members that heard and shun the same get the same to the last
        bit: but for rules that judge by one's own, rules do not depend on the order of their arguments.
        """
        averaged = self.averaged
        if not self._has_quorum(0):
            return None
        vectors = {peer: self._heard[peer] for peer in averaged} | {self._me: mine}
        # With nobody missing this adds an exact zero, and the weight of the plan stays what it is to the last bit.
        left_out = (peer for peer in self._weights if peer not in vectors)
        own_weight = self._weights[self._me] + math.fsum(self._weights[peer] for peer in left_out)
        weights = {**self._weights, self._me: own_weight}
        order = sorted(vectors)
        try:
            mixed = rule(
                [vectors[peer] for peer in order],
                [weights[peer] for peer in order],
                replace(standpoint, own=order.index(self._me)),
            )
        except PlanError:  # too few to be safe: void rather than wrong
            return None
        mixed.flags.writeable = False
        heard = sorted(averaged)
        distance = squared_distance(mine, [vectors[peer] for peer in heard], [weights[peer] for peer in heard])
        return Mixed(mixed, distance)

    def release(self) -> None:
        """Let go of the vectors once the phase is closed: a round of r phases holds one phase's at a time."""
        self._heard.clear()


def _check(label: str, me: PeerId, weights: Mapping[PeerId, float]) -> None:
    if me not in weights:
        raise ValueError(f"{label}: a node is a member of its own committee: {me} has no weight")
    # `not >=` refuses NaN too
    if any(not weight >= 0.0 for weight in weights.values()) or abs(math.fsum(weights.values()) - 1.0) > _ROUNDING:
        raise ValueError(f"{label}: weights are >= 0 and sum to 1: {sorted(weights.values())}")
