"""Plays the private rounds of one node, one after another; the last but one still answers members that are behind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import trio

from consensus.conviction import Certainty
from consensus.effects import Event, Heard, Letter, Outcome
from consensus.guarded_round import GuardedRound
from consensus.private_outcome import PrivateOutcome
from crypto.identity import PeerId
from detect.peers.evidence import Severity
from node.compute import Compute
from node.guard import Guard
from node.jobs import Jobs
from node.round_record import RoundRecord
from node.secret_driver import Machine, SecretDriver
from overlay.transport import Transport

SEVERITY: Final = MappingProxyType(
    {
        Certainty.SUSPECTED: Severity.HIGH,
        Certainty.WITNESSED: Severity.WITNESSED,
        Certainty.PROVED: Severity.PROVED,
    }
)
"""Of the lies of a secret phase."""


@dataclass(frozen=True, slots=True)
class Privately:
    """What private rounds need beside the rest."""

    guard: Guard
    machines: Compute
    """Where their state machines think: beside training, which must not keep them from answering."""
    jobs: Jobs
    """Where their jobs run."""


class PrivatePlayer:
    """Owns the drivers of the rounds that can still be heard of. `nursery` is where they live."""

    def __init__(self, means: Privately, transport: Transport, book: RoundRecord, nursery: trio.Nursery) -> None:
        self.guard = means.guard
        self._means = means
        self._transport = transport
        self._book = book
        self._nursery = nursery
        self._drivers: list[tuple[SecretDriver, trio.CancelScope]] = []
        self.secret: PrivateOutcome | None = None
        """How the secret phase of the last round that closed ended."""
        self.void: str | None = None
        """Why the secret phase of the last round that closed opened no sum; None where it did."""

    @property
    def idle(self) -> bool:
        """Whether no round was ever played."""
        return not self._drivers

    def begin(self, round_: Machine, early: Collection[Heard]) -> trio.Event:
        """Play `round_`, of which `early` was heard before. The event is set once it is closed."""
        driver = SecretDriver(
            round_,
            machines=self._means.machines,
            jobs=self._means.jobs,
            send=self._transport.send,
            accuse=lambda fault: self._book.fault(round_.number, fault.culprit, fault.reason),
            most_bytes=self.guard.room,
        )
        for heard in early:
            driver.tell(heard)
        for peer, letter in self.guard.letters.take(round_.number):
            driver.tell(Heard(peer, letter))
        for _, before in self._drivers[:-1]:
            before.cancel()
        self._drivers = [*self._drivers[-1:], (driver, trio.CancelScope())]
        self._nursery.start_soon(self._run, *self._drivers[-1])
        return driver.closed

    async def _run(self, driver: SecretDriver, scope: trio.CancelScope) -> None:
        with scope:
            await driver.run()

    def end(self, round_: GuardedRound) -> Outcome | None:
        """Take over what `round_` leaves; None where it was given up."""
        outcome = round_.outcome  # once: a round that was given up may close at this moment, in its thread
        if outcome is not None:
            self.guard.base, self.guard.vault = round_.base, round_.vault
            if round_.recovered is not None:
                self._book.recalled(round_.number, round_.recovered)
            self.secret = round_.secret
            self.void = None if round_.secret is None else round_.secret.void
            for culprit in round_.faults:
                self._book.fault(round_.number, culprit.peer, culprit.reason, SEVERITY[culprit.certainty])
        return outcome

    def tell(self, event: Event) -> None:
        """Feed the round in play, or the last one."""
        if self._drivers:
            self._drivers[-1][0].tell(event)

    def hear(self, peer: PeerId, letter: Letter) -> None:
        """Hand `letter` to the round that it is about, or keep it until there is one."""
        for driver, _ in self._drivers:
            if driver.number == letter.round:
                driver.tell(Heard(peer, letter))
                return
        self.guard.letters.offer(peer, letter)
