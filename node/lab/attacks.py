"""What Byzantine nodes contribute instead of their honest vectors. The lab and the simulator obey; nothing else does.

An attack sees what its node knows, a `View`, and says what goes out. It turns, stretches or replaces the *update*
x − y, y being the last consensus: with y = 0 it acts on models, as some papers write it. In a private round the same
attack acts on the update that is dealt, and what it says goes through `within`, since a longer one is found out.

Attacks that lie about data are in `attacks_on_data`; both are in one table there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from consensus.messages import Vector

Vectors: TypeAlias = npt.NDArray[np.float32]
"""(k, d)."""


@dataclass(frozen=True, eq=False)
class Listener:
    """Whom a Byzantine node speaks to, where it may say something else to each."""

    vector: Vector
    """Its own (d,)."""
    place: int
    """Its place in the order of the peers, the same for all who speak to it."""
    weights: npt.NDArray[np.float64]
    """What it gives each vector of the view's `honest`, (k,)."""
    liars: float
    """What it gives all Byzantine vectors together, > 0."""


@dataclass(frozen=True, eq=False)
class View:
    """What a Byzantine node knows when it is its turn to contribute."""

    own: Vector
    """(d,): what it would send were it honest."""
    before: Vector
    """(d,): the last consensus."""
    honest: Vectors
    """(k, d), k may be 0: those of this round in the simulator (it knows all), those it saw last in the lab."""
    members: int
    """n of the committee."""
    accomplices: int
    """f: Byzantine members, this one counted."""
    round: int
    rng: np.random.Generator
    """Seeded alike at all accomplices where they are to agree."""
    listener: Listener | None = None
    """None: the same goes to everybody."""

    @property
    def update(self) -> Vector:
        """(d,): its own honest update."""
        return self.own - self.before

    @property
    def updates(self) -> Vectors:
        """(k, d): the honest updates it knows of, or its own alone, k = 1."""
        return (self.honest if len(self.honest) else self.own[None]) - self.before


class Attack(ABC):
    """One adversary's behaviour. It may remember: each Byzantine node has its own."""

    per_listener: ClassVar[bool] = False
    """Whether it says other things to other peers."""

    def vector(self, view: View) -> Vector:
        """What goes out, (d,) float32."""
        return self._said(view)

    @abstractmethod
    def _said(self, view: View) -> Vector: ...


def within(update: Vector, limit: float) -> Vector:
    """`update` (d,) drawn in to the norm `limit`: what a private round's proof lets pass."""
    norm = float(np.linalg.norm(update))
    return update if norm <= limit else (update * (limit / norm)).astype(np.float32)


def _sent(view: View, update: npt.NDArray[np.floating]) -> Vector:
    return (view.before + update).astype(np.float32)


@dataclass
class SignFlip(Attack):
    """−s times the mean of the honest updates: Li et al., "RSA" (2019), section 5; with its own where it saw none."""

    scale: float = 1.0

    def _said(self, view: View) -> Vector:
        return _sent(view, -self.scale * view.updates.mean(axis=0))


@dataclass
class Scaling(Attack):
    """Its honest update s times: Bagdasaryan et al., "How to backdoor federated learning" (2020), model replacement."""

    scale: float = 10.0

    def _said(self, view: View) -> Vector:
        return _sent(view, self.scale * view.update)


@dataclass
class Gaussian(Attack):
    """The honest mean and noise of that deviation a coordinate: Xie et al., "Generalized Byzantine-tolerant SGD"
    (2018), section 5; 30 as in Wu, Chen & Ling (2023).
    """

    deviation: float = 30.0

    def _said(self, view: View) -> Vector:
        return _sent(view, view.updates.mean(axis=0) + self.deviation * view.rng.standard_normal(len(view.own)))


@dataclass
class Alie(Attack):
    """The honest mean, moved in each coordinate by z honest deviations: Baruch, Baruch & Goldberg, "A little is enough"
    (2019), algorithm 3.

    With s = ⌊n/2 + 1⌋ − f honest members to win over, z is the normal quantile of (n − f − s)/(n − f): that many honest
    lie beyond, so that a majority stands on the liars' side.
    """

    z: float | None = None
    """None: by the formula."""
    side: float = -1.0
    """Which way: −1 or 1. All accomplices go one way."""

    def _said(self, view: View) -> Vector:
        z = alie_z(view.members, view.accomplices) if self.z is None else self.z
        updates = view.updates
        spread = updates.std(axis=0, ddof=1) if len(updates) > 1 else np.abs(updates[0])
        return _sent(view, updates.mean(axis=0) + self.side * z * spread)


def alie_z(members: int, liars: int) -> float:
    """z of ALIE; at least 0."""
    honest = max(members - liars, 1)
    supporters = max(members // 2 + 1 - liars, 1)
    share = (honest - supporters) / honest
    return NormalDist().inv_cdf(min(max(share, 0.5), 0.999))


@dataclass
class InnerProduct(Attack):
    """−ε times the honest mean: Xie, Koyejo & Gupta, "Fall of empires" (2020), section 4. A small ε hides; beyond
    (n − f)/f even the plain mean turns round.
    """

    epsilon: float = 0.5

    def _said(self, view: View) -> Vector:
        return _sent(view, -self.epsilon * view.updates.mean(axis=0))


@dataclass
class Mimic(Attack):
    """All copy one honest peer, whose data then count many times: Karimireddy, He & Jaggi, "Byzantine-robust learning
    on heterogeneous datasets via bucketing" (2022), section 4.

    The one is chosen once, after `warm_up` rounds, as furthest out along the direction in which the honest differ most
    (their appendix: Oja's rule; here power iteration on each round's updates). Before, they copy the first.
    """

    warm_up: int = 10
    _direction: Vector | None = None
    _chosen: int | None = None

    def _said(self, view: View) -> Vector:
        updates = view.updates
        apart = updates - updates.mean(axis=0)
        if self._direction is None:
            self._direction = apart[int(np.linalg.norm(apart, axis=1).argmax())]
        if self._chosen is None or self._chosen >= len(updates):
            along = apart @ self._direction
            turned = apart.T @ along
            length = float(np.linalg.norm(turned))
            if length > 0:
                self._direction = (turned / length).astype(np.float32)
            chosen = int((apart @ self._direction).argmax())
            if view.round < self.warm_up:
                return _sent(view, updates[0])
            self._chosen = chosen
        return _sent(view, updates[self._chosen])


@dataclass
class Dissensus(Attack):
    """To each x_i: x_i − ε Σ_j w_ij (x_j − x_i) / w_liars: He, Karimireddy & Jaggi, "Byzantine-robust decentralized
    learning via ClippedGossip" (2022), section 5. With ε > 1 gossip drives the honest apart.

    Without a listener it speaks as if to the honest peer nearest to their mean.
    """

    epsilon: float = 1.5
    per_listener: ClassVar[bool] = True

    def _said(self, view: View) -> Vector:
        if not len(view.honest):
            return view.own
        listener = view.listener
        if listener is None:
            weights = np.full(len(view.honest), 1 / view.members)
            mean = view.honest.mean(axis=0)
            nearest = int(np.linalg.norm(view.honest - mean, axis=1).argmin())
            listener = Listener(view.honest[nearest], 0, weights, view.accomplices / view.members)
        pull = listener.weights @ (view.honest - listener.vector)
        return (listener.vector - self.epsilon / listener.liars * pull).astype(np.float32)


@dataclass
class Isolation(Dissensus):
    """To each what leaves it where it is, so that it learns alone: Wu, Chen & Ling (2023), section VI."""

    epsilon: float = 1.0


@dataclass
class Duplicate(Attack):
    """An honest peer's vector, drawn each time: sample duplicating of Wu, Chen & Ling (2023), section VI."""

    per_listener: ClassVar[bool] = True

    def _said(self, view: View) -> Vector:
        if not len(view.honest):
            return view.own
        drawn: Vector = view.honest[int(view.rng.integers(len(view.honest)))]
        return drawn


@dataclass
class SlowDrift(Attack):
    """Its honest update and a small step in one direction, the same in every round: what averages out in honest noise
    adds up in it. Cf. the time-coupled attacks of Karimireddy, He & Jaggi, "Learning from history" (2021), section 3.

    The direction is against what the honest learned in the first round that it saw.
    """

    step: float = 0.3
    """Of the length of its honest update."""
    _direction: Vector | None = None

    def _said(self, view: View) -> Vector:
        if self._direction is None:
            learned = view.updates.mean(axis=0)
            self._direction = -learned / max(float(np.linalg.norm(learned)), float(np.finfo(np.float32).tiny))
        return _sent(view, view.update + self.step * float(np.linalg.norm(view.update)) * self._direction)


@dataclass
class FreeRider(Attack):
    """The last consensus back, with a little noise for a disguise: Fraboni, Vidal & Lorenzi, "Free-rider attacks on
    model aggregation in federated learning" (2021), section 3.2.
    """

    noise: float = 0.01
    """Norm of the disguise beside an honest update's."""

    def _said(self, view: View) -> Vector:
        length = float(np.linalg.norm(view.updates, axis=1).mean())
        drawn = view.rng.standard_normal(len(view.own))
        return _sent(view, drawn * (self.noise * length / np.linalg.norm(drawn)))


@dataclass
class StaleReplay(Attack):
    """What it would have sent `age` rounds ago: the replays of Damaskinos et al., "Asynchronous Byzantine machine
    learning (Kardam)" (2018), as an attack.
    """

    age: int = 10
    _past: list[Vector] | None = None

    def _said(self, view: View) -> Vector:
        past = [] if self._past is None else self._past
        past.append(view.own.copy())
        self._past = past[-self.age - 1 :]
        return self._past[0]


@dataclass
class Equivocation(Attack):
    """To half of the peers its update s times, to the others as much of the opposite: two-faced Byzantine generals of
    Lamport, Shostak & Pease (1982). What reaches everybody at once, as in a private round, is the first.
    """

    scale: float = 2.0
    per_listener: ClassVar[bool] = True

    def _said(self, view: View) -> Vector:
        side = 1.0 if view.listener is None or view.listener.place % 2 == 0 else -1.0
        return _sent(view, side * self.scale * view.update)
