"""What the API takes and gives. What is seen of the node are the view's read models as they are."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from node.controls import MAX_QUARANTINE_S, MAX_TEXT
from node.journal import VerdictName
from node.view import Alert, Overview
from node.words import plain

REASON_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$"
"""Something to read, on one line. What else would confuse a terminal is replaced."""

Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_TEXT,
        pattern=REASON_PATTERN,
        description="Why, for the journal.",
        examples=["maintenance of line 3"],
    ),
    AfterValidator(partial(plain, limit=MAX_TEXT)),
]


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    reason: Reason


class Command(_Command):
    """To do something, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "maintenance of line 3"}]})


class Quarantine(_Command):
    """To average a peer no more for a while."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "sensor under repair", "seconds": 120}]})

    seconds: Annotated[float, Field(gt=0, le=MAX_QUARANTINE_S, description="For how long.")]


class RollBack(_Command):
    """To use an older champion."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "scrap rate rose", "version": 3}]})

    version: Annotated[int, Field(strict=True, ge=0, le=2**62, description="Of the champion to go back to.")]


class Done(BaseModel):
    """A command was obeyed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "quarantine", "target": "press-2", "actor": "alice", "last_id": 48213}]
        }
    )

    action: str
    target: str
    actor: str = Field(description="The name of the token.")
    last_id: int = Field(description="Of the newest event; the command's own are at it or before.")


class OverviewAnswer(BaseModel):
    """The node on one screen."""

    node: Overview
    alerts: tuple[Alert, ...] = Field(description="What is wrong now, worst first.")


class PeerSummary(BaseModel):
    """A peer in a list: without its histories and its evidence."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    peer_id: str
    up: bool
    neighbour: bool
    reputation: float
    verdict: VerdictName
    until: float = Field(description="End of a quarantine, seconds since 1970; 0 without one.")
    verdict_reason: str
    quarantines: int
    evidence_total: int
    latency_ms: float | None
    bytes_sent: int
    bytes_received: int
    rounds_present: int
    rounds_absent: int
    deadlines_missed: int
    faults: int


class PeersAnswer(BaseModel):
    """All peers that the node knows of."""

    peers: tuple[PeerSummary, ...]
    passed_over: int = Field(description="Mentions of peers for which there was no room.")


class TopologyNode(BaseModel):
    """A node of the swarm, as the one that answers sees it."""

    name: str
    me: bool
    neighbour: bool
    up: bool
    reputation: float | None = Field(description="None where this node has no dealings with it.")
    verdict: VerdictName | None
    last_bytes: int = Field(description="To and from it in the last round.")


class TopologyAnswer(BaseModel):
    """Who may talk to whom."""

    name: str
    family: str
    committee: str
    rule: str
    digest: str = Field(description="The same on every node of the swarm.")
    nodes: tuple[TopologyNode, ...]
    edges: tuple[tuple[str, str], ...]


class LogRecord(BaseModel):
    """A line of the node's log."""

    model_config = ConfigDict(extra="allow")

    timestamp: str
    level: Literal["debug", "info", "warning", "error", "critical"]
    event: str


class LogsAnswer(BaseModel):
    """Lines of the log, oldest first."""

    records: tuple[LogRecord, ...]
    complete: bool = Field(description="False where older lines fit too: more than `limit`, or too far back.")


class Health(BaseModel):
    """The node answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The node plays rounds, or has played all."""

    state: str
    round: int
    rounds: int
