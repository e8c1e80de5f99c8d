"""Events are folded a little at a time: whoever presses a key waits for no batch of them."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from node.console.desk import Desk

SLICE_S: Final = 0.002


class Pace:
    """Tells a source when it is the turn of others."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._began = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the slice is: call `rest` then."""
        return time.monotonic() - self._began > SLICE_S

    async def rest(self) -> None:
        """Let others have their turn; for as long as it takes, where a key is being answered."""
        await asyncio.sleep(0)
        if (left := self._desk.attention_s) > 0:
            await asyncio.sleep(left)
        self._began = time.monotonic()
