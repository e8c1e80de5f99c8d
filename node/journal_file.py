"""The journal as a file: one JSON line an event, appended by one node and followed by any number of
readers, who pass over what is no event: a torn line, which a kill -9 may leave.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from node.journal import MAX_LINE_BYTES, Event, parse


class Journal:
    """Appends events to a file. One writer a file; the node's lock on its state folder sees to that."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path` for appending. A torn last line is closed with a newline first, so that it stays one bad line."""
        file = path.open("ab+", buffering=0)
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return cls(file)

    @property
    def end(self) -> int:
        """Bytes written so far, those of earlier processes included."""
        return self._file.tell()

    def write(self, event: Event) -> int:
        """Append one event in one write call: a reader never sees two halves interleaved. The event's id: `end`."""
        line = event.model_dump_json().encode() + b"\n"
        while line:  # of a disk that is nearly full the first call takes a part, and the next says why
            line = line[self._file.write(line) :]
        return self._file.tell()

    @property
    def path(self) -> str:
        """Of the file."""
        return self._file.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read(path: Path) -> list[Event]:
    """All events of a finished or running journal; lines that do not parse are passed over."""
    return list(Follower(path).poll())


class Follower:
    """Reads a journal that grows, in bounded memory whatever is in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.id = 0
        """Of the event that `poll` gave last: where its line ends."""
        self.torn_lines = 0
        """Complete lines so far that are no event."""

    def poll(self) -> Iterator[Event]:
        """The events of the lines completed since the last call; of a missing file, none."""
        try:
            file = self._path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return
        with file:
            file.seek(self.id)
            while line := file.readline(MAX_LINE_BYTES + 1):
                if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                    return  # not complete yet
                self.id += len(line)
                event = parse(line)
                if event is not None:
                    yield event
                elif line.strip():
                    self.torn_lines += 1
