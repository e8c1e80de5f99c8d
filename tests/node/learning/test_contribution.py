"""Each way of training: what it leaves in the model, what it brings, what it charges."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.accountant import Release
from node.learning.contribution import (
    Bench,
    NoisedRecords,
    NoisedUpdates,
    Plain,
    SharedRecords,
    SharedUpdates,
)
from node.learning.dataset import Shard
from node.learning.dp_contribution import SharedStep, SharedUpdate
from node.learning.dp_plan import RecordPlan, UpdatePlan
from node.learning.dp_trainer import PrivateTrainer
from node.learning.errors import Diverged, LearningError
from node.learning.learner import Learner
from node.learning.models import build
from node.learning.trainer import Rows, no_pulse
from node.learning.vector import FlatModel
from node.ledger import BudgetSpent
from overlay.topology_schema import Task
from tests.node.learning.cell import CELL, randbytes
from tests.node.learning.test_dp_gradients import dataset

TASK = Task(model="linear", learning_rate=0.5, momentum=0.0, batch_size=8)
RECORDS = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=20, rows=30.0)
UPDATES = UpdatePlan.within(8.0, 1e-5, clip=1.0, rounds=4)


class Account:
    """A ledger in memory that allows `left` charges; ε is how many were made."""

    def __init__(self, left=100):
        self.left, self.charged = left, []

    def charge(self, round, release):
        if not self.left:
            raise BudgetSpent(f"round {round} is too much", "stop")
        self.left -= 1
        self.charged.append((round, release))

    def spent(self):
        return float(len(self.charged))


def bench(seed=1, rows=30):
    torch.set_num_threads(1)
    return Bench(FlatModel(build("linear", 7, 4, (), 3)), Rows(dataset(rows, 7, 4, seed)), TASK, 5, 0)


def noised_records(on, account):
    trainer = PrivateTrainer(on.model, on.rows, on.task, RECORDS, account.charge, randbytes(2))
    return NoisedRecords(on, account.spent, trainer)


def shared_records(on, account):
    mechanism = RECORDS.distributed(on.model.size, TASK.learning_rate, CELL)
    step = SharedStep(on.model, on.rows, RECORDS, mechanism, TASK.learning_rate, account.charge, randbytes(2))
    return SharedRecords(on, account.spent, step)


def noised_updates(on, account):
    noise = SharedUpdate(UPDATES, UPDATES.mechanism(on.model.size), account.charge, randbytes(2))
    return NoisedUpdates(on, account.spent, noise)


def shared_updates(on, account):
    noise = SharedUpdate(UPDATES, UPDATES.mechanism(on.model.size, CELL), account.charge, randbytes(2))
    return SharedUpdates(on, account.spent, noise)


NOISED = [noised_records, shared_records, noised_updates, shared_updates]
SHARED = [shared_records, shared_updates]
ALONE = [noised_records, noised_updates]


def test_without_noise_all_that_was_learned_is_brought_and_nothing_claimed():
    on = bench()
    plain, base = Plain(on), on.model.vector() * np.float32(0.5)
    assert plain.train(0, no_pulse).epsilon is None
    brought = plain.update(base)
    assert brought.noise is None
    assert np.array_equal(brought.vector, on.model.vector() - base)
    assert plain.epsilon() is None
    assert not plain.private


@pytest.mark.parametrize("make", NOISED)
def test_each_training_is_charged_for_before_it_may_be_seen(make):
    on, account = bench(), Account()
    way = make(on, account)
    assert way.private
    trained = way.train(7, no_pulse)
    assert (len(account.charged), trained.epsilon, way.epsilon()) == (1, 1.0, 1.0)
    assert account.charged[0][0] == 7
    assert trained.spent is None
    assert way.update(np.zeros(on.model.size, np.float32)) is not None
    assert len(account.charged) == 1


@pytest.mark.parametrize("make", SHARED)
def test_a_share_of_noise_leaves_the_model_as_it_was_and_is_given_once(make):
    on, account = bench(), Account(2)
    way, before = make(on, account), on.model.vector()
    way.train(0, no_pulse)
    assert np.array_equal(on.model.vector(), before)
    first = way.update(before)
    assert not first.vector.any()
    assert first.noise.dtype == np.int32
    # Another round on the same training: another release, with another share of noise.
    second = way.update(before)
    assert len(account.charged) == 2
    assert (first.noise != second.noise).mean() > 0.9
    assert way.update(before) is None, "the budget is spent"
    trained = way.train(1, no_pulse)
    assert (trained.loss, trained.samples) == (None, 0)
    assert "round 1 is too much" in trained.spent
    assert way.train(2, no_pulse).spent is None, "told once"


@pytest.mark.parametrize("make", ALONE)
def test_noise_that_protects_alone_is_in_the_model_and_may_be_seen_again(make):
    on, account = bench(), Account(1)
    way, before = make(on, account), on.model.vector()
    way.train(0, no_pulse)
    shown = on.model.vector()
    assert not np.array_equal(shown, before)
    for _ in range(2):
        brought = way.update(before)
        assert brought.noise is None
        assert np.array_equal(brought.vector, shown - before)
    assert len(account.charged) == 1
    trained = way.train(1, no_pulse)
    assert trained.spent is not None
    assert np.array_equal(on.model.vector(), shown), "what was let out, and nothing new"
    assert way.update(before) is None


@pytest.mark.parametrize("make", NOISED)
def test_where_nothing_may_be_let_out_nothing_is(make):
    on, account = bench(), Account(0)
    way, before = make(on, account), on.model.vector()
    assert way.train(3, no_pulse).spent is not None
    assert np.array_equal(on.model.vector(), before)
    assert way.update(before) is None
    assert account.charged == []


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_shared_update_is_the_clipped_training_and_its_noise(seed):
    """The noise of the share is known from its seed: what is left is the training, clipped to the norm, rounded."""
    on, account = bench(seed), Account()
    noise = SharedUpdate(UPDATES, UPDATES.mechanism(on.model.size, CELL), account.charge, lambda _: bytes(32))
    zeros = noise.mechanism.noised(np.zeros(on.model.size, np.float32), lambda _: bytes(32))
    way = SharedUpdates(on, account.spent, noise)
    way.train(0, no_pulse)
    learned = noise.mechanism.decoded(way.update(on.model.vector()).noise - zeros)
    again = bench(seed)
    before = again.model.vector()
    again.trainer().train(0, 1)
    exact = again.model.vector() - before
    exact *= min(1.0, UPDATES.clip / np.linalg.norm(exact))
    assert np.abs(learned - exact).max() <= 2.1 / noise.mechanism.scale


@pytest.mark.parametrize("make", [noised_updates, shared_updates])
def test_a_training_that_blows_up_teaches_nothing_and_tells_nobody(make):
    on, account = bench(), Account()
    on.rows.features[3] = np.inf
    with pytest.raises(Diverged):
        Plain(bench_like(on)).train(0, no_pulse)
    way, before = make(on, account), on.model.vector()
    trained = way.train(0, no_pulse)
    assert trained.loss is None
    assert len(account.charged) == 1, "silence would tell as well"
    assert np.isfinite(on.model.vector()).all()
    assert way.update(before) is not None


def bench_like(on):
    other = bench()
    return Bench(other.model, on.rows, on.task, on.seed, on.node)


@pytest.mark.parametrize("make", NOISED)
def test_cancelling_a_training_leaves_nothing_unnoised_in_the_model(make):
    on, account = bench(), Account()
    way, before = make(on, account), on.model.vector()

    def cancel():
        raise KeyboardInterrupt

    if make is shared_records:
        way.train(0, cancel)  # one step, between which nobody is asked
        return
    with pytest.raises(KeyboardInterrupt):
        way.train(0, cancel)
    if make is not noised_records:  # whose every step is noised
        assert np.array_equal(on.model.vector(), before)


def learner(strategy, rows=60):
    own = dataset(rows, 7, 4, 1)
    task = TASK.model_copy(update={"rollback_margin": 0.1})
    return Learner(
        task, Shard(own.take(np.arange(40)), own.take(np.arange(40, rows))), seed=3, node=0, strategy=strategy
    )


@pytest.mark.parametrize("make", NOISED)
def test_the_holdout_rolls_nothing_back_where_epsilon_is_claimed(make):
    account = Account()
    private, plain = learner(lambda on: make(on, account)), learner(Plain)
    good, bad = private.vector(), private.vector() + np.float32(50)
    for one in (private, plain):
        one.adopt(good, 0)
    verdicts = [[one.adopt(bad, number).rolled_back for number in range(1, 5)] for one in (private, plain)]
    assert not any(verdicts[0])
    assert any(verdicts[1]), "or else the test asks for nothing"
    assert np.array_equal(private.vector(), bad)


@pytest.mark.parametrize("make", NOISED)
def test_no_champion_is_reinstated_where_epsilon_is_claimed(make):
    """The holdout chose it, without noise."""
    private = learner(lambda on: make(on, Account()))
    before, version = private.vector(), private.champion_version
    with pytest.raises(LearningError, match="holdout"):
        private.reinstate(before + np.float32(1))
    assert np.array_equal(private.vector(), before)
    assert private.champion_version == version


def test_a_vector_that_is_not_finite_is_passed_over_where_epsilon_is_claimed():
    account = Account()
    one = learner(lambda on: shared_records(on, account))
    before = one.vector()
    assessment = one.adopt(np.full(one.parameters, np.nan, np.float32), 0)
    assert np.array_equal(one.vector(), before)
    assert np.isfinite(assessment.holdout_loss)
    assert assessment.rolled_back is None


def test_a_learner_tells_what_was_spent_and_brings_what_its_way_brings():
    account = Account()
    one = learner(lambda on: shared_records(on, account))
    base = one.vector()
    assert one.train(0).epsilon == 1.0
    assert one.update(base).noise.shape == base.shape
    assert one.adopt(base, 0).epsilon == 1.0
    assert account.charged == [(0, Release(RECORDS.multiplier, 0.5, 1, RECORDS.failure))]
