"""A model as one flat float32 vector, and the digest by which two nodes know that their vectors mean the same."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn

from consensus.messages import Vector
from node.learning.dataset import Dataset
from node.learning.errors import LearningError

_FORMAT = "grapevine-layout-1"


@dataclass(frozen=True, slots=True)
class Layout:
    """What each number of a vector stands for.

    shapes: (name, shape) of each parameter in order · classes: the output units · features: the input units. Two
    vectors of equal length are averaged only if all of it agrees: the same 4,810 numbers mean something else where
    the classes are sorted differently.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]

    @classmethod
    def of(cls, module: nn.Module, dataset: Dataset) -> Self:
        """The layout of `module` for the features and classes of `dataset`."""
        shapes = tuple((name, tuple(parameter.shape)) for name, parameter in module.named_parameters())
        return cls(shapes, dataset.classes, dataset.feature_names)

    def digest(self) -> bytes:
        """32 bytes: SHA-256 of the layout's canonical JSON."""
        content = [_FORMAT, self.shapes, self.classes, self.features]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).digest()


class FlatModel:
    """A module whose parameters, and their gradients, are views of one contiguous vector each.

    So a step of SGD is three operations on one vector however many layers there are, and sending or adopting a model
    is one copy. `values` and `gradient` have shape (d,), float32.
    """

    def __init__(self, module: nn.Module) -> None:
        parameters = list(module.parameters())
        self.module = module
        self.size = sum(parameter.numel() for parameter in parameters)
        self.values = torch.empty(self.size)
        self.gradient = torch.zeros(self.size)
        self._numpy: Vector = self.values.numpy()  # shares the memory
        at = 0
        for parameter in parameters:
            here = slice(at, at + parameter.numel())
            self.values[here] = parameter.detach().reshape(-1)
            parameter.data = self.values[here].view(parameter.shape)
            # backward() adds into a gradient that is there already, in place, and so into our vector.
            parameter.grad = self.gradient[here].view(parameter.shape)
            at += parameter.numel()

    def vector(self) -> Vector:
        """A copy of the parameters, shape (d,)."""
        return self._numpy.copy()

    def load(self, vector: Vector) -> None:
        """Copy `vector`, shape (d,) float32, into the parameters. Raises `LearningError` where it does not fit."""
        check_vector(vector, self.size)
        np.copyto(self._numpy, vector)


def changes_by_layer(module: nn.Module, before: Vector, after: Vector) -> dict[str, float]:
    """Parameter of `module` → norm of after − before, (d,) each, over its norm before; left out where that is nothing,
    or where either is not finite.
    """
    changes, at = {}, 0
    for name, parameter in module.named_parameters():
        here = slice(at, at + parameter.numel())
        at = here.stop
        # In double precision: the square of a large float32 overflows.
        old = before[here].astype(np.float64)
        norm, change = float(np.linalg.norm(old)), float(np.linalg.norm(after[here] - old))
        if norm > 0 and math.isfinite(change / norm):
            changes[name] = change / norm
    return changes


def check_vector(vector: Vector, size: int) -> None:
    """Raise `LearningError` unless `vector` is float32 of shape (size,)."""
    if vector.dtype != np.float32 or vector.shape != (size,):
        raise LearningError(
            f"a vector of {vector.dtype} {vector.shape} for a model of float32 ({size},)",
            "Give every node the same [task] table and data of the same columns and classes.",
        )
