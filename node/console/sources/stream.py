"""Server-sent events out of bytes, in bounded memory whatever comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.journal import MAX_LINE_BYTES

MOST_BYTES: Final = MAX_LINE_BYTES + 64
"""Of a line: the longest of a journal behind its field's name."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: its id and its journal line."""

    id: int
    data: bytes


class Splitter:
    """Takes bytes as they come, gives whole frames. A line that is too long, and its frame, are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self._id: int | None = None
        self._data: bytes | None = None

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that are complete with `piece`."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        frames: list[Frame] = []
        for line in lines:
            if self._skipping:
                self._skipping, self._data = False, None
                continue
            frame = self._line(line.removesuffix(b"\r"))
            if frame is not None:
                frames.append(frame)
        if len(self._rest) > MOST_BYTES:
            self._rest, self._skipping = b"", True
        return frames

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            frame = Frame(self._id, self._data) if self._id is not None and self._data is not None else None
            self._id = self._data = None
            return frame
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"id":
            self._id = int(value) if value.isdigit() and len(value) <= 19 else None
        elif name == b"data":
            self._data = value if self._data is None else None  # a journal line is one line
        return None
