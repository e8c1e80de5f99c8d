from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from node.learning.models import build


def test_the_digits_model_has_4810_parameters():
    assert sum(p.numel() for p in build("mlp", 64, 10, (64,), seed=7).parameters()) == 4810
    assert sum(p.numel() for p in build("linear", 64, 10, (64,), seed=7).parameters()) == 650


def test_layers_alternate_with_relu_and_end_in_logits():
    kinds = [type(layer) for layer in build("mlp", 5, 3, (8, 7), seed=0)]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert build("mlp", 5, 3, (8, 7), seed=0)(torch.zeros(2, 5)).shape == (2, 3)


def test_the_seed_alone_decides_and_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = nn.utils.parameters_to_vector(build("mlp", 6, 3, (4,), seed=5).parameters())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(first, nn.utils.parameters_to_vector(build("mlp", 6, 3, (4,), seed=5).parameters()))
    assert not torch.equal(first, nn.utils.parameters_to_vector(build("mlp", 6, 3, (4,), seed=6).parameters()))


def test_initial_values_are_uniform_within_the_bound_of_the_layer():
    layer = build("mlp", 400, 2, (100,), seed=3)[0]
    weights = layer.weight.detach().numpy()
    assert np.abs(weights).max() <= 400**-0.5
    assert weights.std() == pytest.approx(400**-0.5 / 3**0.5, rel=0.02)


def test_logistic_regression_begins_undecided():
    logits = build("linear", 5, 3, (), seed=3)(torch.randn(4, 5))
    assert not logits.any()


def test_unknown_model():
    with pytest.raises(ValueError, match="known are mlp, linear"):
        build("transformer", 4, 2, (), seed=0)
