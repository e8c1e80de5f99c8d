"""Whether a node takes part in the star that it was drawn into: one that lacks members is no use waiting in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import trio

from crypto.identity import PeerId
from node.cell_transport import CellTransport
from node.round_record import RoundRecord

_PATIENCE = 2
"""Deadlines that who sits a round out waits for its neighbours at most."""


class Attendance:
    """Of the node behind `cells`, whose secret phases can do without `absentees` members of a cell."""

    def __init__(self, cells: CellTransport, book: RoundRecord, *, absentees: int, deadline_s: float) -> None:
        self._cells = cells
        self._book = book
        self._absentees = absentees
        self._deadline_s = deadline_s

    def reach(self, number: int) -> None:
        """Round `number` begins; what was found wrong until now goes into the journal."""
        self._cells.reach(number)
        for culprit, reason in self._cells.faults():
            self._book.fault(number, culprit, reason)
        for epoch, reason in self._cells.failures():
            self._book.unseeded(epoch, reason)

    def lacks(self, cell: Collection[PeerId], passed: Collection[PeerId] = ()) -> bool:
        """Whether so many of a star are out of reach, or in other rounds, that all it could do is to wait in vain."""
        if not self._cells.plan.apart:
            return False
        there = self._cells.up - set(passed) - self._cells.lost()
        return len(set(cell) - there - {self._cells.peer_id}) > self._absentees

    def sit_out(self) -> None:
        """Tell members of our star that we take no part."""
        self._cells.sit_out()

    async def keep_pace(self, waited_for: Callable[[], frozenset[PeerId]], hear: Callable[[], Awaitable[None]]) -> None:
        """Who sits a round out waits for its neighbours, or its next cell would wait in vain for members far behind."""
        with trio.move_on_after(_PATIENCE * self._deadline_s):
            while self._cells.behind() & waited_for():
                await hear()
