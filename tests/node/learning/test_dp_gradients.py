import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from node.learning.dataset import Dataset
from node.learning.dp_gradients import ClippedGradients
from node.learning.errors import LearningError
from node.learning.models import build
from node.learning.trainer import Rows
from node.learning.vector import FlatModel


def dataset(count, features, classes, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return Dataset(
        features=(scale * rng.standard_normal((count, features))).astype(np.float32),
        labels=rng.integers(classes, size=count),
        classes=tuple(f"c{i}" for i in range(classes)),
        feature_names=tuple(f"f{i}" for i in range(features)),
    )


def rows(count, features, classes, seed, scale=1.0):
    return Rows(dataset(count, features, classes, seed, scale))


def by_autograd(module, data, chosen):
    """Every example's gradient by a backward pass of its own, (b, d) in double precision."""
    gradients = []
    for k in chosen:
        loss = cross_entropy(module(data.features[k : k + 1]), data.labels[k : k + 1])
        each = torch.autograd.grad(loss, list(module.parameters()))
        gradients.append(torch.cat([g.reshape(-1) for g in each]).double())
    return torch.stack(gradients)


def clipped_by_hand(gradients, clip):
    norms = gradients.norm(dim=1)
    return (gradients * torch.clamp(clip / norms, max=1.0)[:, None]).sum(dim=0)


class PerPosition(nn.Module):
    """(b, 6) as 3 positions of 2 numbers, a layer at each, then a layer over all."""

    def __init__(self, bias):
        super().__init__()
        self.at_each = nn.Linear(2, 4, bias=bias)
        self.over_all = nn.Linear(12, 3)

    def forward(self, x):
        return self.over_all(torch.relu(self.at_each(x.view(-1, 3, 2))).flatten(1))


class Tied(nn.Module):
    """One layer used twice: an outer product a call, but not one in all."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return self.layer(torch.tanh(self.layer(x)))


def twice():
    """A chain that comes by one layer twice."""
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), nn.Sequential(layer, nn.Tanh()))


def shared_weight():
    """Two layers, one tensor."""
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


def normalised():
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))


@settings(max_examples=30, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 12), max_size=3),
    count=st.integers(1, 20),
    seed=st.integers(0, 1000),
    clip=st.floats(1e-3, 10),
)
def test_ghost_norms_and_clipped_sums_are_those_of_autograd(hidden, count, seed, clip):
    model = FlatModel(build("mlp" if hidden else "linear", 7, 4, hidden, seed))
    data, chosen = rows(count, 7, 4, seed), torch.arange(count)
    gradients = ClippedGradients(model, clip)
    assert gradients.ghost
    exact = by_autograd(model.module, data, chosen)
    assert torch.allclose(gradients.norms(data, chosen), exact.norm(dim=1), rtol=1e-4, atol=1e-6)
    summed = gradients.sum(data, chosen)
    assert torch.allclose(summed.total, clipped_by_hand(exact, clip), rtol=1e-4, atol=1e-5 * clip)
    assert summed.clipped == int((exact.norm(dim=1) > clip).sum()) or min(abs(exact.norm(dim=1) - clip)) < 1e-4 * clip
    assert summed.examples == count


@pytest.mark.parametrize(
    "module", [Tied, twice, shared_weight, normalised, lambda: PerPosition(True), lambda: PerPosition(False)]
)
def test_other_models_are_clipped_by_writing_gradients_down(module):
    torch.manual_seed(1)
    model = FlatModel(module())
    data, chosen = rows(9, 6, 3, 5), torch.arange(9)
    gradients = ClippedGradients(model, 0.2)
    assert not gradients.ghost
    exact = by_autograd(model.module, data, chosen)
    assert torch.allclose(gradients.norms(data, chosen), exact.norm(dim=1), rtol=1e-4)
    assert torch.allclose(gradients.sum(data, chosen).total, clipped_by_hand(exact, 0.2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_layers_over_positions_have_ghost_norms_too(bias):
    """Li et al. 2022: inner products over pairs of positions, in the models that are built of known parts."""
    torch.manual_seed(2)
    unflatten = nn.Unflatten(1, (3, 2))
    module = nn.Sequential(unflatten, nn.Linear(2, 4, bias=bias), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))
    model = FlatModel(module)
    data, chosen = rows(8, 6, 3, 6), torch.arange(8)
    gradients = ClippedGradients(model, 0.3)
    assert gradients.ghost
    exact = by_autograd(model.module, data, chosen)
    assert torch.allclose(gradients.norms(data, chosen), exact.norm(dim=1), rtol=1e-4)
    assert torch.allclose(gradients.sum(data, chosen).total, clipped_by_hand(exact, 0.3), rtol=1e-4, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 1e4), clip=st.floats(0.01, 5))
def test_one_record_more_changes_the_sum_by_at_most_the_clip(seed, scale, clip):
    model = FlatModel(build("mlp", 5, 3, [6], seed))
    data = rows(40, 5, 3, seed, scale)
    gradients = ClippedGradients(model, clip)
    with_it = gradients.sum(data, torch.arange(40)).total
    without = gradients.sum(data, torch.arange(39)).total
    assert (with_it - without).norm() <= clip * (1 + 2**-10)


def test_more_examples_than_one_pass_takes():
    model = FlatModel(build("linear", 600, 3, [], 1))
    data = rows(1300, 600, 3, 2)
    whole = ClippedGradients(model, 0.5).sum(data, torch.arange(1300))
    parts = [ClippedGradients(model, 0.5).sum(data, torch.arange(a, a + 100)).total for a in range(0, 1300, 100)]
    assert torch.allclose(whole.total, torch.stack(parts).sum(dim=0), rtol=1e-9, atol=1e-9)


def test_an_empty_sample_sums_to_zero():
    model = FlatModel(build("linear", 5, 3, [], 1))
    summed = ClippedGradients(model, 0.5).sum(rows(3, 5, 3, 2), torch.zeros(0, dtype=torch.int64))
    assert (summed.total == 0).all()
    assert (summed.loss, summed.examples) == (0.0, 0)


def test_a_record_whose_gradient_is_not_finite_counts_as_nothing():
    """Rather than as a crash that tells of it."""
    model = FlatModel(build("mlp", 5, 3, [4], 1))
    data = rows(6, 5, 3, 2)
    data.features[2] = 3e38
    gradients = ClippedGradients(model, 0.5)
    others = gradients.sum(data, torch.tensor([0, 1, 3, 4, 5])).total
    total = gradients.sum(data, torch.arange(6)).total
    assert torch.isfinite(total).all()
    assert (total - others).norm() <= 0.5 * (1 + 2**-10)


def test_the_model_is_left_as_it_was():
    model = FlatModel(build("mlp", 5, 3, [4], 1))
    before = model.vector()
    ClippedGradients(model, 0.5).sum(rows(6, 5, 3, 2), torch.arange(6))
    assert np.array_equal(model.vector(), before)
    assert (model.gradient == 0).all()


def test_models_that_mix_examples_are_refused():
    with pytest.raises(LearningError, match="BatchNorm1d mixes the examples"):
        ClippedGradients(FlatModel(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))), 0.5)


@pytest.mark.parametrize("clip", [0.0, -1.0, float("inf"), float("nan")])
def test_a_clip_that_bounds_nothing_is_refused(clip):
    with pytest.raises(LearningError, match="clip"):
        ClippedGradients(FlatModel(build("linear", 5, 3, [], 1)), clip)
