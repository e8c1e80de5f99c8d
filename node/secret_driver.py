"""Feeds the state machine of a private round, which may think for long, while the loop keeps hearing the network.

    tell(event) ──► queue ──► a batch at a time through the round, where `machines` runs it ──► effects, in the loop
                      ▲                                                                          │
                      └───────────────── Computed ◄── `jobs` ◄───────────────────────────────────┘

One task owns the round: no two of its calls ever overlap, whichever thread they run in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from consensus.compute import Compute as Computing
from consensus.compute import Computed, SecretEffect, SecretEvent
from consensus.effects import Heard, Outcome, RoundMessage, Send, Tick, WakeAt
from consensus.errors import RemoteFault
from consensus.letters import bytes_of
from crypto.identity import PeerId
from node.compute import Compute
from node.jobs import Jobs

MESSAGES_WAIT: Final = 4096
"""Of one peer, for the round to have time for; an honest member of the largest cell says fewer in a whole round."""


class Machine(Protocol):
    """What is fed: a `GuardedRound`, or one that is closed."""

    @property
    def number(self) -> int:
        """Of the round."""

    @property
    def outcome(self) -> Outcome | None:
        """None until the round is closed."""

    def start(self, now: float) -> list[SecretEffect]:
        """Begin."""

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """What to do about `event`; before the start it only listens. May raise `RemoteFault`."""


class SecretDriver:
    """Runs one round: `tell` it what happens, wait for `closed`. It answers peers that are behind until cancelled."""

    def __init__(
        self,
        machine: Machine,
        *,
        machines: Compute,
        jobs: Jobs,
        send: Callable[[PeerId, RoundMessage], None],
        accuse: Callable[[RemoteFault], None],
        most_bytes: int,
    ) -> None:
        """`most_bytes` is what the messages of one peer that wait may add up to."""
        self.machine = machine
        self.closed = trio.Event()
        """Its outcome is there, and all that it had to say by then is sent."""
        self._machines = machines
        self._jobs = jobs
        self._send = send
        self._accuse = accuse
        self._most_bytes = most_bytes
        self._queue: list[SecretEvent] = []
        self._waiting: Counter[PeerId] = Counter()
        self._bytes: Counter[PeerId] = Counter()
        self._rang = trio.Event()
        self._wake_at = float("inf")

    @property
    def number(self) -> int:
        """Of the round."""
        return self.machine.number

    def tell(self, event: SecretEvent) -> None:
        """Have the round hear of `event` as soon as it has time. What a flood says beyond its room is not kept."""
        if isinstance(event, Heard):
            peer, size = event.peer, bytes_of(event.message)
            if self._waiting[peer] >= MESSAGES_WAIT or self._bytes[peer] + size > self._most_bytes:
                return
            self._waiting[peer] += 1
            self._bytes[peer] += size
        self._queue.append(event)
        self._rang.set()

    async def run(self) -> None:
        """Start the round with what was told until now, and go on; ends by cancellation alone."""
        async with trio.open_nursery() as nursery:
            begin = True
            while True:
                batch = self._take()
                await self._feed(batch, nursery, begin=begin)
                begin = False
                await self._wait()

    async def _wait(self) -> None:
        """Until there is something to hear, or it is time to wake the round."""
        with trio.move_on_at(self._wake_at):
            await self._rang.wait()
        if trio.current_time() >= self._wake_at:
            self._wake_at = float("inf")
            self._queue.append(Tick())

    def _take(self) -> list[SecretEvent]:
        batch, self._queue = self._queue, []
        self._waiting.clear()
        self._bytes.clear()
        self._rang = trio.Event()
        return batch

    async def _feed(self, batch: Sequence[SecretEvent], nursery: trio.Nursery, *, begin: bool) -> None:
        faults: list[RemoteFault] = []
        effects = await self._machines.run(partial(self._think, batch, trio.current_time(), faults, begin=begin))
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._send(peer, message)
                case WakeAt(time):
                    self._wake_at = time
                case Computing():
                    nursery.start_soon(self._work, effect)
        for fault in faults:
            self._accuse(fault)
        if self.machine.outcome is not None:
            self._wake_at = float("inf")
            self.closed.set()

    def _think(
        self, batch: Sequence[SecretEvent], now: float, faults: list[RemoteFault], *, begin: bool
    ) -> list[SecretEffect]:
        """Where `machines` runs it: touches the round alone."""
        effects: list[SecretEffect] = []
        for event in batch:
            try:
                effects += self.machine.receive(event, now)
            except RemoteFault as fault:
                faults.append(fault)
                effects += self.machine.receive(Tick(), now)  # it may have waited for the culprit alone
        if begin:
            effects += self.machine.start(now)
        return effects

    async def _work(self, computing: Computing) -> None:
        self.tell(Computed(computing.ticket, await self._jobs.run(computing.job)))
