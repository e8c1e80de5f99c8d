"""A swarm with Byzantine members, round by round in virtual time: in the open, and in rotating cells in private.

Open: every node sees every vector, watches (`detect.peers`), shuns who is in quarantine and averages the rest by a rule
of `consensus.rules`. Private: cells drawn anew each round; a member's u is clipped to 0.9 C if it is honest and can be
1.7 C long if not (what the norm proof lets pass); the cell opens one sum, weighted as SCREEN's distances and the group
test say; y is what the cell's members brought with them, certified, averaged. No message is lost here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from consensus.company import Company
from consensus.rules import DistanceAverage, Standpoint, least_members, lookup
from consensus.screen import whole_weights
from crypto.identity import PeerId
from detect.peers.group_test import GroupTest
from node.lab.attacks import Attack, Listener, View, within
from node.lab.attacks_on_data import Backdoor, DataAttack, attack
from tests.benchmarks.byzantine_learning import Learners, Problem, Rows, accuracies, dealt, predicted
from tests.benchmarks.byzantine_watch import Watch

HONEST_SHARE, ACCEPTED_SHARE = 0.9, 1.7
"""Of C: what an honest member clips to, and what a dishonest one gets through."""


STRETCHED: Mapping[str, Mapping[str, float]] = {
    "sign-flip": {"scale": 1e3},
    "scaling": {"scale": 1e3},
    "slow-drift": {"step": 3.0},
    "dissensus": {"epsilon": 1e3},
    "equivocation": {"scale": 1e3},
    "backdoor": {"boost": 1e3},
}
"""Where there is a bound, who lies goes to the bound."""


@dataclass(frozen=True)
class Screen:
    """How a cell sees its members' distances."""

    rule: str = "nnm+geometric-median"
    byzantine: int = 2
    rows: int = 0
    """Of the sketch; 0: exact distances."""
    noise: float = 0.0
    """Deviation of what is added to a squared distance, in C²."""
    least: int = 0
    """h + t: no member weighs more than one in so many, as `consensus.screen` has it; 0: as the rule says."""
    tolerated: int = 2
    """t."""

    @property
    def reach(self) -> float:
        """3 ν / √h in C²: how far each liar moves every distance, by choosing its part of the noise (`crypto.blur`);
        nothing where there is no bound on weights, which stands for a screen as it is not built.
        """
        return 3 * self.noise / (self.least - self.tolerated) ** 0.5 if self.least > self.tolerated else 0.0


@dataclass(frozen=True)
class Setting:
    """One run."""

    partition: str = "dirichlet-1.0"
    honest: int = 20
    liars: int = 4
    rounds: int = 100
    rate: float = 0.02
    steps: int = 4
    batch: int = 32
    decay: float = 0.0
    seed: int = 1
    rule: str = "mean"
    """Of the open mode."""
    byzantine: int | None = None
    """f of the rule; as many as there are."""
    watch: bool = True
    """Whether the open mode's nodes watch and shun."""
    cell: int = 8
    clip: float = 1.0
    momentum: float = 0.0
    """Of the public mean."""
    screen: Screen | None = None
    group_test: bool = False

    @property
    def nodes(self) -> int:
        return self.honest + self.liars


@dataclass
class Outcome:
    """What came of a run."""

    mean: float
    """Honest nodes' accuracy on the test rows, per cent."""
    worst: float
    success: float | None = None
    """Of a backdoor, per cent of the triggered rows of other classes."""
    caught_after: float | None = None
    """Rounds until the liars were in quarantine, the mean; None: not all were."""
    false_share: float = 0.0
    """Share of honest peers' rounds that they were not averaged in."""
    evicted: int = 0
    """Honest peers that were evicted."""


class Liars:
    """The Byzantine nodes, the last of the swarm."""

    def __init__(self, name: str, setting: Setting, *, bounded: bool = False) -> None:
        parameters = STRETCHED.get(name, {}) if bounded else {}
        self.attacks: list[Attack] = (
            [attack(name, **parameters) for _ in range(setting.liars)] if name != "none" else []
        )
        self.data = isinstance(self.attacks[0], DataAttack) if self.attacks else False
        self._setting = setting

    @property
    def per_listener(self) -> bool:
        return bool(self.attacks) and self.attacks[0].per_listener

    def rows(self, problem: Problem, places: np.ndarray, liar: int) -> Rows:
        own = Rows(problem.train.features[places], problem.train.labels[places])
        said = self.attacks[liar] if self.attacks else None
        if not isinstance(said, DataAttack):
            return own
        rng = np.random.default_rng([self._setting.seed, 0xDA7A, liar])
        features, labels = said.rows((own.features[:, :-1], own.labels), problem.classes, rng)
        return Rows(np.hstack([features, own.features[:, -1:]]), labels)

    def vectors(
        self, vectors: np.ndarray, before: np.ndarray, honest: np.ndarray, number: int, to: Listener | None = None
    ) -> np.ndarray:
        """What goes out for the liars' honest `vectors` (f, d), `before` (f, d) being their last consensus."""
        said = vectors.copy()
        for liar, kind in enumerate(self.attacks):
            rng = np.random.default_rng([self._setting.seed, number, liar, 0 if to is None else to.place])
            view = View(vectors[liar], before[liar], honest, self._setting.nodes, self._setting.liars, number, rng, to)
            said[liar] = kind.vector(view)
        return said


def swarm(problem: Problem, setting: Setting, liars: Liars) -> Learners:
    parts = dealt(problem.train, setting.partition, setting.nodes, setting.seed)
    shards = []
    order = np.random.default_rng([setting.seed, 0x0DE2]).permutation(setting.nodes)
    for node in range(setting.nodes):
        places = parts[order[node]]
        if node < setting.honest:
            shards.append(Rows(problem.train.features[places], problem.train.labels[places]))
        else:
            shards.append(liars.rows(problem, places, node - setting.honest))
    return Learners(shards, problem.classes, setting.batch, setting.seed)


def in_the_open(problem: Problem, setting: Setting, adversary: str) -> Outcome:
    """Everybody with everybody, one rule for all."""
    liars = Liars(adversary, setting)
    learners = swarm(problem, setting, liars)
    n, h = setting.nodes, setting.honest
    models = np.zeros((n, problem.size), dtype=np.float32)
    watch = Watch(n, h, problem.classes) if setting.watch else None
    f = setting.liars if setting.byzantine is None else setting.byzantine
    for number in range(setting.rounds):
        before = models
        vectors = models + learners.updates(models, setting.rate, setting.steps, setting.decay)
        if not liars.per_listener:
            seen = np.vstack([vectors[:h], liars.vectors(vectors[h:], before[h:], vectors[:h], number)])
            kept = watch.look(seen, before[0], number) if watch else np.ones(n, dtype=bool)
            models = combined(setting.rule, f, seen, kept, h)
        else:
            models = _told_apart(setting, liars, vectors, before, number, watch, f)
    return scored(problem, models[:h], liars, watch)


def _told_apart(
    setting: Setting, liars: Liars, vectors: np.ndarray, before: np.ndarray, number: int, watch: Watch | None, f: int
) -> np.ndarray:
    n, h = setting.nodes, setting.honest
    models = vectors.copy()
    kept = np.ones(n, dtype=bool)
    for place in range(h):
        listener = Listener(vectors[place], place, np.full(h, 1 / n), setting.liars / n)
        seen = np.vstack([vectors[:h], liars.vectors(vectors[h:], before[h:], vectors[:h], number, listener)])
        if watch and place == 0:
            kept = watch.look(seen, before[0], number)  # one honest node watches for all
        models[place] = one_of(setting.rule, f, seen, kept, place)
    models[h:] = models[0]
    return models


def combined(rule: str, f: int, seen: np.ndarray, kept: np.ndarray, honest: int) -> np.ndarray:
    """What each node comes to, (n, d), where all see the same."""
    if rule in SELF_CENTRED:
        models = np.stack([one_of(rule, f, seen, kept, place) for place in range(honest)])
        return np.vstack([models, np.repeat(models[:1], len(seen) - honest, axis=0)])
    return np.repeat(one_of(rule, f, seen, kept, 0)[None], len(seen), axis=0)


SELF_CENTRED = frozenset({"self-centred-clipping", "clipped-sum", "ios", "centred-clipping", "balance", "ubar"})


def one_of(name: str, f: int, seen: np.ndarray, kept: np.ndarray, own: int) -> np.ndarray:
    """The rule's result at the honest node `own`, which never shuns itself; its own vector where too few are left."""
    mask = kept.copy()
    mask[own] = True
    vectors, place = seen[mask], int(mask[:own].sum())
    # Who is shunned may be honest: nodes go on with the f of their file, and so does this.
    if len(vectors) < least_members(name, f):
        return vectors[place]
    rule = lookup(name, f)
    even = np.full(len(vectors), 1 / len(vectors))
    if isinstance(rule, DistanceAverage):
        self_centred = name in SELF_CENTRED
        distances = squared(vectors, vectors[place] if self_centred else None)
        weights = rule.weights(Company(distances, even, f, place if self_centred else None))
        return (weights @ vectors).astype(np.float32)
    if name == "mean":
        return np.asarray(vectors.mean(axis=0))
    return rule(list(vectors), list(even), Standpoint(own=place))


def squared(vectors: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
    """|x_i − x_j|², (k, k), around the median, or `near` where most are, so that one product is precise enough."""
    # Where each node has a centre of its own the median would be half of the work.
    apart = vectors.astype(np.float64) - (np.median(vectors, axis=0) if near is None else near)
    gram = apart @ apart.T
    norms = np.diag(gram)
    result: np.ndarray = np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0)
    np.fill_diagonal(result, 0.0)
    return result


def in_private(problem: Problem, setting: Setting, adversary: str) -> Outcome:
    """Cells of `setting.cell`, drawn anew each round."""
    liars = Liars(adversary, setting, bounded=True)
    learners = swarm(problem, setting, liars)
    n, h, d = setting.nodes, setting.honest, problem.size
    y, v = np.zeros((n, d), dtype=np.float32), np.zeros((n, d), dtype=np.float32)
    rng = np.random.default_rng([setting.seed, 0xCE11])
    names = [PeerId(f"{place:03}") for place in range(n)]
    test = GroupTest(names) if setting.group_test else None
    trust = np.ones(n)
    for number in range(setting.rounds):
        raw = learners.updates(y, setting.rate, setting.steps, setting.decay)
        u = np.stack([within(each, HONEST_SHARE * setting.clip) for each in raw])
        if liars.attacks:
            own = raw[h:] if liars.data else u[h:]
            said = liars.vectors(own + y[h:], y[h:], u[:h] + y[h:][:1], number) - y[h:]
            u[h:] = np.stack([within(each, ACCEPTED_SHARE * setting.clip) for each in said])
        sketched = _sketched(u, setting.screen, rng)
        for cell in np.array_split(rng.permutation(n), n // setting.cell):
            weights = trust[cell] / trust[cell].sum()
            if setting.screen is not None:
                weights = weights * cell_weights(sketched[cell], setting, rng, cell >= h if liars.attacks else None)
                weights /= weights.sum()
            opened = weights @ u[cell]
            common, speed = y[cell].mean(axis=0), v[cell].mean(axis=0)
            moved = setting.momentum * speed + opened
            y[cell], v[cell] = common + moved, moved
            if test is not None:
                test.see([names[place] for place in cell], opened.astype(np.float32))
        if test is not None and number % 5 == 4:
            pulls = test.pulls()
            trust = np.array([trusted(pulls.get(name, 0.0)) for name in names])
    return scored(problem, y[:h], liars, None)


def trusted(pull: float) -> float:
    """What a member weighs whose part is `pull` standard errors below the median."""
    return 1.0 if pull < 2 else 0.1


def _sketched(u: np.ndarray, screen: Screen | None, rng: np.random.Generator) -> np.ndarray:
    if screen is None or not screen.rows:
        return u
    signs = rng.integers(0, 4, (u.shape[1], screen.rows), dtype=np.int8)
    rows = ((signs == 0).astype(np.float32) - (signs == 1)) * np.float32((2 / screen.rows) ** 0.5)
    return np.asarray(u @ rows)


def cell_weights(
    u: np.ndarray, setting: Setting, rng: np.random.Generator, lying: np.ndarray | None = None
) -> np.ndarray:
    """What each weighs by its sketch, (m,). `lying` (m,) bool deal the noise that serves them best: their own distances
    come down, those among the honest go up.
    """
    screen = setting.screen
    assert screen is not None
    distances = squared(u)
    if screen.noise:
        noise = np.triu(rng.normal(0, screen.noise * setting.clip**2, distances.shape), 1)
        distances = distances + noise + noise.T
        if lying is not None and lying.any():
            theirs = lying[:, None] | lying
            distances += np.where(theirs, -1, 1) * (lying.sum() * screen.reach * setting.clip**2)
        distances = np.maximum(distances, 0.0)
        np.fill_diagonal(distances, 0.0)
    rule = lookup(screen.rule, screen.byzantine)
    assert isinstance(rule, DistanceAverage)
    weights = rule.weights(Company(distances, np.full(len(u), 1 / len(u)), screen.byzantine))
    if not screen.least:
        return weights
    whole = np.array(whole_weights(weights, screen.least), dtype=np.float64)
    capped: np.ndarray = whole / whole.sum()
    return capped


def scored(problem: Problem, models: np.ndarray, liars: Liars, watch: Watch | None) -> Outcome:
    distinct, counts = np.unique(models, axis=0, return_counts=True)
    scores = accuracies(distinct, problem.test, problem.classes)
    outcome = Outcome(float(np.average(scores, weights=counts)), float(scores.min()))
    said = liars.attacks[0] if liars.attacks else None
    if isinstance(said, Backdoor):
        features = problem.test.features
        marked = np.hstack([said.triggered(features[:, :-1]), features[:, -1:]])
        told = predicted(distinct, marked, problem.classes)
        outcome.success = 100 * float(
            np.average([said.success(each, problem.test.labels) for each in told], weights=counts)
        )
    if watch is not None:
        outcome.caught_after, outcome.false_share = watch.result()
        outcome.evicted = watch.evicted
    return outcome


MODES: dict[str, Callable[[Problem, Setting, str], Outcome]] = {"open": in_the_open, "private": in_private}
