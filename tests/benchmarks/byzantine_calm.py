"""Nobody lies for 200 rounds, on data as uneven as it comes: how often honest nodes shun each other all the same.

In the open every node sees 23 others. In private there are two watches of sums, as nodes have them: in a fixed cell of
eight, one of whom in turn sits out, and in cells of eight drawn anew each round from 24, of which a node sees its own.
Whom the watch shuns is still averaged here: that only makes more rounds in which it may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crypto.identity import PeerId
from detect.peers.watch import PeerWatch, WatchTerms
from node.lab.attacks import within
from tests.benchmarks.byzantine_learning import Problem, accuracies
from tests.benchmarks.byzantine_modes import HONEST_SHARE, Liars, Setting, in_the_open, swarm
from tests.benchmarks.byzantine_watch import ROUND_S

ROUNDS = 200
PARTITION = "dirichlet-0.1"
Cells = Callable[[int, np.random.Generator], Sequence[np.ndarray]]
"""Who deals in a round, cell by cell; the first cell holds the node that watches, number 0, or it sits out."""


@dataclass(frozen=True)
class Calm:
    """What a watch made of peers that all were honest."""

    accuracy: float
    """Mean, per cent."""
    shunned_share: float
    """Of peer-rounds."""
    evicted: int


def in_turn(nodes: int) -> Cells:
    """A fixed cell, one of which in turn sits out."""

    def cells(number: int, rng: np.random.Generator) -> Sequence[np.ndarray]:
        del rng
        order = np.random.default_rng(number // nodes).permutation(nodes)
        return [np.delete(np.arange(nodes), order[number % nodes])]

    return cells


def drawn(nodes: int, size: int) -> Cells:
    """Cells of `size`, drawn anew."""

    def cells(number: int, rng: np.random.Generator) -> Sequence[np.ndarray]:
        del number
        parts = np.split(rng.permutation(nodes), nodes // size)
        return sorted(parts, key=lambda part: 0 not in part)

    return cells


def of_sums(problem: Problem, setting: Setting, cells: Cells) -> Calm:
    """A watch of the sums of its own cell."""
    n, d = setting.nodes, problem.size
    learners = swarm(problem, setting, Liars("none", setting))
    rng = np.random.default_rng([setting.seed, 0xCA11])
    names = [PeerId(f"{place:03}") for place in range(n)]
    watch = PeerWatch(names[1:], WatchTerms(), group_test=True, me=names[0])
    y, v = np.zeros((n, d), dtype=np.float32), np.zeros((n, d), dtype=np.float32)
    shunned = 0
    for number in range(setting.rounds):
        raw = learners.updates(y, setting.rate, setting.steps, setting.decay)
        u = np.stack([within(each, HONEST_SHARE * setting.clip) for each in raw])
        for place, cell in enumerate(cells(number, rng)):
            opened = u[cell].mean(axis=0)
            whole = np.arange(n) if len(cell) == n - 1 else cell
            moved = setting.momentum * v[whole].mean(axis=0) + opened
            y[whole], v[whole] = y[whole].mean(axis=0) + moved, moved
            if place == 0:
                accepted = [names[member] for member in cell]
                watch.open_sum(number, accepted, opened.astype(np.float32), number * ROUND_S)
                watch.was_there(accepted)
        watch.settle(number * ROUND_S)
        shunned += len(watch.shunned())
    scores = accuracies(y, problem.test, problem.classes)
    return Calm(float(scores.mean()), shunned / (setting.rounds * (n - 1)), len(watch.evicted()))


def once(problem: Problem, way: str, seed: int, rounds: int = ROUNDS) -> Calm:
    """`way`: one of WAYS."""
    open_ = Setting(partition=PARTITION, honest=24, liars=0, rounds=rounds, rate=0.05, rule="fading-mean", byzantine=4)
    return WAYS[way](problem, replace(open_, seed=seed))


def mean(found: Sequence[Calm]) -> Calm:
    """Of several seeds; evictions in all."""
    return Calm(
        float(np.mean([each.accuracy for each in found])),
        float(np.mean([each.shunned_share for each in found])),
        sum(each.evicted for each in found),
    )


def _open(problem: Problem, setting: Setting) -> Calm:
    outcome = in_the_open(problem, setting, "none")
    return Calm(outcome.mean, outcome.false_share, outcome.evicted)


def _private(setting: Setting) -> Setting:
    return replace(setting, clip=0.4, momentum=0.7)


WAYS: Mapping[str, Callable[[Problem, Setting], Calm]] = {
    "open": _open,
    "fixed cell": lambda problem, setting: of_sums(problem, replace(_private(setting), honest=8), in_turn(8)),
    "drawn cells": lambda problem, setting: of_sums(problem, _private(setting), drawn(24, 8)),
}
