"""A node's log file, followed while it grows, is rotated, or is cut short by kill -9."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.logs import FILE, FILES

MOST_LINE_BYTES: Final = 1 << 17
"""Of a line; longer ones are no record of a node's."""
HEAD_BYTES: Final = 512
"""Of a file, by which it is known again: its first records with their times."""
_EVENT: Final = b'"kind": "'
"""In a record that repeats an event of the journal, and in no string of JSON: a quote within one has a \\ before it."""


def beside(journal: Path) -> Path:
    """The log of the node whose journal this is: in the state folder, which in a run of the lab lies below."""
    here = journal.with_name(FILE)
    return here if here.exists() else journal.parent / "state" / FILE


class LogFollower:
    """Gives the records of STATE/log.jsonl and the older log.jsonl.1 …, oldest first, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        """Device and inode of the file that is read: a rotated one goes by another name and is the same."""
        self._at = 0
        self._head = b""
        """How that file begins: inodes of files that are gone are given to new ones."""

    def poll(self) -> Iterator[object]:
        """Records that were completed since the last call, without those that repeat an event."""
        files = self._files()
        known = [number for number, (path, identity) in enumerate(files) if self._is_read(path, identity)]
        for number, (path, identity) in enumerate(files[known[0] :] if known else files):
            if number or not known:
                self._file, self._at, self._head = identity, 0, b""
            yield from self._rest(path)

    def _is_read(self, path: Path, identity: tuple[int, int]) -> bool:
        """Whether this is the file that was read last."""
        if identity != self._file:
            return False
        try:
            with path.open("rb") as file:
                return file.read(len(self._head)) == self._head
        except OSError:
            return False

    def _rest(self, path: Path) -> Iterator[object]:
        try:
            file = path.open("rb")
        except OSError:
            return  # rotated away this moment, or not ours to read: the next call sees what there is
        with file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != self._file:
                return
            self._at = self._at if self._at <= status.st_size else 0
            self._head = file.read(min(HEAD_BYTES, self._at)) if self._at else b""
            file.seek(self._at)
            while line := file.readline(MOST_LINE_BYTES):
                if not line.endswith(b"\n") and len(line) < MOST_LINE_BYTES:
                    return  # not complete yet; in a file that nobody writes to any more it never will be
                self._at += len(line)
                self._head = self._head if len(self._head) == HEAD_BYTES else (self._head + line)[:HEAD_BYTES]
                if _EVENT not in line and (record := _parsed(line)) is not None:
                    yield record

    def _files(self) -> list[tuple[Path, tuple[int, int]]]:
        """Those that there are with what they are, the oldest first."""
        found = []
        for number in range(FILES, -1, -1):
            path = self._path.with_name(f"{self._path.name}.{number}") if number else self._path
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((path, (status.st_dev, status.st_ino)))
        return found


def _parsed(line: bytes) -> object:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found
