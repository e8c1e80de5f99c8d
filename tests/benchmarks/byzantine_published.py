"""The published setting: Wu, Chen & Ling, "Byzantine-resilient decentralized stochastic optimization with robust
aggregation rules" (2023): MNIST, softmax, Erdős–Rényi graphs with p = 0.7, one class a node.

Theirs: pixels in [−1, 1], batches of 32 consecutive rows, rate 0.9/√(k+1), weight decay 0.01, start N(0, 6²), 50,000
iterations, Metropolis–Hastings weights, f of a node = its Byzantine neighbours, clipping at 0.3. Ours differs in the
number of iterations and so in the start (`start`), and in the draw of batches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import NormalDist

import networkx as nx
import numpy as np

from consensus.company import Company
from consensus.rules import DistanceAverage, lookup
from node.lab.attacks import Alie, Attack, Duplicate, Gaussian, Isolation, Listener, SignFlip, View
from tests.benchmarks.byzantine_learning import Learners, Problem, Rows, accuracies, dealt

PUBLISHED = {
    "ios": {"none": 91.7, "gaussian": 91.6, "sign-flip": 91.6, "isolation": 91.6, "duplicate": 88.2, "alie": 86.6},
    "self-centred-clipping-0.3": {
        "none": 91.7, "gaussian": 91.6, "sign-flip": 20.9, "isolation": 83.8, "duplicate": 91.5, "alie": 91.2,
    },
}  # fmt: skip
"""Their table of 10 honest and 2 Byzantine nodes, per cent."""
PUBLISHED_ALIE = {2: 90.6, 4: 83.0, 6: 73.0, 8: 50.8, 10: 27.0}
"""IOS under ALIE, by how many Byzantine nodes there are beside 20 honest ones."""
RATE, DECAY, BATCH, START, CLIP = 0.9, 0.01, 32, 6.0, 0.3
ATTACKS = ("gaussian", "sign-flip", "isolation", "duplicate", "alie")


@dataclass(frozen=True)
class Score:
    """Of the honest nodes, in per cent, and the norm of their models' variance."""

    mean: float
    least: float
    apart: float


@dataclass(frozen=True)
class Swarm:
    """A graph with liars in it."""

    graph: nx.Graph
    honest: tuple[int, ...]
    liars: tuple[int, ...]

    @classmethod
    def drawn(cls, honest: int, liars: int, seed: int = 300, p: float = 0.7) -> Swarm:
        """Connected; the liars are drawn from its nodes."""
        rng = random.Random(seed)
        while True:
            graph = nx.fast_gnp_random_graph(honest + liars, p, seed=rng)
            if nx.is_connected(graph):
                break
        drawn = rng.sample(list(graph.nodes()), liars)
        return cls(graph, tuple(node for node in graph if node not in drawn), tuple(drawn))

    def weights(self) -> np.ndarray:
        """Metropolis–Hastings, (n, n)."""
        n = len(self.graph)
        W = np.zeros((n, n))
        for i, j in self.graph.edges():
            W[i, j] = W[j, i] = 1 / (1 + max(self.graph.degree(i), self.graph.degree(j)))
        np.fill_diagonal(W, 1 - W.sum(axis=1))
        return W


@dataclass(frozen=True)
class ToReach:
    """x + Σ w_j clip(x_j − x, τ) with a fixed τ, as the published runs have it."""

    tau: float

    def weights(self, company: Company) -> np.ndarray:
        distances = company.of_own()
        weights = company.weights * np.minimum(1, self.tau / np.maximum(distances, 1e-30))
        weights[company.own] += 1 - weights.sum()
        return weights


class Plain:
    def weights(self, company: Company) -> np.ndarray:
        return company.weights


def rule_of(name: str, liars: int) -> object:
    """What gives weights: a rule of the table with that f, or one of the two above."""
    if name == "mean":
        return Plain()
    if name.startswith("self-centred-clipping-"):
        return ToReach(float(name.rpartition("-")[2]))
    rule = lookup(name, liars)
    assert isinstance(rule, DistanceAverage), name
    return rule


def attack_of(name: str, neighbours: int, liars: int) -> Attack:
    """With the published parameters, acting on models."""
    match name:
        case "gaussian":
            return Gaussian(deviation=30.0)
        case "sign-flip":
            return SignFlip(scale=1.0)
        case "isolation":
            return Isolation()
        case "duplicate":
            return Duplicate()
        case "alie":
            supporters = (neighbours + 1) // 2 - liars
            return Alie(z=NormalDist().inv_cdf((neighbours - supporters) / neighbours), side=1.0)
    raise ValueError(name)


@dataclass
class Seat:
    """An honest node among its neighbours."""

    place: int
    node: int
    near: list[int]
    """Places of the honest neighbours, and at the end its own."""
    weights: np.ndarray
    """Of these, then of the liars."""
    rule: object
    liar: Attack | None
    liars: int

    @classmethod
    def of(cls, node: int, swarm: Swarm, W: np.ndarray, rule: str, attack: str) -> Seat:
        near = [other for other in swarm.graph[node] if other in swarm.honest]
        bad = [other for other in swarm.graph[node] if other in swarm.liars] if attack != "none" else []
        weights = W[node, [*near, node, *bad]]
        weights[len(near)] = 1 - weights.sum() + weights[len(near)]
        liar = attack_of(attack, len(near) + len(bad), len(bad)) if bad else None
        place = swarm.honest.index
        return cls(
            place(node), node, [*map(place, near), place(node)], weights, rule_of(rule, len(bad)), liar, len(bad)
        )

    def said(self, models: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        """What the liars tell this node, (f, d)."""
        if self.liar is None:
            return np.empty((0, models.shape[1]), dtype=np.float32)
        # As published: sign flip and isolation count the node itself, the others its neighbours alone.
        seen = models[self.near if isinstance(self.liar, SignFlip | Isolation) else self.near[:-1]]
        nothing = np.zeros(models.shape[1], dtype=np.float32)
        weights = self.weights[: len(seen)]
        listener = Listener(models[self.place], self.node, weights, float(self.weights[len(self.near) :].sum()))
        view = View(nothing, nothing, seen, len(self.weights), self.liars, k, rng, listener)
        if isinstance(self.liar, Gaussian):
            return np.stack([self.liar.vector(view) for _ in range(self.liars)])
        return np.repeat(self.liar.vector(view)[None], self.liars, axis=0)

    def averaged(
        self, models: np.ndarray, gram: np.ndarray, apart: np.ndarray, said: np.ndarray, said_apart: np.ndarray
    ) -> np.ndarray:
        h, k = len(self.near), len(self.weights)
        inner = np.empty((k, k))
        inner[:h, :h] = gram[np.ix_(self.near, self.near)]
        if len(said):
            inner[h:, :h] = said_apart @ apart[self.near].T
            inner[:h, h:] = inner[h:, :h].T
            inner[h:, h:] = said_apart @ said_apart.T
        norms = np.diag(inner)
        squared = np.maximum(norms[:, None] + norms[None, :] - 2 * inner, 0.0)
        np.fill_diagonal(squared, 0.0)
        company = Company(squared, self.weights, self.liars, own=h - 1)
        weights = self.rule.weights(company).astype(np.float32)  # type: ignore[attr-defined]
        result: np.ndarray = weights[:h] @ models[self.near]
        return result + weights[h:] @ said if len(said) else result


def start(nodes: int, problem: Problem, iterations: int, rng: np.random.Generator) -> np.ndarray:
    """One model for all nodes, (n, d), as long as the mean of n from N(0, 6²), which is where theirs soon meet.

    How long models are decides how far a flipped one is off, and decay alone wears it down. So the length is kept, but
    in what softmax does not see, the same number for all classes; what it sees is as small as after 50,000 iterations.
    """
    seen = np.exp(-DECAY * RATE * 2 * (50_000**0.5 - iterations**0.5))
    drawn = rng.standard_normal(problem.size)
    unseen = np.repeat(rng.standard_normal(problem.size // problem.classes), problem.classes)
    model = START / nodes**0.5 * (seen * drawn + (1 - seen**2) ** 0.5 * unseen)
    return np.repeat(model.astype(np.float32)[None], nodes, axis=0)


def learn(problem: Problem, swarm: Swarm, rule: str, attack: str, iterations: int, seed: int = 100) -> Score:
    """Mean and least accuracy of the honest after so many iterations, and how far apart they are."""
    parts = dealt(problem.train, "classes", len(swarm.honest), seed)
    shards = [Rows(problem.train.features[part], problem.train.labels[part]) for part in parts]
    learners = Learners(shards, problem.classes, BATCH, seed)
    rng = np.random.default_rng([seed, 0x51A7])
    models = start(len(swarm.honest), problem, iterations, rng)
    W = swarm.weights()
    seats = [Seat.of(node, swarm, W, rule, attack) for node in swarm.honest]
    for k in range(iterations):
        models = models + learners.updates(models, RATE / (k + 1) ** 0.5, 1, DECAY)
        # Around their mean: models are far from zero and close to each other, and single precision is to do.
        centre = models.mean(axis=0)
        apart = models - centre
        gram = apart @ apart.T
        after = np.empty_like(models)
        for seat in seats:
            said = seat.said(models, k, rng) if attack != "none" else np.empty((0, problem.size), dtype=np.float32)
            after[seat.place] = seat.averaged(models, gram, apart, said, said - centre)
        models = after
    scores = accuracies(models, problem.test, problem.classes)
    return Score(float(scores.mean()), float(scores.min()), float(np.linalg.norm(models.var(axis=0))))
