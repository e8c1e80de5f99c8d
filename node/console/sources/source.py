"""What the console asks of whatever brings it events."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from node.console.desk import Desk
from node.console.orders import Order


class OrderRefused(Exception):  # noqa: N818 - a refusal, nothing is broken
    """The node did not do it; the text says why, and what to do."""


class Source(Protocol):
    """Brings events to a desk until it is cancelled."""

    @property
    def where(self) -> str:
        """In words, for the top line."""

    async def run(self, desk: Desk) -> None:
        """Bring events; between batches others get their turn."""


@runtime_checkable
class Playback(Protocol):
    """A source whose time can be steered."""

    @property
    def paused(self) -> bool:
        """Time stands still."""

    @property
    def speed(self) -> int:
        """Seconds of the journal a second."""

    def toggle(self) -> None:
        """Pause or go on."""

    def faster(self) -> None:
        """The next speed."""

    def slower(self) -> None:
        """The speed before."""

    def step(self) -> None:
        """Pause, and bring one round more."""

    def rewind(self) -> None:
        """From the beginning again."""


@runtime_checkable
class Operator(Protocol):
    """A source whose node takes orders."""

    def deaf(self) -> str | None:
        """Why the node that is shown takes none; None where it does, for all that is known."""

    async def order(self, order: Order) -> None:
        """Have it done. Raises OrderRefused."""
