"""What is wrong with a node now, worst first. Pure: nothing here is remembered, all of it follows from the view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from node.view.read_models import ModuleView, Overview, PeerView

Gravity = Literal["error", "warning", "info"]
ORDER: Final = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that a person should know."""

    gravity: Gravity
    text: str
    peer: str | None = None


def alerts_of(
    overview: Overview, peers: Iterable[PeerView], modules: Iterable[ModuleView], *, last_void: bool
) -> tuple[Alert, ...]:
    """All that holds now. `last_void`: the last round averaged nothing."""
    found = [*_of_node(overview, last_void), *_of_modules(modules), *_of_peers(peers)]
    return tuple(sorted(found, key=lambda alert: ORDER[alert.gravity]))  # stable: told in the order they were found


def _of_node(overview: Overview, last_void: bool) -> Iterator[Alert]:
    if overview.state == "paused":
        who = "below its quorum" if overview.pause_cause == "quorum" else "by an operator"
        yield Alert("error", f"paused {who}: {overview.state_reason}")
    if overview.privacy_spent:
        yield Alert("warning", "the privacy budget is spent: this node brings nothing more")
    if last_void:
        yield Alert("warning", f"the last round was void: {overview.last_void or 'no quorum was present'}")
    absent = len(overview.neighbours) - len(overview.up)
    if absent > 0 and overview.state in ("running", "paused", "gathering"):
        yield Alert("info" if overview.state == "gathering" else "warning", _down(overview, absent))


def _down(overview: Overview, absent: int) -> str:
    up = set(overview.up)
    names = [name for name in overview.neighbours if name not in up]
    more = f" and {absent - 3} more" if absent > 3 else ""
    return f"{absent} of {len(overview.neighbours)} neighbours down: {', '.join(names[:3])}{more}"


def _of_modules(modules: Iterable[ModuleView]) -> Iterator[Alert]:
    for module in modules:
        if module.status == "degraded":
            yield Alert("warning", f"{module.name} degraded: {module.reason}")


def _of_peers(peers: Iterable[PeerView]) -> Iterator[Alert]:
    for peer in peers:
        if peer.verdict == "evicted":
            yield Alert("error", f"{peer.name} evicted: {peer.verdict_reason}", peer.name)
        elif peer.verdict == "quarantined":
            yield Alert("error", f"{peer.name} quarantined: {peer.verdict_reason}", peer.name)
        elif peer.verdict == "suspect":
            yield Alert("warning", f"{peer.name} is suspect: {peer.verdict_reason}", peer.name)
