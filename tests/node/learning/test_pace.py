"""A node that runs away from the others slows down, and is as fast as before once it does not."""

import numpy as np
import pytest

from node.learning.errors import LearningError
from node.learning.learner import Learner
from node.learning.pace import Pace
from overlay.topology_schema import Task
from tests.node.learning.swarms import blobs

TASK = Task(model="linear", adaptive_rate=True, learning_rate=0.1)


def walked(*distances):
    pace = Pace()
    factors = []
    for distance in distances:
        pace.see(distance)
        factors.append(pace.factor)
    return factors


def test_distances_as_usual_change_nothing():
    assert walked(1.0, 1.2, 0.9, 1.1, 1.4, 1.0, 0.3, 0.2) == [1.0] * 8


def test_one_that_runs_away_slows_down_to_an_eighth_and_comes_back():
    factors = walked(1, 1, 1, 1, 9, 9, 9, 9, 1, 1)
    assert factors[4:] == [0.5, 0.25, 0.125, 0.125, 0.15625, 0.1953125]
    assert walked(1, 1, 1, 1, 2, 1, 1, 1, 1)[-1] == 1.0


def test_a_new_usual_is_usual_after_a_while():
    assert walked(*[1.0] * 16, *[2.0] * 30)[-1] == 1.0


def test_before_there_is_a_usual_and_where_nothing_is_finite_nothing_is_slower():
    assert walked(1, 50, 1) == [1.0] * 3
    assert walked(1, 1, 1, 1, float("nan"), float("inf"))[-1] == 1.0


@pytest.mark.parametrize("bad", [((), 2.0), ((), 0.01), ((-1.0,), 1.0), ((float("nan"),), 1.0), ((1.0,) * 17, 1.0)])
def test_what_is_no_pace_is_refused(bad):
    with pytest.raises(ValueError, match="no pace"):
        Pace(*bad)


def learner(task=TASK):
    return Learner.from_task(task, blobs(), seed=1, node=0)


def stepped(one, far):
    """A round whose average lies `far` away; how long the training step was."""
    before = one.vector()
    one.train(7)
    step = float(np.linalg.norm(one.vector() - before))
    one.adopt(before + np.float32(far) * np.ones_like(before), 7)
    return step


def test_a_slower_learner_takes_smaller_steps_and_a_restart_keeps_its_pace():
    one, start = learner(), learner().vector()
    for _ in range(5):
        usual = stepped(one, 0.0)
        one.adopt(start, 0)
    stepped(one, 3.0)
    snapshot = one.snapshot()
    other = learner()
    other.restore(snapshot)
    for each in (one, other):
        each.adopt(start, 0, averaged=False)
    slow = stepped(one, 0.0)
    assert slow < 0.7 * usual
    assert stepped(other, 0.0) == slow


def test_without_it_the_rate_is_that_of_the_file_and_nothing_is_stored():
    one, start = learner(TASK.model_copy(update={"adaptive_rate": False})), learner().vector()
    steps = []
    for far in (0, 0, 0, 0, 0, 3.0, 0.0):
        steps.append(stepped(one, far))
        one.adopt(start, 0)
    assert steps == [steps[0]] * 7
    assert "pace" not in one.snapshot()


@pytest.mark.parametrize("stored", [b"1234567", np.array([7.0, 1.0]).tobytes(), 5])
def test_a_damaged_pace_is_said_to_be(stored):
    one = learner()
    one.adopt(one.vector(), 0)
    with pytest.raises(LearningError, match="pace"):
        learner().restore(one.snapshot() | {"pace": stored})
