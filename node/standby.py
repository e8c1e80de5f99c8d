"""What a node does between two rounds: carries out what an operator ordered, and waits while it is paused.

    PLAYING ──fewer up than make a quorum──► PAUSED(quorum)     goes on by itself once enough are up
       ▲ └──────────an operator's order────► PAUSED(operator)   goes on by an operator's order alone, restarts or not

A paused node keeps its connections, hears, relays, and answers for the rounds that it has played. Its peers lose a
deadline at most: to an operator's pause none, for it tells them; a node that lost its quorum is waited for once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from crypto.identity import PeerId
from detect.peers.quarantine import Verdict
from detect.peers.reputation import Change
from node.compute import Compute
from node.controls import ControlRefused
from node.desk import Desk, Order
from node.hearing import Hearing
from node.learning.learner import Restored
from node.round_record import RoundRecord

Believe = Callable[[PeerId, int, Verdict, float, str], Change | None]
"""Take an operator's word on a peer: in which round, what it is from now on, for how many seconds, and why. None: it
changes nothing."""

_VERDICTS = {"quarantine": Verdict.QUARANTINED, "release": Verdict.PROBATION, "revoke": Verdict.EVICTED}


@dataclass(frozen=True, slots=True)
class Levers:
    """What orders move beside the rounds. None: there is nothing to move, and orders are refused."""

    believe: Believe | None = None
    restore: Callable[[int], Restored] | None = None
    """Goes back to the champion of a version. In the compute thread. Raises `ControlRefused`."""


class Standby:
    """Owns whether the node is paused."""

    def __init__(
        self,
        hearing: Hearing,
        book: RoundRecord,
        desk: Desk,
        levers: Levers,
        compute: Compute,
        checkpoint: Callable[[int], None],
        *,
        lacks: Callable[[int], str | None],
        paused: str | None = None,
    ) -> None:
        """`checkpoint` makes all that the node is durable, as it is before a round; in the compute thread. `lacks` says
        what a quorum lacks in a round, None where nothing. `paused` is an operator's reason, from before a restart.
        """
        self._hearing = hearing
        self._book = book
        self._desk = desk
        self._levers = levers
        self._compute = compute
        self._checkpoint = checkpoint
        self._lacks = lacks
        self._told: Literal["quorum", "operator"] | None = None
        self._resumed = ""
        self._number = 0
        self._lingers = False
        self.paused = paused
        """Why an operator paused it; None where none did. To be kept over restarts."""

    async def begin(self, number: int) -> bool:
        """Come to round `number`. False: the node is to end instead."""
        self._number = self._hearing.number = number
        while await self.attend(lambda: not self._desk.waiting):
            cause, reason = self._cause()
            self._announce(cause, reason)
            if cause is None:
                return True
            await self.attend(lambda: self._cause()[0] != self._told)
        return False

    async def linger(self, rounds: int) -> None:
        """All `rounds` are done: answer and obey until the node is to end."""
        self._number, self._lingers = rounds, True
        await self.attend(lambda: False)

    async def attend(self, enough: Callable[[], bool]) -> bool:
        """Hear, and do what is ordered, until `enough`. False: the node is to end instead."""
        while not (self._desk.over or enough()):
            order = await self._hearing.until(enough, self._desk.next)
            if order is not None:
                await self._carry_out(order)
        return not self._desk.over

    # --- pauses -----------------------------------------------------------------------------------------------------

    def _cause(self) -> tuple[Literal["quorum", "operator"] | None, str]:
        if self.paused is not None:
            return "operator", self.paused
        lack = self._lacks(self._number)
        return (None, "enough peers are up") if lack is None else ("quorum", lack)

    def _announce(self, cause: Literal["quorum", "operator"] | None, reason: str) -> None:
        if cause == self._told:
            return
        if cause is not None:
            self._book.paused(self._number, cause, reason)
        else:
            self._book.unpaused(self._number, self._resumed if self._told == "operator" else reason)
        self._told = cause
        self._hearing.rest(cause == "operator")

    # --- orders -----------------------------------------------------------------------------------------------------

    async def _carry_out(self, order: Order) -> None:
        try:
            match order.action:
                case "pause":
                    self._pause(order)
                case "resume":
                    self._resume(order)
                case "roll-back":
                    await self._roll_back(order)
                case "quarantine" | "release" | "revoke":
                    self._judge(order)
        except ControlRefused as refusal:
            order.settle(refusal)
            return
        # On the disk before whoever asked hears that it is done.
        await self._hearing.during(lambda: self._compute.run(lambda: self._checkpoint(self._number)))
        order.settle()

    def _pause(self, order: Order) -> None:
        if self._lingers:
            raise ControlRefused("all rounds are done", "Nothing is to be paused; stop the node where it is to go.")
        if self.paused is not None:
            raise ControlRefused(f"it is paused already, {self.paused}", "Resume it to play rounds.")
        self.paused = order.words

    def _resume(self, order: Order) -> None:
        if self.paused is None:
            waits = " It waits for its quorum, and goes on by itself." if self._told == "quorum" else ""
            raise ControlRefused(f"no operator paused it.{waits}", "Nothing is to be done.")
        self.paused, self._resumed = None, f"resumed {order.words}"

    async def _roll_back(self, order: Order) -> None:
        restore = self._levers.restore
        if restore is None:
            raise ControlRefused("this node keeps no versions", "Roll back another node of the swarm.")

        def attempt() -> Restored | ControlRefused:
            try:
                return restore(order.version)
            except ControlRefused as refusal:
                return refusal  # handed over: raised, it would come out of the nursery in a group

        restored = await self._hearing.during(lambda: self._compute.run(attempt))
        if isinstance(restored, ControlRefused):
            raise restored
        self._book.restored(self._hearing.number, order.version, restored, order.words)

    def _judge(self, order: Order) -> None:
        believe = self._levers.believe
        if believe is None or order.peer is None:
            raise ControlRefused(
                "this node averages whoever is in the round: nobody can be left out",
                "Set enabled = true in [detect] of the topology file, and sharing to none or shamir.",
            )
        verdict = _VERDICTS[order.action]
        change = believe(order.peer, self._hearing.number, verdict, order.seconds, f"ordered {order.words}")
        if change is None:
            why = "it is not in quarantine, or for good" if verdict is Verdict.PROBATION else "it is evicted for good"
            raise ControlRefused(f"{order.action} {order.target}: {why}", "Nothing is to be done.")
        self._book.judged(self._hearing.number, change)
