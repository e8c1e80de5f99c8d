"""How the parts of a node work: told at the start, and whenever it changes. A fold over the node's own journal events.

    running    as the topology file asks
    degraded   it works, but not as asked: the reason says what is missing
    off        nobody asked for it

Store and API say how they are themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from consensus.phase import least_members
from node import journal
from overlay.topology import Topology

Name = Literal["learning", "privacy", "sharing", "detection", "transport"]
Status = Literal["running", "degraded", "off"]
Setting = str | int | float | bool | None

VOID_ROUNDS: Final = 3
"""Rounds in a row without a sum after which sharing is degraded: one or two are the weather."""
_NEVER_LEFT_OUT: Final = ("masks", "ckks", "bfv")
_JUDGED_FROM: Final = 4
"""Vectors in a round that are judged by each other."""


@dataclass(frozen=True, slots=True)
class State:
    """Of one part."""

    status: Status
    reason: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)


class Health:
    """Tells of the parts of one node. `see` all its events, for `Feed.attach`."""

    def __init__(
        self,
        first: Mapping[Name, State],
        record: Callable[[journal.Event], None],
        wall_clock: Callable[[], float],
        *,
        least_up: int,
        watching: Callable[[], Mapping[str, Setting]] = dict,
    ) -> None:
        """`first` is how the parts are by the topology file. Fewer peers than `least_up` make no quorum. `watching`
        gives the settings of detection that change while it runs.
        """
        self._first = first
        self._states: dict[Name, State] = {}
        self._record = record
        self._wall_clock = wall_clock
        self._least_up = least_up
        self._watching = watching
        self._void = 0
        self._rolled_back: int | None = None

    def see(self, event: journal.Event, id: int) -> None:  # noqa: A002, ARG002 - as a listener is called
        """Fold `event` in, and tell what it changes."""
        match event:
            case journal.Started():
                self._states, self._void, self._rolled_back = {}, 0, None
                for name, state in self._first.items():
                    watched = self._watching() if name == "detection" and state.status != "off" else {}
                    self._change(name, replace(state, settings={**state.settings, **watched}))
            case journal.Connected() | journal.Disconnected():
                self._reachable(event.up)
            case journal.RoundClosed():
                self._closed(event)
            case journal.RolledBack():
                self._rolled_back = event.round
                self._say("learning", "degraded", f"rolled back to version {event.to_version}: {event.reason}")
            case journal.PrivacySpent():
                self._say("privacy", "degraded", event.reason)
                self._say("learning", "degraded", "the privacy budget is spent: it averages, and brings nothing")
            case journal.Paused():
                self._say("learning", "degraded", f"paused, {event.cause}: {event.reason}")
            case journal.Unpaused():
                self._again("learning")

    def _closed(self, event: journal.RoundClosed) -> None:
        if self._rolled_back is not None and event.round > self._rolled_back:
            self._rolled_back = None
        if self._rolled_back is None:
            self._again("learning")
        if event.void is not None:
            self._void += 1
        elif event.outcome == "averaged" and event.present:
            self._void = 0
        if self._void >= VOID_ROUNDS:
            self._say("sharing", "degraded", f"no sum was opened in {VOID_ROUNDS} rounds and more, last: {event.void}")
        elif self._void == 0:
            self._again("sharing")
        self._watched()

    def _reachable(self, up: int) -> None:
        if up >= self._least_up:
            self._again("transport")
        else:
            self._say("transport", "degraded", f"{up} peers up, and {self._least_up} beside oneself make a quorum")

    def _watched(self) -> None:
        state, changing = self._states["detection"], dict(self._watching())
        if state.status != "off" and changing.items() - state.settings.items():
            self._change("detection", replace(state, settings={**state.settings, **changing}))

    # --- telling ----------------------------------------------------------------------------------------------------

    def _say(self, name: Name, status: Status, reason: str) -> None:
        """What is off stays off, and what is degraded is told once, with its first reason."""
        before = self._states.get(name)
        if before is not None and before.status not in ("off", status):
            self._change(name, State(status, reason, before.settings))

    def _again(self, name: Name) -> None:
        """It works as asked; not with a budget that is spent, which comes back never."""
        before = self._states.get(name)
        spent = name == "learning" and self._states["privacy"].status == "degraded"
        if before is not None and before.status == "degraded" and not spent:
            self._change(name, State("running", settings=before.settings))

    def _change(self, name: Name, state: State) -> None:
        self._states[name] = state
        self._record(
            journal.ModuleChanged(
                at=self._wall_clock(),
                module=name,
                status=state.status,
                reason=state.reason,
                settings=dict(state.settings),
            )
        )


def health_of(
    topology: Topology,
    name: str,
    *,
    parameters: int,
    address: str,
    record: Callable[[journal.Event], None],
    wall_clock: Callable[[], float],
    watching: Callable[[], Mapping[str, Setting]] | None,
) -> Health:
    """Of node `name` of `topology`."""
    first = first_states(topology, name, parameters=parameters, address=address)
    return Health(
        first, record, wall_clock, least_up=least_up(topology, name), watching=dict if watching is None else watching
    )


# --- what the topology file says --------------------------------------------------------------------------------------


def first_states(topology: Topology, name: str, *, parameters: int, address: str) -> dict[Name, State]:
    """How the parts of node `name` are when it starts."""
    task = topology.task
    learning: dict[str, Setting] = {"dataset": task.dataset, "model": task.model, "parameters": parameters}
    trained: dict[str, Setting] = {
        "local_epochs": task.local_epochs,
        "batch_size": task.batch_size,
        "learning_rate": task.learning_rate,
    }
    peers = len(topology.peer_list(name))
    least = least_up(topology, name)
    carried: dict[str, Setting] = {
        "address": address,
        "peers": peers,
        "least_up": least,
        "deadline_s": topology.rounds.deadline_s,
    }
    few = least > 0
    return {
        "learning": State("running", settings={**learning, **trained, "rule": topology.consensus.rule}),
        "privacy": _privacy(topology),
        "sharing": _sharing(topology),
        "detection": _detection(topology, name),
        "transport": State("degraded" if few else "running", "no peer is up yet" if few else "", carried),
    }


def least_up(topology: Topology, name: str) -> int:
    """Peers that make a quorum with node `name` in the first phase of its first round."""
    members = len(topology.plan.phases_of(topology.index(name), 0)[0])
    if topology.plan.apart:
        return 1
    return least_members(topology.rounds.quorum, members) - 1


def _privacy(topology: Topology) -> State:
    privacy = topology.privacy
    if privacy.dp == "off":
        return State("off", "the topology file asks for no noise", {"dp": "off"})
    chosen: dict[str, Setting] = {"dp": privacy.dp, "noise": privacy.noise, "epsilon": privacy.epsilon}
    return State("running", settings={**chosen, "delta": privacy.delta})


def _sharing(topology: Topology) -> State:
    privacy = topology.privacy
    if privacy.sharing == "none":
        return State("off", "the topology file asks for none: neighbours see models", {"sharing": "none"})
    chosen: dict[str, Setting] = {"sharing": privacy.sharing, "clip": privacy.clip, "screen": privacy.screen}
    if privacy.sharing == "shamir":
        chosen |= {"tolerated": privacy.tolerated, "packing": privacy.packing}
    return State("running", settings=chosen)


def _detection(topology: Topology, name: str) -> State:
    detect, sharing = topology.detect, topology.privacy.sharing
    if topology.node(name).adversary is not None:
        return State("off", "it is an adversary, and watches nobody")
    if not detect.enabled:
        return State("off", "the topology file asks for none", {"enabled": False})
    chosen: dict[str, Setting] = {
        "penalty": detect.penalty,
        "limit": detect.limit,
        "quarantine_s": detect.quarantine_s,
        "z_limit": detect.z_limit,
    }
    if sharing in _NEVER_LEFT_OUT:
        return State("degraded", f"with sharing = {sharing} nobody can be left out of a sum", chosen)
    members = len(topology.plan.phases_of(topology.index(name), 0)[0])
    if sharing == "none" and members < _JUDGED_FROM:
        why = f"{members} vectors a round: fewer than {_JUDGED_FROM} are not judged by each other, only faults count"
        return State("degraded", why, chosen)
    return State("running", settings=chosen)
