"""The fold. `see` takes the events of one node's journal in order; the read models are what is shown.

    Started ──► gathering ──Ready/RoundClosed──► running ⇄ paused ──► finished
       any of them ──Stopped──► stopped ──Started──► gathering

Pure and bounded: no input makes it raise or grow without limit. Not thread-safe; what it hands out is frozen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from node import journal
from node.view.alerts import Alert, alerts_of
from node.view.model import Model
from node.view.modules import Modules
from node.view.peers import Peers
from node.view.read_models import (
    NAME_MAX,
    TEXT_MAX,
    LogLine,
    ModelView,
    ModuleView,
    NodeState,
    Overview,
    PeerView,
)
from node.view.wording import line_of
from node.words import plain

LOG_MAX: Final = 1024
CELL_MAX: Final = 1024


class View:
    """What is seen of one node after some of its events."""

    def __init__(self) -> None:
        self._node = Overview()
        self._model = Model()
        self._peers = Peers()
        self._modules = Modules()
        self._epsilon: float | None = None
        self._faults = self._proved_faults = 0
        self._log: deque[LogLine] = deque(maxlen=LOG_MAX)
        self._unread: deque[tuple[journal.Event, int]] = deque(maxlen=LOG_MAX)
        """Events that are in the log when somebody reads it: most are never read."""
        self._log_total = 0
        self._last_void = False
        self._last_id = 0
        self._last_at: float | None = None

    def see(self, event: journal.Event, id: int) -> None:  # noqa: A002 - the field's name in server-sent events
        """Take the next event. `id` is the byte offset of its line's end in the journal; one that is not above the
        last is passed over, so that a stream may be resumed from anywhere before its end.
        """
        if id <= self._last_id:
            return
        self._last_id, self._last_at = id, event.at
        self._unread.append((event, id))
        self._log_total += 1
        match event:
            case journal.Started():
                self._start(event)
            case journal.RoundClosed():
                self._close(event, id)
            case journal.Connected() | journal.Disconnected():
                self._peers.connect(event.peer, up=isinstance(event, journal.Connected))
            case journal.Evidence():
                self._peers.blame(event, id)
            case journal.VerdictChanged():
                self._peers.judge(event)
            case journal.Promoted():
                self._model.promote(event)
            case journal.RolledBack():
                self._model.roll_back(event)
            case journal.ModuleChanged():
                self._modules.change(event)
            case _:
                self._see_rest(event, id)

    # --- what is shown ----------------------------------------------------------------------------------------------

    @property
    def overview(self) -> Overview:
        """The node on one screen."""
        last = self._model.rounds.last
        return replace(
            self._node,
            neighbours=self._peers.neighbours,
            up=self._peers.up,
            deadlines_missed=self._peers.deadlines_missed,
            champion_version=self._model.version,
            champion_accuracy=self._model.accuracy,
            challenger_accuracy=None if last is None else last.challenger_accuracy,
            test_accuracy=None if last is None else last.test_accuracy,
            consensus_distance=None if last is None else last.consensus_distance,
            round_s=None if last is None else last.round_s,
            epsilon=self._epsilon,
            faults=self._faults,
            proved_faults=self._proved_faults,
            epsilon_budget=self._modules.epsilon_budget,
            last_id=self._last_id,
            last_at=self._last_at,
        )

    @property
    def last_id(self) -> int:
        """Of the last event; 0 where there is none."""
        return self._last_id

    @property
    def model(self) -> ModelView:
        """Champion, challenger, versions, figures by round."""
        return self._model.view()

    @property
    def model_edition(self) -> int:
        """Grows with all that `model` tells."""
        return self._model.edition

    @property
    def peers(self) -> dict[str, PeerView]:
        """By name: those on the peer list first, in its order."""
        return self._peers.views()

    def peer(self, name: str) -> PeerView | None:
        """One of them; None for a name that the journal does not know."""
        return self._peers.view(name)

    @property
    def peers_passed_over(self) -> int:
        """Mentions of peers for which there was no room."""
        return self._peers.passed_over

    @property
    def modules(self) -> dict[str, ModuleView]:
        """By name, all that there are."""
        return self._modules.views()

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What is wrong now, worst first."""
        return alerts_of(self.overview, self.peers.values(), self._modules.views().values(), last_void=self._last_void)

    @property
    def log(self) -> tuple[LogLine, ...]:
        """The last `LOG_MAX` events as lines, oldest first."""
        while self._unread:
            self._log.append(line_of(*self._unread.popleft()))
        return tuple(self._log)

    def latest(self, count: int) -> list[LogLine]:
        """The newest `count` lines above debug, the newest first; only those are worded."""
        found: list[LogLine] = []
        for event, event_id in reversed(self._unread):
            if len(found) >= count:
                return found
            found += [line for line in (line_of(event, event_id),) if line.level != "debug"]
        for line in reversed(self._log):
            if len(found) >= count:
                return found
            found += [line] if line.level != "debug" else []
        return found[:count]

    @property
    def log_dropped(self) -> int:
        """How many older lines there were."""
        return max(0, self._log_total - LOG_MAX)

    # --- the fold ---------------------------------------------------------------------------------------------------

    def _see_rest(self, event: journal.Event, event_id: int) -> None:
        match event:
            case journal.Ready():
                self._move("running")
            case journal.Paused():
                self._node = replace(self._node, pause_cause=event.cause)
                self._move("paused", event.reason)
            case journal.Unpaused():
                self._move("running")
            case journal.Finished():
                self._move("finished")
            case journal.Stopped():
                self._move("stopped", event.reason)
                self._peers.stop()
            case journal.Charged():
                self._epsilon = event.epsilon
            case journal.PrivacySpent():
                self._spend(event)
            case journal.Refused():
                self._refuse(event)
            case journal.Faulted():
                self._faults += 1
                self._proved_faults += event.proved
                self._peers.blame(event, event_id)
            case _:
                pass  # in the log, and nowhere else

    def _start(self, event: journal.Started) -> None:
        self._node = replace(
            self._node,
            name=plain(event.name, NAME_MAX),
            peer_id=plain(event.peer_id, NAME_MAX),
            address=plain(event.address, TEXT_MAX),
            role=event.role,
            round=event.round,
            rounds=event.rounds,
            sharing=event.sharing,
            dp=event.dp,
            parameters=event.parameters,
            restarts=self._node.restarts + event.resumed,
            began_at=event.at,
            privacy_spent=False,  # told again where it still is
        )
        self._last_void = False
        self._move("gathering")
        self._peers.start(event.neighbours, resumed=event.resumed)
        self._modules.start(event)
        self._model.start(event)

    def _close(self, event: journal.RoundClosed, event_id: int) -> None:
        node = self._node
        self._last_void = event.outcome == "void"
        self._epsilon = self._epsilon if event.epsilon is None else event.epsilon
        self._node = replace(
            node,
            round=event.round + 1,
            cell_present=tuple(plain(name, NAME_MAX) for name in event.present[:CELL_MAX]),
            cell_absent=tuple(plain(name, NAME_MAX) for name in event.absent[:CELL_MAX]),
            bytes_sent=node.bytes_sent + event.bytes_sent,
            bytes_received=node.bytes_received + event.bytes_received,
            void_rounds=node.void_rounds + self._last_void,
            last_void=plain(event.void, TEXT_MAX) if event.void else node.last_void,
        )
        if node.state in ("awaited", "gathering"):  # a journal whose beginning is not there
            self._move("running")
        self._peers.close(event)
        self._model.close(event, event_id)

    def _spend(self, event: journal.PrivacySpent) -> None:
        self._epsilon = self._epsilon if event.epsilon is None else event.epsilon
        self._node = replace(self._node, privacy_spent=True)
        self._modules.spend(event)

    def _refuse(self, event: journal.Refused) -> None:
        who = event.peer or event.address
        refusal = plain(f"{who}: {event.reason}", TEXT_MAX)
        self._node = replace(self._node, refused=self._node.refused + event.count, last_refusal=refusal)

    def _move(self, state: NodeState, reason: str = "") -> None:
        cause = self._node.pause_cause if state == "paused" else None
        self._node = replace(self._node, state=state, state_reason=plain(reason, TEXT_MAX), pause_cause=cause)
