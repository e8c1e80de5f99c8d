import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.accountant import epsilon
from node.learning.dp_contribution import SharedStep, SharedUpdate
from node.learning.dp_gradients import ClippedGradients
from node.learning.dp_plan import RecordPlan, UpdatePlan
from node.learning.errors import LearningError
from node.learning.models import build
from node.learning.vector import FlatModel
from node.ledger import BudgetSpent
from tests.node.learning.cell import CELL, PROOF, randbytes
from tests.node.learning.test_dp_gradients import rows

RATE = 0.4


def free(*_):
    pass


def spent(*_):
    raise BudgetSpent("nothing is left", "wait")


def shared_step(plan, own, *, charge=free, seed=1):
    model = FlatModel(build("linear", 7, 4, (), 3))
    mechanism = plan.distributed(model.size, RATE, CELL)
    return model, SharedStep(model, own, plan, mechanism, RATE, charge, randbytes(seed))


def test_the_sum_of_a_cell_is_a_noised_step_on_all_its_rows():
    """Eight members, one step each; many times over: mean the pooled step, variance that of the shares."""
    torch.set_num_threads(1)
    plan = RecordPlan(clip=0.5, sampling=1.0, steps=1, rows=30.0, multiplier=2.0, failure=1e-9)
    data = [rows(30, 7, 4, seed) for seed in range(8)]
    members = [shared_step(plan, own, seed=i) for i, own in enumerate(data)]
    model, first = members[0]
    exact = sum(ClippedGradients(model, 0.5).sum(own, torch.arange(30)).total for own in data)
    step = -RATE * exact.numpy() / (30 * 8)
    opened = []
    for number in range(150):
        total = sum(member.make(number)[0] for _, member in members)
        opened.append(first.mechanism.encoding(8).decode(total, 8))
    # Eight shares of (z c)² / h, h = 4: whoever pools two of them and misses two leaves z c or more.
    expected = plan.step_size(RATE) * 2.0 * 0.5 * math.sqrt(8 / 4) / 8
    assert np.std(opened, axis=0).mean() == pytest.approx(expected, rel=0.03)
    assert np.abs(np.mean(opened, axis=0) - step).max() < 5 * expected / math.sqrt(150)


def test_a_contribution_leaves_the_model_alone_and_is_charged_first():
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=20, rows=30.0)
    charged = []
    model, step = shared_step(plan, rows(30, 7, 4, 1), charge=lambda *what: charged.append(what))
    before = model.vector()
    made, trained = step.make(5)
    assert charged == [(5, plan.release())]
    assert (made.dtype, made.shape) == (np.int32, (model.size,))
    assert np.array_equal(model.vector(), before)
    assert 0 <= trained.samples <= 30
    assert np.linalg.norm(made.astype(float)) <= PROOF.honest_norm


def test_where_the_budget_is_spent_nothing_is_made():
    drawn = []
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=20, rows=30.0)
    model = FlatModel(build("linear", 7, 4, (), 3))
    mechanism = plan.distributed(model.size, RATE, CELL)
    source = randbytes(1)
    step = SharedStep(model, rows(30, 7, 4, 1), plan, mechanism, RATE, spent, lambda n: (drawn.append(n), source(n))[1])
    with pytest.raises(BudgetSpent):
        step.make(0)
    update = UpdatePlan.within(4.0, 1e-5, clip=1.0, rounds=10)
    with pytest.raises(BudgetSpent):
        SharedUpdate(update, update.mechanism(3), spent, source).make(
            0, np.zeros(3, np.float32), np.ones(3, np.float32)
        )
    assert not drawn


def test_a_mechanism_of_another_plan_is_refused():
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=20, rows=30.0)
    model = FlatModel(build("linear", 7, 4, (), 3))
    mechanism = plan.distributed(model.size, RATE, CELL)
    with pytest.raises(ValueError, match="another plan or learning rate"):
        SharedStep(model, rows(30, 7, 4, 1), plan, mechanism, 2 * RATE, free, randbytes(1))
    update = UpdatePlan.within(4.0, 1e-5, clip=1.0, rounds=10)
    with pytest.raises(ValueError, match="another plan"):
        SharedUpdate(update, mechanism, free, randbytes(1))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), length=st.floats(0.01, 100))
def test_a_whole_update_is_clipped_and_noised(seed, length):
    plan = UpdatePlan.within(8.0, 1e-5, clip=1.0, rounds=1)
    mechanism = plan.mechanism(2000)
    rng = np.random.default_rng(seed)
    before = rng.standard_normal(2000).astype(np.float32)
    direction = rng.standard_normal(2000)
    direction *= length / np.linalg.norm(direction)
    update = SharedUpdate(plan, mechanism, free, randbytes(seed))
    shown = update.shown(before, update.make(0, before, (before + direction).astype(np.float32)))
    noise = shown - before - direction * min(1, 1 / length)
    assert noise.std() == pytest.approx(plan.multiplier, rel=0.1)


def test_all_updates_of_a_run_stay_within_the_budget():
    plan = UpdatePlan.within(3.0, 1e-5, clip=1.0, rounds=30)
    assert 2.97 < epsilon([plan.release()] * 30, 1e-5) <= 3.0
    shared = plan.mechanism(500, CELL)
    assert shared.share_sigma == pytest.approx(shared.sigma / math.sqrt(CELL.shares))
    assert shared.honest_norm <= PROOF.honest_norm


def test_an_update_that_is_not_finite_is_noised_like_any_other():
    plan = UpdatePlan.within(8.0, 1e-5, clip=1.0, rounds=1)
    update = SharedUpdate(plan, plan.mechanism(4), free, randbytes(1))
    after = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)
    made = update.make(0, np.full(4, -3e38, np.float32), after)
    assert np.abs(made).max() < 2 * 13 * update.mechanism.sigma


def test_updates_of_other_sizes_are_refused():
    plan = UpdatePlan.within(8.0, 1e-5, clip=1.0, rounds=1)
    update = SharedUpdate(plan, plan.mechanism(4), free, randbytes(1))
    with pytest.raises(LearningError, match="vector"):
        update.make(0, np.zeros(4, np.float32), np.zeros(5, np.float32))


def test_without_sharing_room_a_large_model_is_refused():
    plan = RecordPlan.within(4.0, 1e-5, clip=0.5, sampling=0.5, steps=20, rows=30.0)
    small = type(CELL)(CELL.members, CELL.shares, room=3600.0)
    with pytest.raises(ValueError, match="use a larger norm bound C"):
        plan.distributed(100_000, RATE, small)
