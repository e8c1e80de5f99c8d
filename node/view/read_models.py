"""What a view shows, frozen: handed to another thread or turned into JSON as it is.

Text in it is harmless: no control characters, no direction marks, at most `TEXT_MAX` characters. Markup is left to
whoever writes in a markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from node.journal import VerdictName

TEXT_MAX: Final = 400
NAME_MAX: Final = 128

NodeState = Literal["awaited", "gathering", "running", "paused", "finished", "stopped"]
"""`awaited`: the journal says nothing yet. `gathering`: started, the first round has not begun. A crash is in no
journal: a node that was killed stands as it stood."""
Level = Literal["debug", "info", "warning", "error"]
Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class RoundPoint:
    """One closed round. `challenger_*` is of the working model that the node goes on with, `champion_*` of the model in
    use; accuracies are shares of 1, times seconds, losses nats."""

    id: int
    round: int
    at: float
    averaged: bool
    present: int
    absent: int
    deadlines_missed: int
    loss: float | None
    challenger_loss: float | None
    challenger_accuracy: float | None
    champion_accuracy: float | None
    champion_version: int
    test_accuracy: float | None
    consensus_distance: float | None
    epsilon: float | None
    bytes_sent: int
    bytes_received: int
    train_s: float
    exchange_s: float
    round_s: float


@dataclass(frozen=True, slots=True)
class Overview:
    """The node on one screen."""

    name: str = ""
    peer_id: str = ""
    address: str = ""
    role: str = "honest"
    state: NodeState = "awaited"
    state_reason: str = ""
    """Why it is paused or stopped."""
    pause_cause: Literal["quorum", "operator"] | None = None
    round: int = 0
    """Rounds closed; also the number of the one under way."""
    rounds: int = 0
    """How many there are to be; 0 while that is not known."""
    cell_present: tuple[str, ...] = ()
    """Members other than this node that were averaged in the last round."""
    cell_absent: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    up: tuple[str, ...] = ()
    champion_version: int = 0
    champion_accuracy: float | None = None
    challenger_accuracy: float | None = None
    test_accuracy: float | None = None
    consensus_distance: float | None = None
    epsilon: float | None = None
    """That may have left the node so far; None where none is claimed."""
    epsilon_budget: float | None = None
    """None where the journal does not say."""
    privacy_spent: bool = False
    sharing: str = "none"
    dp: str = "off"
    parameters: int = 0
    bytes_sent: int = 0
    """Over the whole journal."""
    bytes_received: int = 0
    round_s: float | None = None
    """Of the last round."""
    void_rounds: int = 0
    last_void: str | None = None
    refused: int = 0
    last_refusal: str | None = None
    faults: int = 0
    proved_faults: int = 0
    """Of those, the ones that what the peer signed shows to anybody."""
    deadlines_missed: Mapping[str, int] = field(default_factory=dict)
    """Peer → rounds that waited for it in vain."""
    restarts: int = 0
    """How often it resumed."""
    began_at: float | None = None
    """Wall clock of the last start."""
    last_at: float | None = None
    """Wall clock of the last event."""
    last_id: int = 0
    """Of the last event; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class VersionView:
    """One champion. `accuracy` and `loss` are on the holdout, when it became champion."""

    version: int
    round: int
    at: float
    loss: float | None
    previous_loss: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Rollback:
    """The champion became the working model again, or an older version the champion."""

    round: int
    at: float
    to_version: int
    reason: str


@dataclass(frozen=True, slots=True)
class ModelView:
    """Champion and challenger."""

    champion_version: int = 0
    champion_accuracy: float | None = None
    champion_since: int | None = None
    """Round that it was promoted in; None where the journal does not say."""
    challenger_accuracy: float | None = None
    challenger_loss: float | None = None
    promotions: int = 0
    rollbacks: int = 0
    parameters: int = 0
    versions: tuple[VersionView, ...] = ()
    """Oldest first, the last `VERSIONS_MAX`."""
    last_rollbacks: tuple[Rollback, ...] = ()
    """Oldest first, the last `ROLLBACKS_MAX`."""
    layer_change: Mapping[str, float] = field(default_factory=dict)
    """Layer → norm of what the last round changed, over the layer's norm before."""
    layer_history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Layer → the same for the last rounds, oldest first."""
    rounds: tuple[RoundPoint, ...] = ()
    """Oldest first; of a long run the older half is thinned."""
    rounds_dropped: int = 0
    """How many closed rounds are not among them any more."""


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One fact against a peer, and what its round did to the peer's reputation (None while the round is open)."""

    id: int
    at: float
    round: int
    kind: str
    severity: str
    reason: str
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class PeerView:
    """A peer as this node sees it."""

    name: str
    peer_id: str = ""
    up: bool = False
    neighbour: bool = False
    """It is on the peer list."""
    reputation: float = 100.0
    history: tuple[tuple[int, float], ...] = ()
    """(round, reputation), oldest first; thinned."""
    verdict: VerdictName = "trusted"
    until: float = 0.0
    """End of a quarantine, on the wall clock; 0 without one."""
    verdict_reason: str = ""
    quarantines: int = 0
    evidence: tuple[EvidenceView, ...] = ()
    """Oldest first, the last `EVIDENCE_MAX`."""
    evidence_total: int = 0
    latency_ms: float | None = None
    latency_history: tuple[float, ...] = ()
    bytes_sent: int = 0
    """To it, where the transport counts by peer."""
    bytes_received: int = 0
    last_bytes: int = 0
    """Both ways in the last round."""
    rounds_present: int = 0
    rounds_absent: int = 0
    deadlines_missed: int = 0
    faults: int = 0
    proved_faults: int = 0


@dataclass(frozen=True, slots=True)
class ModuleView:
    """A part of the node. `unknown`: the journal says nothing of it."""

    name: str
    status: Literal["running", "degraded", "off", "unknown"] = "unknown"
    reason: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    at: float | None = None
    """Since when."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event as a person reads it."""

    id: int
    at: float
    level: Level
    kind: str
    """The event's type."""
    text: str
    round: int | None = None
    peer: str | None = None
