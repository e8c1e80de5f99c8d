"""One stream of a node's events: into the journal first, then to everybody in the process who folds over them.

The id of an event is the byte offset of its line's end in the journal. It grows, outlives the process, and is all that
a reader needs to go on where it stopped: who wants more than the newest event reads the file from an id.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio

from node import journal, journal_file
from node.errors import room_needed

Listener = Callable[[journal.Event, int], None]
"""Takes an event and its id; called in the thread of the trio loop, in the order of the ids. It must not wait."""


class Feed:
    """Writes events and hands them on. Make it inside `trio.run`: that loop is where listeners are called."""

    def __init__(self, book: journal_file.Journal) -> None:
        self._book = book
        # Events are written by the loop and by the compute thread, and the order of the file is the order of the ids.
        self._lock = threading.Lock()
        self._owed: deque[tuple[journal.Event, int]] = deque()
        self._delivering = False
        self._listeners: list[Listener] = []
        self._token = trio.lowlevel.current_trio_token()
        self._loop_thread = threading.get_ident()
        self._waiting = trio.lowlevel.ParkingLot()
        self.last_id = book.end
        """Of the newest event that listeners have; where the journal ended, before the first."""

    def write(self, event: journal.Event) -> None:
        """Append to the journal, then tell the listeners. Call it from any thread; from another than the loop's they
        are told soon after. Raises StateError where the disk is full: what is not written down is not done.
        """
        with self._lock:
            try:
                self._owed.append((event, self._book.write(event)))
            except OSError as error:
                raise room_needed(self._book.path, error) from error
        if threading.get_ident() == self._loop_thread:
            self._deliver()
            return
        with contextlib.suppress(trio.RunFinishedError):  # nobody listens any more, and the journal has it
            self._token.run_sync_soon(self._deliver, idempotent=True)

    def attach(self, listener: Listener) -> None:
        """Tell `listener` of every event with an id above `last_id`. Call it in the loop's thread."""
        self._deliver()
        self._listeners.append(listener)

    async def beyond(self, id: int) -> int:  # noqa: A002 - the glossary's word
        """Wait until there is an event with a greater id; the newest one's."""
        while self.last_id <= id:
            await self._waiting.park()
        return self.last_id

    def _deliver(self) -> None:
        if self._delivering:
            return  # a listener wrote an event: the loop below comes to it, after this one is with all
        self._delivering = True
        try:
            while self._owed:
                event, self.last_id = self._owed.popleft()
                for listener in self._listeners:
                    listener(event, self.last_id)
        finally:
            self._delivering = False
        self._waiting.unpark_all()


def is_id(path: Path, id: int) -> bool:  # noqa: A002 - as above
    """Whether a line of the journal at `path` ends at `id`, or `id` is 0: whether reading can go on from there."""
    if id == 0:
        return True
    with path.open("rb") as file:
        if not 0 < id <= file.seek(0, os.SEEK_END):  # a file system may refuse to seek to just any number
            return False
        file.seek(id - 1)
        return file.read(1) == b"\n"


def read_from(path: Path, id: int, most_bytes: int) -> tuple[list[tuple[int, bytes]], int]:  # noqa: A002 - as above
    """Ids and lines (without their ends) of the journal at `path` after `id`, and the id to go on from: about
    `most_bytes` of them, one line in any case. Lines that no node writes are passed over.
    """
    lines, end = [], id
    with path.open("rb") as file:
        file.seek(id)
        while end - id < most_bytes and (line := file.readline(journal.MAX_LINE_BYTES + 1)):
            if not line.endswith(b"\n") and len(line) <= journal.MAX_LINE_BYTES:
                break  # not complete yet
            end += len(line)
            if journal.parse(line) is not None:
                lines.append((end, line[:-1]))
    return lines, end
