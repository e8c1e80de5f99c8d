from __future__ import annotations

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from node.learning.errors import Diverged, LearningError
from node.learning.learner import Learner
from node.learning.promotion import PATIENCE
from overlay.topology_schema import Task

from .swarms import Swarm, blobs, clique, digits, ring

TASK = Task(hidden=(5,), learning_rate=0.1, batch_size=8, holdout=0.2)


def learner(task: Task = TASK, node: int = 0, **options) -> Learner:
    return Learner.from_task(task, blobs(), seed=3, node=node, test=blobs(seed=1), **options)


def experienced(rounds: int = 5) -> Learner:
    """A learner whose champion is a good one."""
    own = learner()
    for round_ in range(rounds):
        own.train(round_)
        own.adopt(own.vector(), round_)
    assert own.champion_version > 0
    assert own.champion_holdout_accuracy > 0.9
    return own


def test_all_nodes_begin_alike_and_agree_on_the_layout():
    one, other = learner(node=0), learner(node=1)
    assert np.array_equal(one.vector(), other.vector())
    assert one.layout == other.layout
    assert one.parameters == len(one.vector()) == 4 * 5 + 5 + 5 * 3 + 3
    one.train(0)
    other.train(0)
    assert not np.array_equal(one.vector(), other.vector())


def test_a_better_average_is_promoted_and_reported():
    own = learner()
    own.train(0)
    average = own.vector()
    assessment = own.adopt(average, 0)
    assert assessment.promoted is not None
    assert assessment.promoted.holdout_loss == assessment.holdout_loss < assessment.promoted.previous_holdout_loss
    assert assessment.champion_version == own.champion_version == 1
    assert np.array_equal(own.champion(), average)
    assert assessment.test_accuracy is not None


def test_without_a_test_set_there_is_no_test_accuracy():
    own = Learner.from_task(TASK, blobs(), seed=3, node=0)
    assert own.adopt(own.vector(), 0).test_accuracy is None


def test_a_worse_average_is_worked_with_though_not_promoted():
    own = experienced()
    champion = own.champion()
    shifted = (champion * 0.8).astype(np.float32)
    assessment = own.adopt(shifted, 9)
    assert assessment.promoted is None
    assert assessment.rolled_back is None
    assert np.array_equal(own.vector(), shifted)
    assert np.array_equal(own.champion(), champion)


def test_ones_own_vector_after_a_void_round_is_no_challenger():
    own = learner()
    own.train(0)
    assessment = own.adopt(own.vector(), 0, averaged=False)
    assert (assessment.promoted, assessment.champion_version) == (None, 0)


@pytest.mark.parametrize("factor", [1000.0, -1000.0, np.nan, np.inf, 3e35])
def test_a_blown_up_model_is_rolled_back_at_once(factor):
    own = experienced()
    champion, accuracy = own.champion(), own.champion_holdout_accuracy
    with np.errstate(over="ignore"):
        assessment = own.adopt((champion * np.float32(factor)).astype(np.float32), 9)
    assert assessment.rolled_back is not None
    assert np.array_equal(own.vector(), champion)
    assert np.isfinite(assessment.holdout_loss)
    assert assessment.holdout_accuracy == accuracy


def test_a_model_that_knows_nothing_is_rolled_back_within_patience():
    own = experienced()
    champion, ignorant = own.champion(), learner().vector()
    reasons = [own.adopt(ignorant, 9 + round_).rolled_back for round_ in range(PATIENCE)]
    assert reasons[:-1] == [None] * (PATIENCE - 1)
    assert reasons[-1] is not None
    assert np.array_equal(own.vector(), champion)


def test_a_vector_of_another_length_is_an_error():
    with pytest.raises(LearningError, match="for a model of"):
        learner().adopt(np.zeros(3, np.float32), 0)


def test_a_trap_that_blows_up_in_training_falls_back_to_the_champion():
    own = experienced()
    champion = own.champion()
    trap = champion.copy()
    trap[:25] *= 1e-4  # the first layer and its biases small, the second as much too large: the same function
    trap[25:40] *= 1e4
    own._model.load(trap)
    trained = own.train(7)
    assert np.isfinite(trained.loss)
    assert np.linalg.norm(own.vector()) < 2 * np.linalg.norm(champion)
    assessment = own.adopt(own.vector(), 7)
    assert "training blew up in round 7" in str(assessment.rolled_back)
    own.train(8)
    assert own.adopt(own.vector(), 8).rolled_back is None


def test_a_trap_that_became_champion_ends_nobody_and_neither_does_a_restart_from_it():
    own = experienced()
    trap = own.champion()
    trap[:25] *= np.float32(1e20)  # the same function again: what liars come to champion by champion, 90 times a round
    trap[25:40] *= np.float32(1e-20)
    saved = own.snapshot()
    again = learner()
    again.restore(saved | {"working": trap.tobytes(), "champion": trap.tobytes()})
    assert again.champion_version == own.champion_version > 0
    trained = again.train(7)
    assert np.isfinite(trained.loss)
    assert np.linalg.norm(again.vector()) < 2 * np.linalg.norm(own.champion())
    assessment = again.adopt(again.vector(), 7)
    assert "the initial model was trained instead" in str(assessment.rolled_back)


def test_settings_that_blow_up_the_champion_too_are_an_error():
    own = learner(TASK.model_copy(update={"learning_rate": 10.0, "weight_decay": 1.0, "local_epochs": 20}))
    with pytest.raises(Diverged, match="learning_rate"):
        own.train(0)


def test_the_test_set_must_be_of_the_same_kind():
    with pytest.raises(LearningError, match="other classes or features"):
        Learner.from_task(TASK, blobs(), seed=1, node=0, test=blobs(classes=4))


def test_one_thread():
    torch.set_num_threads(2)
    learner()
    assert torch.get_num_threads() == 1


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_a_resumed_learner_goes_on_as_if_it_had_never_stopped():
    own = experienced()
    own.train(5)
    saved = msgpack.unpackb(msgpack.packb(own.snapshot()))
    again = learner()
    again.restore(saved)
    assert again.champion_version == own.champion_version
    assert again.champion_holdout_accuracy == own.champion_holdout_accuracy
    for round_ in range(6, 9):
        assert own.train(round_) == again.train(round_)
        assert np.array_equal(own.vector(), again.vector())
        assert own.adopt(own.vector(), round_) == again.adopt(again.vector(), round_)


def test_a_snapshot_taken_in_bad_times_keeps_count():
    own = experienced()
    ignorant = learner().vector()
    for round_ in range(PATIENCE - 1):
        own.adopt(ignorant, round_)
    again = learner()
    again.restore(own.snapshot())
    assert again.adopt(ignorant, 9).rolled_back is not None


@pytest.mark.parametrize(
    "damage",
    [
        {"layout": bytes(32)},
        {"layout": "text"},
        {"working": b"abc"},
        {"working": b"abcd"},
        {"champion": np.full(43, np.nan, "<f4").tobytes()},
        {"champion": np.zeros(42, "<f4").tobytes()},
        {"champion": None},
        {"version": -1},
        {"version": True},
        {"worse": 1.5},
        {"worse": None},
        {"version": 1 << 60},
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_and_changes_nothing(damage):
    own = experienced()
    before = own.snapshot()
    with pytest.raises(LearningError) as caught:
        own.restore({**before, **damage})
    assert caught.value.remedy
    assert own.snapshot() == before


@given(
    values=st.dictionaries(
        st.sampled_from(["layout", "working", "champion", "version", "worse", "other"]),
        st.one_of(st.none(), st.integers(), st.floats(), st.binary(max_size=200), st.text(max_size=9), st.booleans()),
    )
)
def test_any_values_are_restored_or_refused(values):
    own = learner()
    try:
        own.restore({**own.snapshot(), **values})
    except LearningError:
        return


# --- a swarm in one process -------------------------------------------------------------------------------------------


def test_eight_nodes_of_a_clique_learn_digits():
    swarm = Swarm.of(Task(), digits(), clique(8), seed=7).run(30)
    assert swarm.accuracy() >= 0.96
    assert swarm.rollbacks() == []


@pytest.mark.parametrize(("alpha", "mixing", "least"), [(0.5, ring(8), 0.94), (0.1, clique(8), 0.95)])
def test_skewed_rows_and_a_sparse_graph_cause_no_rollback(alpha, mixing, least):
    task = Task(alpha=alpha, learning_rate=0.3, momentum=0.2)
    swarm = Swarm.of(task, digits(), mixing, seed=7).run(30)
    assert swarm.accuracy() >= least
    assert swarm.rollbacks() == []


def test_a_swarm_recovers_from_a_round_that_wrecks_every_average():
    swarm = Swarm.of(Task(learning_rate=0.3, momentum=0.2), digits(), clique(4), seed=7).run(12)
    before = swarm.accuracy()

    def wreck(_round: int, averages: np.ndarray) -> None:
        averages *= 1000

    swarm.run(1, wreck)
    assert {node for _, node, _ in swarm.rollbacks()} == {0, 1, 2, 3}
    assert swarm.run(3).accuracy() > before - 0.03


def test_an_older_champion_is_reinstated_as_the_next_version():
    own = experienced()
    old, old_version = own.champion(), own.champion_version
    for round_ in range(5, 12):
        own.train(round_)
        own.adopt(own.vector(), round_)
    version = own.champion_version
    restored = own.reinstate(old)
    assert restored.version == own.champion_version == version + 1 > old_version
    assert np.array_equal(own.champion(), old)
    assert np.array_equal(own.vector(), old)
    again = learner()
    again.restore(own.snapshot())
    assert (again.champion_version, again.champion_holdout_accuracy) == (version + 1, own.champion_holdout_accuracy)
    with pytest.raises(LearningError):
        own.reinstate(old[:-1])


def test_what_a_round_changed_is_told_by_layer():
    own = learner()
    own.adopt(own.vector(), 0)
    assert set(own.adopt(own.vector(), 1).layer_change.values()) == {0.0}
    doubled = own.adopt(own.vector() * np.float32(2), 2).layer_change
    assert doubled == pytest.approx(dict.fromkeys(("0.weight", "0.bias", "2.weight", "2.bias"), 1.0))
    again = learner()
    again.restore(own.snapshot())
    assert set(again.adopt(again.vector(), 4).layer_change.values()) == {0.0}
