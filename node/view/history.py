"""Series that stay small however long a run is: the newest points are all there, the older ones thinned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Point = TypeVar("Point")


class History(Generic[Point]):
    """At most `limit` points. When they are full every second one of the older half goes."""

    def __init__(self, limit: int) -> None:
        if limit < 4:
            raise ValueError(f"a history of {limit} points cannot be thinned; give at least 4")
        self._limit = limit
        self._points: list[Point] = []
        self.dropped = 0
        """How many points went."""

    def append(self, point: Point) -> None:
        """Add the newest."""
        if len(self._points) >= self._limit:
            half = len(self._points) // 2
            kept = self._points[:half:2]
            self.dropped += half - len(kept)
            self._points[:half] = kept
        self._points.append(point)

    def pop(self) -> Point:
        """Take the newest away again. Raises IndexError where there is none."""
        return self._points.pop()

    @property
    def last(self) -> Point | None:
        """The newest."""
        return self._points[-1] if self._points else None

    def __len__(self) -> int:
        return len(self._points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points)
