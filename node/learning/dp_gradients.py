"""Sums of clipped per-example gradients, Σ_k min(1, c / |g_k|) g_k, without writing each g_k down where possible.

A linear layer's gradient for one example is an outer product δ aᵀ of what came back and what went in, so its norm is
|δ| |a| (Goodfellow 2015, "Efficient Per-Example Gradient Computations"); over positions of a sequence it is
Σ_st (a_s · a_t)(δ_s · δ_t) (Li et al. 2022, "Large Language Models Can Be Strong Differentially Private Learners").
One backward pass gives all norms, and the weighted sum is one matrix product a layer. Models of other parts go by
`torch.func.vmap`, which writes every g_k down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from node.learning.errors import LearningError
from node.learning.trainer import Rows
from node.learning.vector import FlatModel

_ROWS = 512
"""Examples of one backward pass."""
_VMAP_NUMBERS = 1 << 24
"""Numbers of the per-example gradients that the fallback writes down at a time: 64 MB."""
_ROW_BY_ROW = (
    nn.Sequential,
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
        self.ghost = _is_linear(model.module)
        """Whether norms come without the gradients; False: the fallback."""

    def sum(self, rows: Rows, chosen: Tensor) -> ClippedSum:
        """Over the examples numbered `chosen` (b,) int64, b ≥ 0."""
        total = torch.zeros(self._model.size, dtype=torch.float64)
        loss, clipped = 0.0, 0
        size = _ROWS if self.ghost else max(1, min(_ROWS, _VMAP_NUMBERS // self._model.size))
        for part in torch.split(chosen, size) if len(chosen) else ():
            add = self._add_ghost if self.ghost else self._add_written_down
            part_loss, part_clipped = add(rows.features[part], rows.labels[part], total)
            loss, clipped = loss + part_loss, clipped + part_clipped
        return ClippedSum(total, loss, len(chosen), clipped)

    def norms(self, rows: Rows, chosen: Tensor) -> Tensor:
        """The norms (b,) float64 of the examples' gradients before clipping."""
        x, y = rows.features[chosen], rows.labels[chosen]
        if self.ghost:
            return _ghost_norms(_differentiate(self._model.module, x, y)[1])
        norms: Tensor = torch.linalg.vector_norm(self._written_down(x, y)[0], dim=1)
        return norms

    def _weights(self, norms: Tensor) -> tuple[Tensor, int]:
        # A gradient that is not finite counts as 0: its record must not be told by a crash.
        weights = torch.where(norms > self._clip, self._clip / norms, torch.ones_like(norms))
        return torch.nan_to_num(weights, nan=0.0), int((~(norms <= self._clip)).sum())

    def _add_ghost(self, x: Tensor, y: Tensor, total: Tensor) -> tuple[float, int]:
        loss, seen = _differentiate(self._model.module, x, y)
        norms = _ghost_norms(seen)
        weights, clipped = self._weights(norms)
        parts: dict[Tensor, Tensor] = {}
        for layer, inputs, back in seen:
            # (b, …, out) · (b, …, in) → (out, in)
            weighted = _finite(back * weights.view(-1, *[1] * (back.dim() - 1))).flatten(0, -2)
            parts[layer.weight] = weighted.T @ _finite(inputs).flatten(0, -2)
            if layer.bias is not None:
                parts[layer.bias] = weighted.sum(dim=0)
        total += torch.cat([parts[parameter].reshape(-1) for parameter in self._model.module.parameters()])
        return loss, clipped

    def _add_written_down(self, x: Tensor, y: Tensor, total: Tensor) -> tuple[float, int]:
        gradients, losses = self._written_down(x, y)
        weights, clipped = self._weights(torch.linalg.vector_norm(gradients, dim=1))
        total += weights @ _finite(gradients)
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


def _is_linear(module: nn.Module) -> bool:
    """Whether all parameters are those of plain linear layers, each used by one layer, and the rest goes row by row."""
    parts = list(module.modules())
    linear = [part for part in parts if type(part) is nn.Linear]
    if any(type(part) not in (nn.Linear, *_ROW_BY_ROW) for part in parts):
        return False
    owned = [parameter for layer in linear for parameter in layer.parameters()]
    return len({id(parameter) for parameter in owned}) == len(owned) == len(list(module.parameters()))


_Seen = list[tuple[nn.Linear, Tensor, Tensor]]
"""Layer, what went in (b, …, in) and the gradient of what came out (b, …, out), both float64."""


def _differentiate(module: nn.Module, x: Tensor, y: Tensor) -> tuple[float, _Seen]:
    with _watching(module) as calls:
        loss = cross_entropy(module(x), y, reduction="sum")
    backs = torch.autograd.grad(loss, [output for _, _, output in calls])
    seen = [(layer, a.double(), back.double()) for (layer, a, _), back in zip(calls, backs, strict=True)]
    return float(torch.nan_to_num(loss.detach())), seen


@contextmanager
def _watching(module: nn.Module) -> Iterator[list[tuple[nn.Linear, Tensor, Tensor]]]:
    """Collects layer, input and output of each call of a linear layer."""
    calls: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)  # noqa: S101 - hooked to no other
        calls.append((layer, inputs[0].detach(), output))

    with ExitStack() as hooks:
        for part in module.modules():
            if isinstance(part, nn.Linear):
                hooks.callback(part.register_forward_hook(note).remove)
        yield calls


def _ghost_norms(seen: _Seen) -> Tensor:
    squares = torch.zeros(len(seen[0][1]), dtype=torch.float64)
    for layer, inputs, back in seen:
        if inputs.dim() == 2:
            a, b = inputs.square().sum(dim=1), back.square().sum(dim=1)
            squares += a * b if layer.bias is None else (a + 1) * b
        else:
            a, b = inputs.flatten(1, -2), back.flatten(1, -2)
            inner = a @ a.transpose(1, 2)
            squares += ((inner if layer.bias is None else inner + 1) * (b @ b.transpose(1, 2))).sum(dim=(1, 2))
    return squares.clamp_(min=0).sqrt()


def _finite(values: Tensor) -> Tensor:
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
