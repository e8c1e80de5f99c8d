"""Sums of clipped per-example gradients, Σ_k min(1, c / |g_k|) g_k, without writing each g_k down where possible.

A linear layer's gradient for one example is an outer product δ aᵀ of what came back and what went in, so its norm is
|δ| |a| (Goodfellow 2015, "Efficient Per-Example Gradient Computations"); over positions of a sequence it is
Σ_st (a_s · a_t)(δ_s · δ_t) (Li et al. 2022, "Large Language Models Can Be Strong Differentially Private Learners").
One backward pass gives all norms, and the weighted sum is one matrix product a layer. Models of other parts go by
`torch.func.vmap`, which writes every g_k down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from node.learning.errors import LearningError
from node.learning.trainer import Rows
from node.learning.vector import FlatModel

_ROWS = 512
"""Examples of one backward pass, at least."""
_NUMBERS = 1 << 18
"""Numbers that go into the layers in one backward pass: 2 MB in double precision, which a processor's cache holds."""
_VMAP_NUMBERS = 1 << 24
"""Numbers of the per-example gradients that the fallback writes down at a time: 64 MB."""
_ROW_BY_ROW = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Tanh,
    nn.Sigmoid,
)
"""Parts without parameters that treat each example by itself, whatever else is in the batch."""


@dataclass(frozen=True, slots=True)
class ClippedSum:
    """total (d,) float64: Σ of the clipped gradients · loss: sum of the examples' losses · examples · clipped: how many
    were longer than c. Only `total`, noised, may leave the node.
    """

    total: Tensor
    loss: float
    examples: int
    clipped: int


class ClippedGradients:
    """Sums the clipped gradients of a model's cross-entropy.

    Norms, weights and sums are in double precision, on float32 activations: the sum changes by at most `clip` when an
    example comes or goes, but for about 2⁻²³ of each other example's part, since a float32 product may be rounded
    otherwise in a batch of another size (`crypto.mechanisms.FLOAT_ALLOWANCE` is there for it).
    """

    def __init__(self, model: FlatModel, clip: float) -> None:
        """Raises `LearningError` for a model that mixes examples, as batch normalisation does."""
        if not (clip > 0 and clip < float("inf")):
            raise LearningError(f"clip = {clip}", "Give a finite norm above 0.")
        mixing = [part for part in model.module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        if mixing:
            raise LearningError(
                f"{type(mixing[0]).__name__} mixes the examples of a batch: no gradient belongs to one record alone",
                "Normalise by layer or by group instead.",
            )
        self._model = model
        self._clip = clip
        self._chain = _chain(model.module)
        self.ghost = self._chain is not None
        """Whether norms come without the gradients; False: the fallback."""
        widths = sum(part.in_features for part in self._chain or () if isinstance(part, nn.Linear))
        self._rows = max(_ROWS, _NUMBERS // max(1, widths))

    def sum(self, rows: Rows, chosen: Tensor) -> ClippedSum:
        """Over the examples numbered `chosen` (b,) int64, b ≥ 0."""
        total = torch.zeros(self._model.size, dtype=torch.float64)
        loss, clipped = 0.0, 0
        add, size = self._add_written_down, max(1, min(_ROWS, _VMAP_NUMBERS // self._model.size))
        if self._chain is not None:
            add, size = partial(self._add_ghost, self._chain), self._rows
        for part in torch.split(chosen, size) if len(chosen) else ():
            part_loss, part_clipped = add(rows.features[part], rows.labels[part], total)
            loss, clipped = loss + part_loss, clipped + part_clipped
        return ClippedSum(total, loss, len(chosen), clipped)

    def norms(self, rows: Rows, chosen: Tensor) -> Tensor:
        """The norms (b,) float64 of the examples' gradients before clipping."""
        x, y = rows.features[chosen], rows.labels[chosen]
        if self._chain is not None:
            return _ghost_norms(_differentiate(self._chain, x, y)[1])
        norms: Tensor = torch.linalg.vector_norm(self._written_down(x, y)[0], dim=1)
        return norms

    def _weights(self, norms: Tensor) -> tuple[Tensor, int, bool]:
        """min(1, c / norm) of each example, how many were longer, and whether all gradients are finite.

        A gradient that is not finite counts as 0: its record must not be told by a crash.
        """
        weights = self._clip / norms.clamp(min=self._clip)
        if bool(torch.isfinite(norms.sum())):
            return weights, int((norms > self._clip).sum()), True
        return torch.nan_to_num(weights, nan=0.0), int((~(norms <= self._clip)).sum()), False

    def _add_ghost(self, chain: _Chain, x: Tensor, y: Tensor, total: Tensor) -> tuple[float, int]:
        loss, seen = _differentiate(chain, x, y)
        weights, clipped, finite = self._weights(_ghost_norms(seen))
        parts: dict[Tensor, Tensor] = {}
        for layer, inputs, back in seen:
            # (b, …, out) · (b, …, in) → (out, in)
            weighted = (back * weights.view(-1, *[1] * (back.dim() - 1))).flatten(0, -2)
            inputs = inputs.flatten(0, -2)
            if not finite:
                weighted, inputs = _finite(weighted), _finite(inputs)
            parts[layer.weight] = weighted.T @ inputs
            if layer.bias is not None:
                parts[layer.bias] = weighted.sum(dim=0)
        total += torch.cat([parts[parameter].reshape(-1) for parameter in self._model.module.parameters()])
        return loss, clipped

    def _add_written_down(self, x: Tensor, y: Tensor, total: Tensor) -> tuple[float, int]:
        gradients, losses = self._written_down(x, y)
        weights, clipped, finite = self._weights(torch.linalg.vector_norm(gradients, dim=1))
        total += weights @ (gradients if finite else _finite(gradients))
        return float(torch.nan_to_num(losses).sum()), clipped

    def _written_down(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Every example's gradient (b, d) float64, and loss (b,)."""
        module = self._model.module
        values = {name: parameter.detach() for name, parameter in module.named_parameters()}

        def loss_of(parameters: dict[str, Tensor], row: Tensor, label: Tensor) -> Tensor:
            logits = torch.func.functional_call(module, parameters, (row.unsqueeze(0),))
            return cross_entropy(logits, label.unsqueeze(0))

        each = torch.func.vmap(torch.func.grad_and_value(loss_of), in_dims=(None, 0, 0))
        gradients, losses = each(values, x, y)
        return torch.cat([gradients[name].reshape(len(y), -1) for name in values], dim=1).double(), losses.detach()


_Chain = Sequence[nn.Module]
"""Parts that are called one after the other: linear layers, each once, and others that go row by row."""


def _chain(module: nn.Module) -> _Chain | None:
    """The parts of `module`, if that is a chain whose parameters are those of plain linear layers; else None."""
    parts = list(_unfolded(module))
    linear = [part for part in parts if type(part) is nn.Linear]
    if any(type(part) not in (nn.Linear, *_ROW_BY_ROW) for part in parts):
        return None
    # A layer or a tensor that is used twice has no outer product a use: what it is charged with would be too short.
    owned = [parameter for layer in linear for parameter in layer.parameters()]
    return parts if len({id(parameter) for parameter in owned}) == len(owned) else None


def _unfolded(module: nn.Module) -> Iterator[nn.Module]:
    if type(module) is nn.Sequential:
        for part in module:
            yield from _unfolded(part)
    else:
        yield module


_Seen = list[tuple[nn.Linear, Tensor, Tensor]]
"""Layer, what went in (b, …, in) and the gradient of what came out (b, …, out), both float64."""


def _differentiate(chain: _Chain, x: Tensor, y: Tensor) -> tuple[float, _Seen]:
    calls: list[tuple[nn.Linear, Tensor, Tensor]] = []
    for part in chain:
        before, x = x, part(x)
        if isinstance(part, nn.Linear):
            calls.append((part, before.detach(), x))
    loss = cross_entropy(x, y, reduction="sum")
    backs = torch.autograd.grad(loss, [output for _, _, output in calls])
    seen = [(layer, a.double(), back.double()) for (layer, a, _), back in zip(calls, backs, strict=True)]
    value = float(loss.detach())
    return value if math.isfinite(value) else 0.0, seen


def _ghost_norms(seen: _Seen) -> Tensor:
    squares = torch.zeros(len(seen[0][1]), dtype=torch.float64)
    for layer, inputs, back in seen:
        if inputs.dim() == 2:
            a, b = (torch.linalg.vector_norm(side, dim=1).square_() for side in (inputs, back))
            squares += (a if layer.bias is None else a.add_(1)).mul_(b)
        else:
            a, b = inputs.flatten(1, -2), back.flatten(1, -2)
            inner = a @ a.transpose(1, 2)
            squares += ((inner if layer.bias is None else inner + 1) * (b @ b.transpose(1, 2))).sum(dim=(1, 2))
    return squares.clamp_(min=0).sqrt()


def _finite(values: Tensor) -> Tensor:
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
