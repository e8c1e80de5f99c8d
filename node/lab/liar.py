"""A node of a lab that lies: an attack between what its learner does and what its peers are told.

    learner ──► own vector or update ──► Attack ──► rounds
       ▲                                   ▲
       └──────────── outcome ──────────────┴── what it saw of others: their vectors, or the sums that were opened

It follows every protocol to the letter: what it brings to a secret phase is dealt and proved like any other update.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from consensus.effects import Outcome
from consensus.messages import Vector
from consensus.private_outcome import PrivateOutcome
from consensus.sharing import Update
from crypto.field import Signed
from crypto.identity import PeerId
from detect.peers.evidence import Evidence, Severity
from detect.peers.watch import Findings
from node.lab.attacks import Attack, View, within
from node.learning.learner import Assessment, Learner, Trained
from node.watch import Review

_SEED: Final = 0x11A5


@dataclass(frozen=True, slots=True)
class Lattice:
    """How updates that carry a share of noise are written: in whole numbers, which no sharing clips."""

    scale: float
    """Units that 1 is written as."""
    longest: float = math.inf
    """Norm in units that is proved without fail."""

    def written(self, update: Vector) -> Signed:
        """`update` (d,) as int32 (d,), drawn in to the longest."""
        return np.rint(within((update * self.scale).astype(np.float32), self.longest)).astype(np.int32)

    def read(self, noised: Signed) -> Vector:
        """The update that is written as `noised`."""
        return (noised / self.scale).astype(np.float32)


class Liar:
    """A learner to the runtime, and its lookout: it shuns nobody, and remembers what it saw."""

    loss = None
    shunned: frozenset[PeerId] = frozenset()
    evicted: frozenset[PeerId] = frozenset()

    def __init__(
        self,
        learner: Learner,
        attack: Attack,
        *,
        me: PeerId,
        accomplices: frozenset[PeerId],
        members: int,
        seed: int,
        lattice: Lattice | None = None,
    ) -> None:
        """`accomplices` are all that lie, itself among them; `members` are those of its committee. Accomplices draw
        alike. `lattice` is that of updates with a share of noise.
        """
        self._learner = learner
        self._attack = attack
        self._me = me
        self._accomplices = accomplices
        self._members = members
        self._seed = seed
        self._lattice = lattice
        self._round = 0
        self._before = learner.vector()
        self._honest: list[Vector] = []
        """Vectors that honest peers sent in the last round, or the update of the others in the last sum."""
        self._moved: Vector | None = None
        """What it brought to the last sum."""
        self._others: Vector | None = None
        self._said: Vector | None = None
        self._trained = False

    # --- a learner --------------------------------------------------------------------------------------------------

    def train(self, round: int, pulse: Callable[[], None]) -> Trained:  # noqa: A002 - the glossary's word
        """As any node: what it says is made from what it learned."""
        self._before, self._round = self._learner.vector(), round
        trained = self._learner.train(round, pulse)
        self._trained, self._said, self._moved = True, None, None
        return trained

    def vector(self) -> Vector:
        """After a training what it says; else what it holds."""
        own = self._learner.vector()
        if not self._trained:
            return own
        if self._said is None:
            self._said = self._attack.vector(self._view(own, self._before, self._honest))
        return self._said

    def update(self, base: Vector) -> Update | None:
        """What it deals: its lie about its update. It adds no noise."""
        own = self._learner.update(base)
        if own is None:
            return None
        known = [] if self._others is None else [(base + self._others).astype(np.float32)]
        if own.noise is None or self._lattice is None:
            mine = own.vector
        else:
            mine = known[0] - base if known else own.vector + self._lattice.read(own.noise)
        view = self._view((base + mine).astype(np.float32), base, known)
        moved = (self._attack.vector(view) - base).astype(np.float32)
        if own.noise is None or self._lattice is None:
            self._moved = moved
            return Update(moved)
        # An update is clipped to next to nothing where its noise holds it: the lie goes where the noise would have.
        written = self._lattice.written(moved)
        self._moved = self._lattice.read(written)
        return Update(np.zeros_like(moved), written)

    def adopt(self, vector: Vector, round: int, *, averaged: bool) -> Assessment:  # noqa: A002
        """As any node."""
        self._trained = False
        return self._learner.adopt(vector, round, averaged=averaged)

    def _view(self, own: Vector, before: Vector, honest: Sequence[Vector]) -> View:
        return View(
            own=own,
            before=before,
            honest=np.stack(honest) if honest else np.empty((0, own.size), np.float32),
            members=self._members,
            accomplices=len(self._accomplices),
            round=self._round,
            rng=np.random.default_rng([self._seed, self._round, _SEED]),
        )

    # --- a lookout ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A round begins."""

    def fault(self, number: int, culprit: PeerId, reason: str, severity: Severity = Severity.HIGH) -> None:
        """It holds nothing against anybody."""

    def take_faults(self) -> list[Evidence]:
        """None."""
        return []

    def review(
        self,
        number: int,
        outcome: Outcome,
        before: Vector,  # noqa: ARG002
        secret: PrivateOutcome | None,
        faults: Sequence[Evidence] = (),  # noqa: ARG002
    ) -> Review:
        """Remember what was seen of the others."""
        if outcome.kept:
            heard = outcome.kept[0].heard
            self._honest = [heard[peer] for peer in sorted(heard) if peer not in self._accomplices]
        if secret is not None and secret.mean is not None:
            self._others = self._without_me(secret.mean, secret.accepted)
        return Review(number, Findings((), ()), MappingProxyType({}), frozenset())

    def _without_me(self, mean: Vector, accepted: Sequence[PeerId]) -> Vector:
        """The mean of what the others brought: whoever knows its own part subtracts it."""
        count = len(accepted)
        if self._me not in accepted or self._moved is None or count < 2:
            return mean
        others: Vector = ((count * mean - self._moved) / (count - 1)).astype(np.float32)
        return others
