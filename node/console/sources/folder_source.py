"""The folder of a run: the journals of all its nodes, followed while they grow."""

from __future__ import annotations

import asyncio
import re
from itertools import islice
from pathlib import Path
from typing import Final

from node import journal
from node.console.desk import NODES_MAX, Desk, LinkState
from node.errors import UserError

POLL_S: Final = 0.1
LIST_S: Final = 1.0
BATCH: Final = 400
"""Events of one node after which others get their turn."""


class FolderSource:
    """Follows DIR/NAME/journal.jsonl of every node."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError where there is no folder."""
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder", "Give the folder of a run: what `grapevine lab up --out` made.")
        self._folder = folder
        self._followers: dict[str, journal.Follower] = {}

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    async def run(self, desk: Desk) -> None:
        """Follow until cancelled."""
        listed = 0.0
        while True:
            if listed <= 0:
                self._list(desk)
                listed = LIST_S
            busy = False
            for name, follower in self._followers.items():
                events = [(event, follower.id) for event in islice(follower.poll(), BATCH)]
                desk.take(name, events)
                busy = busy or len(events) == BATCH
                await asyncio.sleep(0)
            desk.tell(*self._state(desk))
            if not busy:
                await asyncio.sleep(POLL_S)
                listed -= POLL_S

    def _list(self, desk: Desk) -> None:
        found = (path.parent.name for path in self._folder.glob("*/journal.jsonl"))
        for name in sorted(found, key=_natural)[:NODES_MAX]:
            if name not in self._followers:
                self._followers[name] = journal.Follower(self._folder / name / "journal.jsonl")
                desk.add(name)
        if list(desk.views) != (ordered := sorted(desk.views, key=_natural)):
            desk.arrange(ordered)

    @staticmethod
    def _state(desk: Desk) -> tuple[LinkState, str]:
        states = [view.overview.state for view in desk.views.values()]
        if not states or all(state == "awaited" for state in states):
            return "connecting", "no node has begun yet"
        if all(state in ("stopped", "awaited") for state in states):
            return "ended", "all nodes have stopped"
        return "live", ""


def _natural(name: str) -> list[tuple[int, str]]:
    """press-2 before press-10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
