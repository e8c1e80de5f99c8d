"""The end of the journal that a store has not seen yet.

The offset up to which events have their rows is written in the transaction that writes the rows: an event is projected
once, whatever is killed when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from node import journal
from node.feed import read_from
from node.store.database import Database
from node.store.meta import number_of, read_meta, write_meta
from node.store.projection import project

BATCH_BYTES = 1 << 20


class Tail:
    """Where the projection of one journal stands. One thread at a time."""

    def __init__(self, database: Database, path: Path) -> None:
        """Another journal than the last is read from its beginning. One that a power cut has shortened goes on from its
        end: the events that it lost have their rows.
        """
        self._database = database
        self._path = path
        self._first = _first_line(path)
        with database.folding() as connection:
            known = read_meta(connection)
            offset = number_of(known, "projected") if known.get("journal") == self._first else 0
            self._projected = _line_end(path, offset)
            write_meta(connection, known, journal=self._first, projected=str(self._projected))

    @property
    def projected(self) -> int:
        """The id of the last event whose rows are in the store."""
        return self._projected

    def project(self, batch: Sequence[tuple[int, journal.Event]], *, upto: int | None = None) -> None:
        """Bring the rows of `batch`, ids with their events, into the tables, and with them `upto`, the id to go on from
        (that of the last, where it is not given). Events that are there already are passed over.
        """
        self._first = self._first or _first_line(self._path)  # of a new node the journal comes after the store
        with self._database.folding() as connection:
            known = read_meta(connection)
            before = number_of(known, "projected")
            new = [(id_, event) for id_, event in batch if id_ > before]
            after = max([before, *(id_ for id_, _ in new), upto or 0])
            project(connection, number_of(known, "life"), new)
            write_meta(connection, known, journal=self._first, projected=str(after))
        self._projected = after

    def catch_up(self, check: Callable[[], None] = lambda: None) -> None:
        """Project all that is in the journal by now; `check` is called between batches and may raise to end it."""
        while self._projected < _size(self._path):
            lines, end = read_from(self._path, self._projected, BATCH_BYTES)
            if end == self._projected:
                return  # a line that is not complete yet
            events = [(id_, event) for id_, line in lines if (event := journal.parse(line)) is not None]
            self.project(events, upto=end)
            check()


def _first_line(path: Path) -> str:
    """What tells one journal from another, since a node's first line holds the instant of its start; "" before it."""
    try:
        with path.open("rb") as file:
            line = file.readline(journal.MAX_LINE_BYTES)
    except FileNotFoundError:
        return ""
    return hashlib.sha256(line).hexdigest() if line.endswith(b"\n") else ""


def _line_end(path: Path, offset: int) -> int:
    """`offset`, or where it is the end of no line the next one that is; at most the file's size."""
    if offset == 0 or offset >= _size(path):
        return min(offset, _size(path))
    with path.open("rb") as file:
        file.seek(offset - 1)
        return offset - 1 + len(file.readline())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
