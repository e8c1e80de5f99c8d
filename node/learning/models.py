"""The models that can be learnt, by name. Linear layers and ReLU: what per-example gradients are cheap for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

MODELS = ("mlp", "linear")


def build(model: str, features: int, classes: int, hidden: Sequence[int], seed: int) -> nn.Sequential:
    """A module (n, features) → logits (n, classes).

    `mlp` has a ReLU layer for each width in `hidden`, and its initial parameters are drawn from `seed` alone. `linear`
    is logistic regression, ignores `hidden` and begins at zero: there is one minimum, so a draw would do nothing but
    stand in the way, and where noise allows small steps alone it does so for long. Every node of a swarm builds the
    same one: averages of models that begin apart would be worse than either.
    """
    if model not in MODELS:
        raise ValueError(f"no model {model!r}; known are {', '.join(MODELS)}")
    widths = [features, *(hidden if model == "mlp" else ()), classes]
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [_linear(inputs, outputs, generator), nn.ReLU()]
    if model == "linear":
        for parameter in layers[0].parameters():
            nn.init.zeros_(parameter)
    return nn.Sequential(*layers[:-1])


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """U(-1/√inputs, 1/√inputs) for weights and biases, torch's own default, but from our generator."""
    # nn.Linear draws from torch's global generator first, which stays as it was. (By way of the meta device it would
    # draw nothing, but that imports half a second of torch in every node.)
    with torch.random.fork_rng(devices=[]):
        layer = nn.Linear(inputs, outputs)
    bound = inputs**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
