"""A glyph, a word and a colour for each state: whoever sees no colour reads the word."""

from __future__ import annotations

from typing import Final

from node.console.drawing.ink import Ink
from node.view.read_models import ModuleView, Overview, PeerView

NODE_MARKS: Final = {
    "awaited": ("○", "AWAITED"),
    "gathering": ("◔", "GATHERING"),
    "running": ("●", "RUNNING"),
    "paused": ("‖", "PAUSED"),
    "finished": ("✓", "FINISHED"),
    "stopped": ("■", "STOPPED"),
}
VERDICT_MARKS: Final = {
    "trusted": ("●", "TRUSTED"),
    "suspect": ("◐", "SUSPECT"),
    "quarantined": ("✖", "QUARANTINED"),
    "probation": ("◔", "PROBATION"),
    "evicted": ("⊘", "EVICTED"),
}
MODULE_MARKS: Final = {
    "running": ("●", "RUNNING"),
    "degraded": ("▲", "DEGRADED"),
    "off": ("○", "OFF"),
    "unknown": ("·", "NOT TOLD"),
}
LEVEL_MARKS: Final = {"debug": ("·", "DEBUG"), "info": (" ", "INFO"), "warning": ("!", "WARN"), "error": ("✖", "ERROR")}


def shown_state(node: Overview) -> str:
    """Its state; whoever stopped after its last round has finished: that is what somebody looks for."""
    return "finished" if node.state == "stopped" and 0 < node.rounds <= node.round else node.state


def node_style(state: str, ink: Ink) -> str:
    """Of the state of a node."""
    return {"running": ink.good, "finished": ink.good, "paused": ink.warn, "stopped": ink.warn}.get(state, ink.dim)


def verdict_style(peer: PeerView, ink: Ink) -> str:
    """Of what is believed of a peer."""
    return {
        "trusted": ink.good,
        "suspect": ink.warn,
        "probation": ink.warn,
        "quarantined": ink.bad,
        "evicted": ink.bad,
    }[peer.verdict]


def module_style(module: ModuleView, ink: Ink) -> str:
    """Of the state of a module."""
    return {"running": ink.good, "degraded": ink.warn}.get(module.status, ink.dim)


def level_style(level: str, ink: Ink) -> str:
    """Of a line of the log, and of an alert."""
    return {"error": ink.bad, "warning": ink.warn, "debug": ink.dim}.get(level, ink.text)
