"""`topologies/plant-8.toml` in virtual time, many times over: how soon a sign flipper of a strength is in quarantine.

A round is what the file says: one dealer in turn sits out, the others bring a step on clipped gradients of their rows
with their share of noise (continuous here, on a lattice there), liars bring a multiple of what the others brought last,
and all add the mean to what they have in common. One honest node watches, and whom it shuns deals no more: all honest
nodes see the same sums, and so believe the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crypto.identity import PeerId
from detect.peers.quarantine import Response
from detect.peers.watch import PeerWatch, WatchTerms
from node.privacy import plan_of
from node.rows import even_part, everybodys_rows
from overlay.topology import Topology, load_topology

PLANT = Path(__file__).resolve().parents[2] / "topologies" / "plant-8.toml"
ROUND_S = 1.0


@dataclass(frozen=True)
class Shard:
    """Rows with a constant 1 at the end, (n, f) float64, and their labels (n,)."""

    features: np.ndarray
    labels: np.ndarray


class Plant:
    """The rows, the noise and the liars of the file."""

    def __init__(self, topology: Topology) -> None:
        shards, test = everybodys_rows(topology)
        rng = np.random.default_rng(topology.seed)
        kept = [rng.permutation(len(shard))[: round(len(shard) * (1 - topology.task.holdout))] for shard in shards]
        self.topology = topology
        self.shards = [
            _shard(shard.features[part], shard.labels[part]) for shard, part in zip(shards, kept, strict=True)
        ]
        self.test = _shard(test.features, test.labels)
        self.classes = len(test.classes)
        self.plan = plan_of(topology, even_part(topology, sum(map(len, shards))))
        self.liars = {place: node.adversary for place, node in enumerate(topology.nodes) if node.adversary}

    def run(self, strength: float | None, seed: int) -> Run:
        """Once; `strength` of the sign flipper, None: nobody lies."""
        topology, n = self.topology, len(self.shards)
        rng = np.random.default_rng([seed, 0x91A7])
        names = [PeerId(f"{place:03}") for place in range(n)]
        detect = topology.detect
        response = Response(penalty=detect.penalty, limit=detect.limit, quarantine_s=detect.quarantine_s)
        watch = PeerWatch(names[1:], WatchTerms(response, detect.z_limit), group_test=True, me=names[0])
        step = self.plan.step_size(topology.task.learning_rate)
        deviation = self.plan.multiplier * self.plan.clip / (topology.noise_shares or 1) ** 0.5
        model = np.zeros((self.shards[0].features.shape[1], self.classes))
        moved, others = np.zeros_like(model), dict.fromkeys(self.liars, np.zeros_like(model))
        flipper = next(place for place, kind in self.liars.items() if kind.startswith("sign-flip"))
        caught: int | None = None
        for number in range(topology.rounds.count):
            order = np.random.default_rng([seed, number // n]).permutation(n)
            shunned = watch.shunned()
            dealing = [place for place in range(n) if place != order[number % n] and names[place] not in shunned]
            brought = {}
            for place in dealing:
                if strength is not None and place in self.liars:
                    brought[place] = (-strength if place == flipper else 1.0) * others[place]
                    continue
                gradient = clipped_sum(model, self.shards[place], self.plan.clip)
                brought[place] = -step * (gradient + rng.normal(0, deviation, gradient.shape))
            mean = np.mean(list(brought.values()), axis=0)
            count = len(dealing)
            for place in self.liars:
                mine = brought.get(place)
                others[place] = mean if mine is None else (count * mean - mine) / (count - 1)
            moved = topology.task.momentum * moved + mean
            model += moved
            accepted = [names[place] for place in dealing]
            watch.open_sum(number, accepted, mean.ravel().astype(np.float32), number * ROUND_S)
            watch.was_there(accepted)
            watch.settle(number * ROUND_S)
            if caught is None and names[flipper] in watch.shunned():
                caught = number
        accuracy = float(((self.test.features @ model).argmax(axis=1) == self.test.labels).mean())
        wrong = sum(name in watch.shunned() for place, name in enumerate(names) if place not in self.liars)
        return Run(100 * accuracy, None if strength is None else caught, wrong)


@dataclass(frozen=True)
class Run:
    """What came of it."""

    accuracy: float
    """Per cent, of the common model."""
    caught: int | None
    """The round after which the flipper dealt no more."""
    honest_shunned: int


def told(runs: Sequence[Run]) -> str:
    """In a line."""
    caught = [run.caught + 1 for run in runs if run.caught is not None]
    accuracy = float(np.mean([run.accuracy for run in runs]))
    rounds = f" after {min(caught)} to {max(caught)} rounds" if caught else ""
    wrong = sum(run.honest_shunned for run in runs)
    return f"caught in {len(caught)} of {len(runs)} runs{rounds}, accuracy {accuracy:.1f}, honest shunned {wrong}"


def plant() -> Plant:
    """That of the file."""
    return Plant(load_topology(PLANT))


def _shard(features: np.ndarray, labels: np.ndarray) -> Shard:
    return Shard(np.hstack([features, np.ones((len(features), 1))]).astype(np.float64), labels)


def clipped_sum(model: np.ndarray, shard: Shard, clip: float) -> np.ndarray:
    """Σ of the rows' gradients of a softmax's cross-entropy, each shortened to `clip`; like the model (f, classes)."""
    scores = shard.features @ model
    scores -= scores.max(axis=1, keepdims=True)
    apart = np.exp(scores)
    apart /= apart.sum(axis=1, keepdims=True)
    apart[np.arange(len(apart)), shard.labels] -= 1
    norms = np.linalg.norm(apart, axis=1) * np.linalg.norm(shard.features, axis=1)
    apart *= np.minimum(1, clip / np.maximum(norms, clip))[:, None]
    summed: np.ndarray = shard.features.T @ apart
    return summed
