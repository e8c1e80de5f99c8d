"""The folder of a run: the journals of all its nodes, followed while they grow.

Orders go to the API of the node that is shown, where its journal says that it has one, with the token of the run.
"""

from __future__ import annotations

import asyncio
import re
from itertools import islice
from pathlib import Path
from typing import Final

from node import journal_file
from node.console.desk import NODES_MAX, Desk, LinkState
from node.console.orders import Order
from node.console.sources.http_source import HttpSource, is_loopback
from node.console.sources.log_file import LogFollower
from node.console.sources.pace import Pace
from node.console.sources.source import OrderRefused
from node.errors import UserError
from node.files import read_bounded
from node.lab.folder import RunFolder
from node.logs import FILE

POLL_S: Final = 0.1
LIST_S: Final = 1.0
BATCH: Final = 400
"""Events of one node after which others get their turn."""
MOST_TOKEN_BYTES: Final = 4096


class FolderSource:
    """Follows DIR/NAME/journal.jsonl of every node."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError where there is no folder."""
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder", "Give the folder of a run: what `grapevine lab up --out` made.")
        self._folder = folder
        self._followers: dict[str, journal_file.Follower] = {}
        self._logs: dict[str, LogFollower] = {}
        self._desk: Desk | None = None

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    async def run(self, desk: Desk) -> None:
        """Follow until cancelled."""
        self._desk, listed, pace = desk, 0.0, Pace(desk)
        while True:
            if listed <= 0:
                self._list(desk)
                listed = LIST_S
            busy = False
            for name, follower in self._followers.items():
                taken = 0
                for event in islice(follower.poll(), BATCH):
                    desk.take(name, ((event, follower.id),))
                    taken += 1
                    if pace.over:
                        await pace.rest()
                busy = busy or taken == BATCH
                await pace.rest()
            if desk.reads_log and desk.current:
                busy = await self._note(desk, desk.current, pace) or busy
            desk.tell(*self._state(desk))
            if not busy:
                await asyncio.sleep(POLL_S)
                listed -= POLL_S

    async def _note(self, desk: Desk, name: str, pace: Pace) -> bool:
        """Bring what is new in the log of node `name`; whether there is more."""
        if name not in self._logs:
            self._logs[name] = LogFollower(RunFolder(self._folder).state(name) / FILE)
        taken = 0
        for record in islice(self._logs[name].poll(), BATCH):
            desk.note(name, (record,))
            taken += 1
            if pace.over:
                await pace.rest()
        return taken == BATCH

    def deaf(self) -> str | None:
        """As `Operator.deaf`."""
        node = self._api()
        return node if isinstance(node, str) else None

    async def order(self, order: Order) -> None:
        """Have the node that is shown do it. Raises OrderRefused."""
        node = self._api()
        if isinstance(node, str):
            raise OrderRefused(node)
        await node.order(order)

    def _api(self) -> HttpSource | str:
        """Of the node that is shown; or why it cannot be told anything."""
        if self._desk is None or not self._desk.current:
            return "No node has begun yet."
        name = self._desk.current
        api = self._desk.views[name].modules["api"]
        if api.status != "running":
            return f"{name} has no API ({api.reason or 'its journal names none'}): start with --api HOST:PORT."
        try:
            token = read_bounded(RunFolder(self._folder).token, MOST_TOKEN_BYTES).decode("ascii").strip()
            node = HttpSource(str(api.settings.get("url", "")), token)
        except (OSError, ValueError) as error:
            return f"{self._folder} has no token to use: {error}"
        except UserError as error:
            return f"{name} cannot be told: {error.problem}"
        # A journal may have come from anywhere; the token of a lab is for this machine.
        return node if is_loopback(node.host) else f"{name} says that its API is on another machine."

    def _list(self, desk: Desk) -> None:
        found = (path.parent.name for path in self._folder.glob("*/journal.jsonl"))
        for name in sorted(found, key=_natural)[:NODES_MAX]:
            if name not in self._followers:
                self._followers[name] = journal_file.Follower(self._folder / name / "journal.jsonl")
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
