"""A journal, replayed: events come at the distance in time that they were written at, times a speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node import journal, journal_file
from node.console.desk import Desk
from node.console.logs.records import line_of
from node.console.sources.log_file import LogFollower, beside
from node.console.sources.pace import Pace
from node.errors import UserError
from node.words import plain

SPEEDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TICK_S: Final = 0.05
BATCH: Final = 400
"""Events after which others get their turn."""


class JournalSource:
    """Replays the journal at `path`; past its end it follows the file, if somebody writes on."""

    def __init__(self, path: Path, speed: int = 10) -> None:
        """Raises UserError where there is no file."""
        if not path.is_file():
            raise UserError(f"{path} is no file", "Give a journal: RUN/NODE/journal.jsonl, or that of a state folder.")
        self._path = path
        self._speed = min(SPEEDS, key=lambda known: abs(known - speed))
        self._paused = False
        self._steps = 0
        self._rewound = False
        self._time: float | None = None
        """Of the journal; None before its first event."""

    @property
    def where(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def paused(self) -> bool:
        """Time stands still."""
        return self._paused

    @property
    def speed(self) -> int:
        """Seconds of the journal a second."""
        return self._speed

    def toggle(self) -> None:
        """Pause or go on."""
        self._paused = not self._paused

    def faster(self) -> None:
        """The next speed."""
        self._speed = SPEEDS[min(SPEEDS.index(self._speed) + 1, len(SPEEDS) - 1)]

    def slower(self) -> None:
        """The speed before."""
        self._speed = SPEEDS[max(SPEEDS.index(self._speed) - 1, 0)]

    def step(self) -> None:
        """Pause, and bring all up to the end of the next round."""
        self._paused = True
        self._steps += 1

    def rewind(self) -> None:
        """From the beginning again."""
        self._rewound = True

    async def run(self, desk: Desk) -> None:
        """Replay until cancelled."""
        desk.clock = lambda: self._time or 0.0
        while True:
            await self._play(desk)
            self._rewound, self._time = False, None
            for name in desk.views:
                desk.forget(name)

    async def _play(self, desk: Desk) -> None:
        """From the first event, until somebody rewinds."""
        follower, log = journal_file.Follower(self._path), _Log(LogFollower(beside(self._path)))
        coming = self._events(follower)
        held: tuple[journal.Event, int] | None = None
        before, pace = time.monotonic(), Pace(desk)
        while not self._rewound:
            now = time.monotonic()
            passed, before = now - before, now
            if self._time is not None and not self._paused:
                self._time += passed * self._speed
            for _ in range(BATCH):
                held = held or next(coming, None)
                if held is None:
                    coming = self._events(follower)  # the file may have grown
                    break
                if not self._due(held[0]):
                    break
                desk.take(self._name(desk, held[0]), [held])
                held = None
                if pace.over:
                    await pace.rest()
            if desk.reads_log and self._time is not None and desk.current:
                desk.note(desk.current, log.until(self._time))
            self._report(desk, ended=held is None)
            await asyncio.sleep(TICK_S)

    def _name(self, desk: Desk, event: journal.Event) -> str:
        """Of the one node of the journal."""
        own = event.name if isinstance(event, journal.Started) else self._path.parent.name
        return desk.current or plain(own)

    def _events(self, follower: journal_file.Follower) -> Iterator[tuple[journal.Event, int]]:
        for event in follower.poll():
            yield event, follower.id

    def _due(self, event: journal.Event) -> bool:
        if self._time is None:
            self._time = event.at
            return True
        if self._steps:
            self._steps -= isinstance(event, journal.RoundClosed | journal.Stopped)
            self._time = max(self._time, event.at)
            return True
        return not self._paused and event.at <= self._time

    def _report(self, desk: Desk, *, ended: bool) -> None:
        if ended:
            self._steps = 0
            desk.tell("ended", "end of the journal")
        else:
            desk.tell("paused" if self._paused else "replay", f"×{self._speed}")


class _Log:
    """The log beside a journal, replayed with it: a record comes when its time has."""

    def __init__(self, follower: LogFollower) -> None:
        self._follower = follower
        self._coming = follower.poll()
        self._held: object = None

    def until(self, now: float) -> Iterator[object]:
        """Records of that time and before, at most a batch."""
        for _ in range(BATCH):
            self._held = self._held or next(self._coming, None)
            if self._held is None:
                self._coming = self._follower.poll()  # the file may have grown
                return
            line = line_of(self._held, 0)
            if line is not None and line.at > now:
                return
            yield self._held
            self._held = None
