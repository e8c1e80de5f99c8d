"""Where an operator's commands come in: checked, journalled, and handed to the loop, which obeys between rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import trio

from crypto.identity import PeerId
from node.controls import MAX_QUARANTINE_S, MAX_TEXT, ControlRefused

Action = Literal["pause", "resume", "quarantine", "release", "roll-back", "revoke"]
WAITING: Final = 16
"""Commands that wait for the end of a round. No person gives more; a program that does is told so."""


@dataclass(slots=True, eq=False)
class Order:
    """A command on its way. `peer`, `seconds` and `version` are for the actions that have them."""

    action: Action
    actor: str
    target: str
    reason: str
    peer: PeerId | None = None
    seconds: float = 0.0
    version: int = 0
    _done: trio.Event = field(default_factory=trio.Event)
    _refusal: ControlRefused | None = None

    def settle(self, refusal: ControlRefused | None = None) -> None:
        """It is done, or cannot be."""
        self._refusal = refusal
        self._done.set()

    async def settled(self) -> None:
        """Wait until it is done. Raises `ControlRefused` where it cannot be."""
        await self._done.wait()
        if self._refusal is not None:
            raise self._refusal

    @property
    def words(self) -> str:
        """Who wants it, and why."""
        return f"by {self.actor}" + (f": {self.reason}" if self.reason else "")


class Desk:
    """As `node.controls.Controls`, for whoever takes the orders."""

    def __init__(self, peers: Mapping[str, PeerId], journal_it: Callable[[Order], None]) -> None:
        """`peers` are those of the node, by name; `journal_it` writes an order down before anything is done."""
        self._peers = peers
        self._journal_it = journal_it
        self._in, self._out = trio.open_memory_channel[Order](WAITING)
        self._ending = trio.Event()

    # --- controls ---------------------------------------------------------------------------------------------------

    async def pause(self, actor: str, reason: str) -> None:
        """As `Controls.pause`."""
        await self._order(Order("pause", actor, "", reason))

    async def resume(self, actor: str, reason: str) -> None:
        """As `Controls.resume`."""
        await self._order(Order("resume", actor, "", reason))

    async def quarantine(self, actor: str, peer_name: str, seconds: float, reason: str) -> None:
        """As `Controls.quarantine`."""
        if not 0 < seconds <= MAX_QUARANTINE_S:  # NaN is not either
            raise ControlRefused(
                f"a quarantine of {seconds} s", f"Give seconds above 0 and up to {MAX_QUARANTINE_S:.0f}; or revoke."
            )
        await self._order(Order("quarantine", actor, peer_name, reason, self._peer(peer_name), seconds=seconds))

    async def release(self, actor: str, peer_name: str, reason: str) -> None:
        """As `Controls.release`."""
        await self._order(Order("release", actor, peer_name, reason, self._peer(peer_name)))

    async def roll_back(self, actor: str, version: int, reason: str) -> None:
        """As `Controls.roll_back`."""
        if version < 0:
            raise ControlRefused(f"there is no version {version}", "Versions count from 0, the initial model.")
        await self._order(Order("roll-back", actor, str(version), reason, version=version))

    async def revoke(self, actor: str, peer_name: str, reason: str) -> None:
        """As `Controls.revoke`."""
        await self._order(Order("revoke", actor, peer_name, reason, self._peer(peer_name)))

    def _peer(self, name: str) -> PeerId:
        if name not in self._peers:
            shown = plain(name)
            raise ControlRefused(f"this node has no peer {shown!r}", f"Its peers: {', '.join(sorted(self._peers))}.")
        return self._peers[name]

    async def _order(self, order: Order) -> None:
        order.actor, order.reason = plain(order.actor), plain(order.reason)
        if self._ending.is_set():
            raise ControlRefused("the node is stopping", "Start it again, then ask.")
        if self.waiting >= WAITING:
            raise ControlRefused(
                f"{WAITING} commands wait for the end of the round already", "Ask again once it is over."
            )
        self._journal_it(order)
        self._in.send_nowait(order)
        await order.settled()

    # --- whoever takes the orders -----------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Orders that nobody has taken yet."""
        return self._out.statistics().current_buffer_used

    @property
    def over(self) -> bool:
        """Whether the node is to end, and nothing waits to be done before."""
        return self._ending.is_set() and not self.waiting

    async def next(self) -> Order | None:
        """The next order; None once the node is to end."""
        try:
            return await self._out.receive()
        except trio.EndOfChannel:
            return None

    def end(self) -> None:
        """Take no more orders: the node ends once those that wait are done."""
        self._ending.set()
        self._in.close()

    async def ending(self) -> None:
        """Wait until the node is to end."""
        await self._ending.wait()


def plain(text: str) -> str:
    """One printable line of at most `MAX_TEXT` characters."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT]).strip()
