"""Drives the state machine of an open round in the loop: it thinks for microseconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

import trio

from consensus.effects import Close, Effect, Event, Heard, Send, Tick, WakeAt
from consensus.errors import RemoteFault
from consensus.round import Round
from overlay.transport import Transport


class OpenDriver:
    """Plays one round after another; the last one still answers peers that come back."""

    def __init__(self, transport: Transport, accuse: Callable[[int, RemoteFault], None]) -> None:
        self._transport = transport
        self._accuse = accuse
        self._round: Round | None = None
        self._wake_at = float("inf")

    @property
    def idle(self) -> bool:
        """Whether no round was ever played."""
        return self._round is None

    def begin(self, round_: Round, early: Collection[Heard]) -> None:
        """Play `round_`, of which `early` was heard before."""
        self._round = round_
        self._wake_at = float("inf")
        # Before the start: a round that knows of nobody's word yet, and that all have passed by, is void at once.
        for heard in early:
            self.tell(heard)
        self._perform(round_.start(trio.current_time()))

    def tell(self, event: Event) -> None:
        """Feed the round, closed ones too. What a peer did wrong is caught here and nowhere else."""
        if self._round is None:
            return
        now = trio.current_time()
        try:
            self._perform(self._round.receive(event, now))
        except RemoteFault as fault:
            self._perform(self._round.receive(Tick(), now))  # it may have waited for the culprit alone
            self._accuse(self._round.number, fault)

    async def play(self, round_: Round, hear: Callable[[], Awaitable[None]], given_up: Callable[[], bool]) -> None:
        """Until `round_` is closed or `given_up`, `hear` one thing after another, and wake the round when it is due."""
        while round_.outcome is None:
            # One scope a deadline, not one an event: a scope costs as much as an event.
            with trio.move_on_at(self._wake_at) as alarm:
                while round_.outcome is None and self._wake_at == alarm.deadline:
                    if given_up():
                        return
                    await hear()
            if alarm.cancelled_caught:
                self.tell(Tick())

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._transport.send(peer, message)
                case WakeAt(time):
                    self._wake_at = time
                case Close():
                    self._wake_at = float("inf")
