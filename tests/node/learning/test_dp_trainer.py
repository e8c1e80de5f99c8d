import math

import numpy as np
import pytest
import torch

from crypto.accountant import Release, epsilon
from node.learning.data import load_dataset, split_holdout
from node.learning.dp_plan import RecordPlan
from node.learning.dp_trainer import PrivateTrainer
from node.learning.errors import Diverged
from node.learning.models import build
from node.learning.trainer import Rows, evaluate
from node.learning.vector import FlatModel
from node.ledger import Budget, BudgetSpent, Ledger
from node.store.store import open_store
from overlay.topology_schema import Task
from tests.node.learning.cell import randbytes

TASK = Task(model="linear", learning_rate=0.5, momentum=0.9)


@pytest.fixture(scope="module")
def digits():
    split = load_dataset("digits")
    return split_holdout(split.train, 0.15, 7).train, split.test


def trainer(own, plan, *, task=TASK, charge=lambda *_: None, seed=1):
    model = FlatModel(build("linear", 64, 10, (), 5))
    return model, PrivateTrainer(model, Rows(own), task, plan, charge, randbytes(seed))


def test_many_local_steps_learn_within_the_budget(digits, tmp_path):
    """One node with all rows: central DP-SGD at ε = 4, three rounds of two epochs at q = 0.1."""
    own, test = digits
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.1, steps=60, rows=len(own))
    with open_store(None, tmp_path) as store:
        ledger = Ledger.open(store.database, Budget(4.0, 1e-5))
        task = TASK.model_copy(update={"learning_rate": 0.3})
        charge = ledger.charging(level="record", noise="local")
        model, private = trainer(own, plan, task=task, charge=charge)
        for number in range(3):
            trained = private.train(number, 2)
            assert trained.samples == pytest.approx(2 * len(own), rel=0.1)
            assert math.isfinite(trained.loss)
        assert 3.9 < ledger.spent() <= 4.0
        before = model.vector()
        with pytest.raises(BudgetSpent):
            private.train(3, 2)
        assert np.array_equal(model.vector(), before)  # the node goes on with what it has
    assert evaluate(model, Rows(test)).accuracy > 0.88


def test_a_training_is_charged_before_its_first_step(digits):
    own, _ = digits
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.25, steps=40, rows=len(own))
    seen = []
    model, private = trainer(own, plan, charge=lambda number, release: seen.append((number, release, model.vector())))
    start = model.vector()
    private.train(6, 1)
    [(number, release, then)] = seen
    assert number == 6
    assert release == Release(plan.multiplier, 0.25, 4, 4 * plan.failure)
    assert np.array_equal(then, start)
    assert not np.array_equal(model.vector(), start)


def test_a_step_is_the_clipped_mean_and_noise_of_the_planned_deviation(digits):
    """The same start many times over, one step at q = 1: the mean is the clipped gradient, the spread z c."""
    own, _ = digits
    own = own.take(np.arange(40))
    plan = RecordPlan(clip=0.5, sampling=1.0, steps=1, rows=50.0, multiplier=1.5, failure=1e-9)
    task = TASK.model_copy(update={"momentum": 0.0, "learning_rate": 1.0})
    model, private = trainer(own, plan, task=task)
    start, steps = model.vector(), []
    for number in range(60):
        model.load(start)
        private.train(number, 1)
        steps.append((start - model.vector()) * 50.0)
    spread = np.std(steps, axis=0).mean()
    assert spread == pytest.approx(1.5 * 0.5, rel=0.05)
    model.load(start)
    exact = private._sampled._gradients.sum(Rows(own), torch.arange(40)).total.numpy()
    assert np.abs(np.mean(steps, axis=0) - exact).max() < 5 * spread / math.sqrt(60)


def test_two_trainings_from_one_start_differ_by_their_noise(digits):
    own, _ = digits
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=40, rows=len(own))
    model, private = trainer(own, plan)
    start = model.vector()
    private.train(0, 1)
    first = model.vector()
    model.load(start)
    private.train(0, 1)
    assert not np.array_equal(model.vector(), first)


def test_a_step_that_leaves_the_finite_numbers_is_divergence(digits):
    own, _ = digits
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=40, rows=len(own))
    model, private = trainer(own, plan)
    model.load(np.full(model.size, 3e38, np.float32))
    model.values[0] = float("inf")
    with pytest.raises(Diverged, match="round 2"):
        private.train(2, 1)


@pytest.mark.parametrize("sampling", [0.1, 1.0])
def test_a_plan_spends_its_budget_and_no_more(sampling):
    plan = RecordPlan.within(2.0, 1e-5, clip=1.0, sampling=sampling, steps=50, rows=100.0)
    assert 1.98 < epsilon([plan.release()] * 50, 1e-5) <= 2.0
    assert epsilon([plan.release(25), plan.release(25)], 1e-5) == pytest.approx(epsilon([plan.release(50)], 1e-5))
    assert epsilon([plan.release(51)], 1e-5) > 2.0
    assert plan.local(100).release(sampling=sampling, steps=3) == plan.release(3)


@pytest.mark.parametrize("rows", [0.0, -1.0, math.inf, math.nan])
def test_a_plan_needs_a_public_number_of_rows(rows):
    with pytest.raises(ValueError, match="rows"):
        RecordPlan.within(2.0, 1e-5, clip=1.0, sampling=0.5, steps=50, rows=rows)
