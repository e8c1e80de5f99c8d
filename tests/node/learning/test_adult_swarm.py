from __future__ import annotations

from overlay.topology_schema import Task

from .swarms import Swarm, adult, clique


def test_eight_nodes_learn_the_census(data_dir):
    task = Task(dataset="adult:adult", learning_rate=0.1, momentum=0.9, batch_size=128)
    swarm = Swarm.of(task, adult(data_dir), clique(8), seed=7, tested=1).run(20)
    assert swarm.accuracy() >= 0.845
    assert swarm.rollbacks() == []


def test_logistic_regression_does_too(data_dir):
    task = Task(dataset="adult:adult", model="linear", learning_rate=0.1, momentum=0.9, batch_size=128)
    swarm = Swarm.of(task, adult(data_dir), clique(8), seed=7, tested=1).run(6)
    assert swarm.accuracy() >= 0.845
