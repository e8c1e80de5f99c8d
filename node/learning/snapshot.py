"""A learner's state as plain values for a checkpoint, and back. What is read is checked: files rot and get mixed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from consensus.messages import Vector
from node.learning.errors import LearningError

Value = bytes | int | float | str | None

_LITTLE = np.dtype("<f4")
_MAX_COUNT = 1 << 53


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Working model and champion, shape (d,) each, the champion's version, and the rounds of worse challengers.

    There is no generator state and no momentum: the order of batches follows from the round's number, and momentum
    starts at zero in each round.
    """

    layout: bytes
    working: Vector
    champion: Vector
    version: int
    worse: int
    pace: tuple[float, ...] = ()
    """As `Pace.state`; empty where the rate does not adapt."""

    def pack(self) -> dict[str, Value]:
        """Values that msgpack knows; vectors as little-endian float32."""
        values: dict[str, Value] = {
            "layout": self.layout,
            "working": self.working.astype(_LITTLE).tobytes(),
            "champion": self.champion.astype(_LITTLE).tobytes(),
            "version": self.version,
            "worse": self.worse,
        }
        if self.pace:
            values["pace"] = np.array(self.pace, "<f8").tobytes()
        return values

    @classmethod
    def unpack(cls, values: Mapping[str, object]) -> Self:
        """Raises `LearningError` for missing keys, wrong types and numbers that are not finite."""
        layout = values.get("layout")
        if not isinstance(layout, bytes):
            raise damaged("layout")
        return cls(
            layout=layout,
            working=_vector(values, "working"),
            champion=_vector(values, "champion"),
            version=_count(values, "version"),
            worse=_count(values, "worse"),
            pace=_figures(values, "pace"),
        )


def _vector(values: Mapping[str, object], key: str) -> Vector:
    data = values.get(key)
    if not isinstance(data, bytes) or len(data) % _LITTLE.itemsize:
        raise damaged(key)
    vector = np.frombuffer(data, dtype=_LITTLE).astype(np.float32)
    if not np.isfinite(vector).all():
        raise damaged(key)
    return vector


def _figures(values: Mapping[str, object], key: str) -> tuple[float, ...]:
    data = values.get(key, b"")
    if not isinstance(data, bytes) or len(data) % 8:
        raise damaged(key)
    return tuple(np.frombuffer(data, "<f8").tolist())


def _count(values: Mapping[str, object], key: str) -> int:
    count = values.get(key)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < _MAX_COUNT:
        raise damaged(key)
    return count


def damaged(key: str) -> LearningError:
    """What to say of a checkpoint whose `key` is no good."""
    return LearningError(
        f"the checkpoint's {key} is missing, cut short or not a number",
        "Move the checkpoint away to start this node from the beginning.",
    )
