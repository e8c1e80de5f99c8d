from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from node.learning.errors import Diverged
from node.learning.models import build
from node.learning.trainer import Rows, Trainer, evaluate
from node.learning.vector import FlatModel
from overlay.topology_schema import Task

from .swarms import blobs

TASK = Task(learning_rate=0.1, momentum=0.8, weight_decay=0.01, batch_size=7)


def trained(task: Task = TASK, *, seed: int = 1, node: int = 0, round_: int = 0, epochs: int = 2) -> np.ndarray:
    model = FlatModel(build("mlp", 4, 3, (5,), seed=9))
    Trainer(model, Rows(blobs()), task, seed=seed, node=node).train(round_, epochs)
    return model.vector()


def test_agrees_with_torch_sgd_step_by_step():
    data = blobs(rows=30)
    module = build("mlp", 4, 3, (5,), seed=9)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.8, weight_decay=0.01)
    # The documented order of rows: one permutation an epoch from (seed, node, round).
    rng = np.random.default_rng([3, 4, 5, 0x5F1E])
    losses = []
    for _ in range(2):
        order = rng.permutation(30)
        for at in range(0, 30, 7):
            rows = order[at : at + 7]
            loss = nn.functional.cross_entropy(
                module(torch.from_numpy(data.features[rows])), torch.from_numpy(data.labels[rows])
            )
            losses += [loss.item()] * len(rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model = FlatModel(build("mlp", 4, 3, (5,), seed=9))
    result = Trainer(model, Rows(data), TASK, seed=3, node=4).train(5, 2)
    expected = nn.utils.parameters_to_vector(module.parameters()).detach().numpy()
    assert np.allclose(model.vector(), expected, atol=1e-6)
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert result.samples == 60


def test_seed_node_and_round_decide_and_nothing_else():
    torch.manual_seed(1)
    first = trained()
    torch.manual_seed(2)
    assert np.array_equal(first, trained())
    others = [trained(seed=2), trained(node=1), trained(round_=1)]
    assert all(not np.array_equal(first, other) for other in others)


def test_no_velocity_is_carried_from_round_to_round():
    model = FlatModel(build("mlp", 4, 3, (5,), seed=9))
    trainer = Trainer(model, Rows(blobs()), TASK, seed=1, node=0)
    start = model.vector()
    trainer.train(0, 1)
    first = model.vector()
    model.load(start)
    trainer.train(0, 1)
    assert np.array_equal(model.vector(), first)


def test_momentum_and_weight_decay_have_an_effect():
    plain = trained(TASK.model_copy(update={"momentum": 0.0, "weight_decay": 0.0}))
    assert not np.array_equal(plain, trained(TASK.model_copy(update={"weight_decay": 0.0})))
    assert not np.array_equal(plain, trained(TASK.model_copy(update={"momentum": 0.0})))


def test_training_learns():
    model = FlatModel(build("mlp", 4, 3, (5,), seed=9))
    before = evaluate(model, Rows(blobs(seed=1)))
    Trainer(model, Rows(blobs()), TASK, seed=1, node=0).train(0, 10)
    after = evaluate(model, Rows(blobs(seed=1)))
    assert after.accuracy > 0.95 > before.accuracy
    assert after.loss < before.loss / 3


def test_divergence_is_an_error_that_names_the_setting():
    with pytest.raises(Diverged, match="in round 3") as caught:
        trained(Task(learning_rate=10.0, momentum=0.99, weight_decay=1.0), round_=3, epochs=200)
    assert "learning_rate (it is 10)" in caught.value.remedy


def test_metrics_are_means_over_all_rows_however_they_are_cut(monkeypatch):
    model = FlatModel(build("mlp", 4, 3, (5,), seed=9))
    data = blobs(rows=50)
    with torch.no_grad():
        logits = model.module(torch.from_numpy(data.features)).numpy().astype(np.float64)
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -log_probability[np.arange(50), data.labels].mean()
    for rows in (1024, 7):
        monkeypatch.setattr("node.learning.trainer._EVALUATION_ROWS", rows)
        metrics = evaluate(model, Rows(data))
        assert metrics.loss == pytest.approx(expected, rel=1e-5)
        assert metrics.accuracy == (logits.argmax(axis=1) == data.labels).mean()


def test_a_spoilt_model_has_a_loss_that_says_so():
    model = FlatModel(build("mlp", 4, 3, (5,), seed=9))
    model.load(np.full(model.size, np.nan, np.float32))
    assert np.isnan(evaluate(model, Rows(blobs())).loss)
