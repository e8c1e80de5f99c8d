from __future__ import annotations

from overlay.topology import load_topology
from overlay.topology_schema import Task
from tests.conftest import REPOSITORY

from .swarms import Swarm, adult, clique


def test_eight_nodes_learn_the_census(data_dir):
    topology = load_topology(REPOSITORY / "topologies" / "adult-8.toml")
    swarm = Swarm.of(topology.task, adult(data_dir), clique(8), seed=topology.seed, tested=1).run(topology.rounds.count)
    assert swarm.accuracy() >= topology.targets.honest_accuracy
    assert swarm.rollbacks() == []


def test_logistic_regression_does_too(data_dir):
    task = Task(dataset="adult:adult", model="linear", learning_rate=0.1, momentum=0.9, batch_size=128)
    swarm = Swarm.of(task, adult(data_dir), clique(8), seed=7, tested=1).run(6)
    assert swarm.accuracy() >= 0.845
