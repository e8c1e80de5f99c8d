"""The base that updates are differences from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from consensus.messages import Vector
from consensus.private_messages import Body, BodyError

_WORD = np.dtype("<f4")
FARTHEST = 1e30
"""Bounds every value of a base: an honest model is nowhere near, and what comes near it stays finite in every sum."""


@dataclass(frozen=True, eq=False)
class Base:
    """What the members of a cell have in common: their public vector y and, with momentum, its velocity v."""

    vector: Vector
    """float32 (d,), read-only."""
    opened: int
    """One more than the round that made it; 0 for the initial vector."""
    velocity: Vector | None = None
    """float32 (d,), read-only: by how much y moved last. None where there is no momentum."""

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that stand for y and v."""
        return hashlib.sha256(self.body).digest()

    @property
    def body(self) -> bytes:
        """y ‖ v as they travel: little-endian float32."""
        parts = [self.vector] if self.velocity is None else [self.vector, self.velocity]
        return b"".join(part.astype(_WORD, copy=False).tobytes() for part in parts)

    @classmethod
    def parse(cls, body: Body, size: int, opened: int, *, velocity: bool) -> Self:
        """The base of d = `size` in `body`. Raises BodyError for what is none."""
        words = size * (2 if velocity else 1)
        if len(body) != 4 * words:
            raise BodyError(f"a base of {4 * words} bytes expected, it has {len(body)}")
        values = np.frombuffer(bytes(body), _WORD).astype(np.float32, copy=False)
        # Twice: a mean of values at the bound may come out a rounding above it.
        if not (np.abs(values) <= 2 * FARTHEST).all():
            raise BodyError(f"a base has values that are not finite, or beyond {2 * FARTHEST:g}")
        values.flags.writeable = False
        return cls(values[:size], opened, values[size:] if velocity else None)
