from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from node.learning.errors import LearningError
from node.learning.models import build
from node.learning.vector import FlatModel, Layout, changes_by_layer

from .swarms import blobs


def test_the_vector_is_the_parameters_in_order():
    module = build("mlp", 4, 3, (5,), seed=1)
    expected = nn.utils.parameters_to_vector(module.parameters()).detach().numpy().copy()
    model = FlatModel(module)
    assert model.size == 4 * 5 + 5 + 5 * 3 + 3
    assert model.vector().dtype == np.float32
    assert np.array_equal(model.vector(), expected)


def test_loading_changes_what_the_module_computes_and_the_copy_is_ones_own():
    one, other = FlatModel(build("mlp", 4, 3, (5,), seed=1)), FlatModel(build("mlp", 4, 3, (5,), seed=2))
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(one.module(x), other.module(x))
    vector = other.vector()
    one.load(vector)
    assert torch.equal(one.module(x), other.module(x))
    vector[:] = 0
    assert torch.equal(one.module(x), other.module(x))


def test_a_read_only_vector_can_be_loaded():
    model = FlatModel(build("linear", 4, 3, (), seed=1))
    view = np.frombuffer(np.ones(15, np.float32).tobytes(), dtype=np.float32)
    model.load(view)
    assert (model.values == 1).all()


def test_gradients_are_views_of_the_flat_gradient():
    module = build("mlp", 4, 3, (5,), seed=1)
    model = FlatModel(module)
    x = torch.ones(2, 4)
    module(x).sum().backward()
    module(x).sum().backward()
    oracle = build("mlp", 4, 3, (5,), seed=1)
    (2 * oracle(x).sum()).backward()
    expected = torch.cat([parameter.grad.reshape(-1) for parameter in oracle.parameters()])
    assert torch.allclose(model.gradient, expected)


@pytest.mark.parametrize("vector", [np.zeros(14, np.float32), np.zeros((15, 1), np.float32), np.zeros(15)])
def test_a_vector_that_does_not_fit_is_refused(vector):
    model = FlatModel(build("linear", 4, 3, (), seed=1))
    with pytest.raises(LearningError, match=r"for a model of float32 \(15,\)"):
        model.load(vector)


def test_the_digest_covers_all_that_gives_the_numbers_their_meaning():
    data = blobs()
    layout = Layout.of(build("mlp", 4, 3, (5,), seed=1), data)
    assert len(layout.digest()) == 32
    assert layout.digest() == Layout.of(build("mlp", 4, 3, (5,), seed=2), data).digest()
    others = [
        Layout.of(build("mlp", 4, 3, (6,), seed=1), data),
        Layout.of(build("mlp", 4, 3, (5,), seed=1), replace(data, classes=("a", "c", "b"))),
        Layout.of(build("mlp", 4, 3, (5,), seed=1), replace(data, feature_names=("x1", "x0", "x2", "x3"))),
        replace(layout, classes=("a", "b,c")),
        replace(layout, classes=("a,b", "c")),
    ]
    assert len({layout.digest(), *(other.digest() for other in others)}) == 6


def test_a_change_is_told_by_layer_and_relative():
    module = build("mlp", 4, 3, (5,), seed=1)
    before = FlatModel(module).vector()
    before[20:25] = 0.0  # the first bias
    after = before.copy()
    after[:20] *= np.float32(1.5)
    after[20:25] += 1.0
    after[-1] = np.nan
    changes = changes_by_layer(module, before, after)
    assert list(changes) == ["0.weight", "2.weight"]
    assert changes["0.weight"] == pytest.approx(0.5, rel=1e-5)
    assert changes["2.weight"] == 0.0
