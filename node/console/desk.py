"""What the console knows: a view a node, where its events come from, and how that goes. No terminal, no network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from node import journal
from node.console.logs.records import Records
from node.view import Alert, LogLine, ModelView, ModuleView, Overview, PeerView, View

NODES_MAX: Final = 1024
ATTENTIVE_S: Final = 0.06
"""How long events wait for the answer to a key, and for how long after that no other key makes them wait again."""
LinkState = Literal["connecting", "live", "stale", "replay", "paused", "ended"]


@dataclass(slots=True)
class Link:
    """How events come in."""

    where: str
    state: LinkState = "connecting"
    detail: str = ""
    """Why it is stale; the speed of a replay."""
    since: float = 0.0
    """Wall clock of the last change of `state`."""


@dataclass(slots=True)
class Desk:
    """Nodes by name, in the order in which they are shown. Owned by the task of the app."""

    link: Link
    clock: Callable[[], float] = time.time
    """Wall clock, or the time that a replay is at."""
    views: dict[str, View] = field(default_factory=dict)
    current: str = ""
    edges: tuple[tuple[str, str], ...] = ()
    """Of the whole graph, by name, where somebody told it."""
    records: dict[str, Records] = field(default_factory=dict)
    """Node → its log."""
    log_problem: str = ""
    """Why there are no records of the log; empty where nothing is known to be wrong."""
    reads_log: bool = False
    """Somebody looks at the log: sources bring it only then."""
    edition: int = 0
    """Grows with all that a screen might show."""
    _chosen: bool = False
    _attentive_until: float = 0.0

    @property
    def attention_s(self) -> float:
        """How long a key is still being answered; 0 or less where none is. Events wait that long."""
        return self._attentive_until - time.monotonic()

    def attend(self) -> None:
        """A key was pressed. Whoever leans on one does not stop the events."""
        now = time.monotonic()
        if now >= self._attentive_until + ATTENTIVE_S:
            self._attentive_until = now + ATTENTIVE_S

    def add(self, name: str) -> None:
        """A node that is there; the first is the one that is shown."""
        if name not in self.views and len(self.views) < NODES_MAX:
            self.views[name] = View()
            self.current = self.current or name
            self.edition += 1

    def arrange(self, names: Iterable[str]) -> None:
        """Show the nodes in this order; the first of them, as long as nobody chose another."""
        self.views = {name: self.views[name] for name in names if name in self.views} | self.views
        self.current = self.current if self._chosen else next(iter(self.views), "")
        self.edition += 1

    def take(self, name: str, events: Iterable[tuple[journal.Event, int]]) -> None:
        """Fold events of node `name`."""
        self.add(name)
        view = self.views.get(name)
        if view is None:
            return
        for event, event_id in events:
            view.see(event, event_id)
            self.edition += 1

    def note(self, name: str, records: Iterable[object]) -> None:
        """Take records of the log of node `name`."""
        log = self.records.setdefault(name, Records())
        for record in records:
            self.edition += log.add(record)

    def tell_log(self, problem: str) -> None:
        """What is wrong with the log, or that nothing is."""
        self.edition += problem != self.log_problem
        self.log_problem = problem

    def forget(self, name: str) -> None:
        """Begin node `name` anew: what comes next is its first event."""
        self.views[name] = View()
        self.records.pop(name, None)
        self.edition += 1

    def tell(self, state: LinkState, detail: str = "") -> None:
        """How events come in now."""
        if (state, detail) != (self.link.state, self.link.detail):
            self.link = Link(self.link.where, state, detail, time.time())
            self.edition += 1

    def switch(self, step: int) -> None:
        """Show the next node, or with −1 the one before."""
        names = list(self.views)
        if names:
            self.show(names[(names.index(self.current) + step) % len(names)])

    def show(self, name: str) -> None:
        """Show node `name`."""
        if name in self.views:
            self.current, self._chosen = name, True
            self.edition += 1

    def scene(self) -> Scene:
        """What one paint draws."""
        return Scene(self, self.views.get(self.current) or View())


class Scene:
    """The read models of the node that is shown, each made at most once."""

    def __init__(self, desk: Desk, view: View) -> None:
        self.desk = desk
        self.view = view
        self.now = desk.clock()

    @cached_property
    def overview(self) -> Overview:
        """The node on one screen."""
        return self.view.overview

    @cached_property
    def model(self) -> ModelView:
        """Champion and challenger."""
        return self.view.model

    @cached_property
    def peers(self) -> dict[str, PeerView]:
        """By name."""
        return self.view.peers

    @cached_property
    def modules(self) -> dict[str, ModuleView]:
        """By name."""
        return self.view.modules

    @cached_property
    def alerts(self) -> tuple[Alert, ...]:
        """Worst first."""
        return self.view.alerts

    @cached_property
    def records(self) -> Records:
        """Of the node's log."""
        return self.desk.records.get(self.desk.current) or Records()

    @cached_property
    def lines(self) -> tuple[LogLine, ...]:
        """Events and records by time, oldest first."""
        return self.records.among(self.log)

    @cached_property
    def log(self) -> tuple[LogLine, ...]:
        """Events, oldest first."""
        return self.view.log
