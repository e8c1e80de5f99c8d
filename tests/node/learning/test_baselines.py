from __future__ import annotations

import numpy as np
import pytest

from node.learning.baselines import centralised, local_only
from node.learning.data import Shard, deal
from node.learning.learner import Learner
from node.learning.partition import partition
from overlay.topology_schema import Task

from .swarms import blobs, digits

TASK = Task(hidden=(8,), learning_rate=0.1)


def halves(train: object) -> tuple[Shard, Shard]:
    """Node 0 has never seen class c, node 1 nothing else."""
    return tuple(  # type: ignore[return-value]
        Shard(train.take(rows), train.take(rows[:2]))
        for rows in (np.flatnonzero(train.labels != 2), np.flatnonzero(train.labels == 2))
    )


def test_alone_a_node_knows_what_it_saw_and_together_they_know_all():
    shards, test = halves(blobs(rows=240)), blobs(rows=300, seed=5)
    alone = local_only(TASK, shards, test, rounds=20, seed=1)
    assert alone == pytest.approx((2 / 3, 1 / 3), abs=0.04)
    assert centralised(TASK, shards, test, rounds=20, seed=1) > 0.95


def test_alone_is_what_a_learner_without_peers_does():
    shards, test = halves(blobs(rows=240)), blobs(rows=300, seed=5)
    own = Learner(TASK, shards[1], seed=1, node=1, test=test)
    for round_ in range(6):
        own.train(round_)
    alone = local_only(TASK, shards, test, rounds=6, seed=1)
    assert own.adopt(own.vector(), 6).test_accuracy == alone[1]


def test_progress_counts_every_round_of_every_node():
    shards, test = halves(blobs(rows=60)), blobs(rows=30)
    heard: list[tuple[int, int]] = []
    local_only(TASK, shards, test, rounds=3, seed=1, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(done, 6) for done in range(1, 7)]
    heard.clear()
    centralised(TASK, shards, test, rounds=3, seed=1, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_digits_central_is_good_and_alone_is_not():
    split = digits()
    shards = deal(split.train, partition(split.train.labels, "dirichlet", 8, 7), 0.15, 7)
    assert centralised(Task(), shards, split.test, rounds=30, seed=7) >= 0.965
    assert 0.5 < np.mean(local_only(Task(), shards, split.test, rounds=30, seed=7)) < 0.8
