"""The journal: what a node did, one JSON event a line, appended and never rewritten.

Reports and screens read nothing else. Times are seconds: `at` on the wall clock (virtual in a simulation), the rest
durations. Read and written by `journal_file`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]
Count = Annotated[int, Field(ge=0, le=2**62)]
FIGURE_MAX = 1e30
Figure = Annotated[float, Field(ge=-FIGURE_MAX, le=FIGURE_MAX)]
"""Bounds that no run reaches: a journal is a file, and whoever adds its figures up must not overflow."""

Reputation = Annotated[float, Field(ge=0, le=100)]
VerdictName = Literal["trusted", "suspect", "quarantined", "probation", "evicted"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    at: Seconds


class Started(_Event):
    """A node process began (or resumed, when `resumed` is true) at `round`."""

    type: Literal["started"] = "started"
    name: str
    peer_id: str
    role: Literal["honest", "adversary"] = "honest"
    address: str
    neighbours: dict[str, str]
    """Name → PeerId of everybody on the peer list."""
    parameters: Count
    round: Count
    rounds: Count
    resumed: bool
    champion_version: Count
    holdout_accuracy: Share | None = None
    """Of the champion, at start."""
    sharing: Literal["none", "shamir", "masks", "ckks", "bfv"] = "none"
    """How updates are hidden from peers, as the topology file says."""
    dp: Literal["off", "record", "update"] = "off"
    """What noise hides."""


class Ready(_Event):
    """The first round begins: every neighbour is up, or the wait for them is over."""

    type: Literal["ready"] = "ready"
    up: Count
    expected: Count


class Connected(_Event):
    """A neighbour is up."""

    type: Literal["connected"] = "connected"
    peer: str
    """A node name, as everywhere in the journal where the peer is on the list."""
    up: Count
    """How many neighbours are up now."""


class Disconnected(_Event):
    """A neighbour is down."""

    type: Literal["disconnected"] = "disconnected"
    peer: str
    reason: str
    up: Count


class RoundClosed(_Event):
    """One round is over. In a void one no quorum was present, or no sum opened: the node kept its own vector."""

    type: Literal["round"] = "round"
    round: Count
    """0 is the first."""
    outcome: Literal["averaged", "void"]
    void: str | None = None
    """Why the secret phase opened no sum; None where it did, and in open rounds."""
    present: tuple[str, ...]
    """Members other than this node whose vector was averaged, in any phase."""
    absent: tuple[str, ...]
    deadline_missed: tuple[str, ...] = ()
    """Of the absent, those that the round waited for until a deadline."""
    skipped: Count = 0
    """Rounds jumped over to catch up with the committee just before this one."""
    train_s: Seconds
    exchange_s: Seconds
    round_s: Seconds
    """From the start of training to the end of assessment."""
    loss: Figure | None
    """Mean training loss; None where nothing was trained."""
    holdout_loss: Figure | None
    holdout_accuracy: Share | None
    test_accuracy: Share | None = None
    """On the lab's global test set; None outside the lab."""
    consensus_distance: Figure | None
    """sqrt(sum_j w_ij |x_j - x_i|^2) over the vectors averaged in the open, before averaging; None where none were."""
    bytes_sent: Count
    """Since the round before closed, all peers, encryption and framing included."""
    bytes_received: Count
    champion_version: Count
    epsilon: Figure | None = None
    """ε of all that may have left the node so far, at the delta of the topology file; None where none is claimed."""
    reputation: dict[str, Reputation] = {}
    """Of peers that have not all of it, after this round."""
    latency_ms: dict[str, Figure] = {}
    """Of peers that answered a ping since the round before: the last one's way there and back."""
    layer_change: dict[str, Figure] = {}
    """Layer → norm of what this round changed in the working model, over the layer's norm before."""
    peer_bytes: dict[str, tuple[Count, Count]] = {}
    """Peer → bytes sent and received since the round before, where the transport counts them by peer."""


class Evidence(_Event):
    """A fact about a peer, of those that lower its reputation with this node."""

    type: Literal["evidence"] = "evidence"
    round: Count
    peer: str
    kind: str
    """The feature that is out, or where the fact is from: fault, group-test, forest."""
    severity: Literal["low", "medium", "high", "witnessed", "proved"]
    reason: str


class VerdictChanged(_Event):
    """What this node believes of a peer is another thing now."""

    type: Literal["verdict"] = "verdict"
    round: Count
    peer: str
    before: VerdictName
    after: VerdictName
    until: Seconds = 0.0
    """End of a quarantine, on the wall clock."""
    reason: str


class Charged(_Event):
    """The ledger holds what is about to leave the node: written before it does."""

    type: Literal["charged"] = "charged"
    round: Count
    epsilon: Figure
    """As in `RoundClosed`."""


class PrivacySpent(_Event):
    """The budget of privacy allows no further release: the node goes on averaging and serving, and brings nothing."""

    type: Literal["privacy_spent"] = "privacy_spent"
    round: Count
    """The first that it brings nothing to."""
    epsilon: Figure | None
    """Spent so far."""
    reason: str


class Promoted(_Event):
    """A challenger became champion."""

    type: Literal["promoted"] = "promoted"
    round: Count
    version: Count
    holdout_loss: Figure
    previous_holdout_loss: Figure | None


class RolledBack(_Event):
    """The champion became the working model again."""

    type: Literal["rolled_back"] = "rolled_back"
    round: Count
    to_version: Count
    reason: str


class Recalled(_Event):
    """What a convicted peer had brought to `rounds` was taken out of the base that the cell has in common."""

    type: Literal["recalled"] = "recalled"
    round: Count
    peer: str
    rounds: tuple[Count, ...]
    """Empty where it could not be taken out."""
    refused: str | None = None
    """Why it could not be."""


class Refused(_Event):
    """A stranger, a wrong greeting, or bytes that broke the wire format. `peer` is a name or PeerId when proved."""

    type: Literal["refused"] = "refused"
    peer: str | None
    address: str
    reason: str
    count: Count


class Faulted(_Event):
    """Evidence: a peer sent, in a well-formed message, what no honest peer sends."""

    type: Literal["faulted"] = "faulted"
    round: Count
    peer: str
    reason: str
    proved: bool = False
    """Whether what the peer signed shows it to anybody."""
    witnessed: bool = False
    """Whether it follows from what was decided in a round that this node took part in."""


class Unseeded(_Event):
    """The beacon drew no seed for an epoch: its cells are drawn from the last seed that is known."""

    type: Literal["unseeded"] = "unseeded"
    epoch: Count
    reason: str


class Paused(_Event):
    """The node plays no round until it is resumed: it keeps its connections and its state, and answers no round."""

    type: Literal["paused"] = "paused"
    round: Count
    """The first that it does not play."""
    cause: Literal["quorum", "operator"]
    """`quorum`: too few of its committee are up; it goes on by itself once enough are."""
    reason: str


class Unpaused(_Event):
    """Rounds go on."""

    type: Literal["unpaused"] = "unpaused"
    round: Count
    reason: str


class ModuleChanged(_Event):
    """A part of the node works in another way than before. At start each says how it is."""

    type: Literal["module"] = "module"
    module: Literal["learning", "privacy", "sharing", "detection", "transport", "store", "api"]
    status: Literal["running", "degraded", "off"]
    reason: str = ""
    """Of `degraded` and `off`."""
    settings: dict[str, str | int | float | bool | None] = {}
    """Those in force that a person may want to see; no secret among them."""


class Operated(_Event):
    """Somebody told the node to do something. Written before it is done."""

    type: Literal["operated"] = "operated"
    round: Count
    actor: str
    """The name of the token that it was asked with."""
    action: Literal["pause", "resume", "quarantine", "release", "roll-back", "revoke"]
    target: str = ""
    """A peer's name or a version."""
    reason: str


class Finished(_Event):
    """All rounds are done; the node keeps answering until it is told to stop."""

    type: Literal["finished"] = "finished"
    rounds: Count


class Stopped(_Event):
    """The process ends in order. A journal without it ends in a crash or is still being written."""

    type: Literal["stopped"] = "stopped"
    reason: str
    cpu_s: Seconds | None = None
    """Processor time of the process and its worker, user and system; None in a simulation."""


Event = Annotated[
    Started
    | Ready
    | Connected
    | Disconnected
    | RoundClosed
    | Evidence
    | VerdictChanged
    | Charged
    | PrivacySpent
    | Promoted
    | RolledBack
    | Recalled
    | Refused
    | Faulted
    | Unseeded
    | Paused
    | Unpaused
    | ModuleChanged
    | Operated
    | Finished
    | Stopped,
    Field(discriminator="type"),
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)
MAX_LINE_BYTES = 1 << 20


def parse(line: bytes) -> Event | None:
    """One line to an event; None for a torn, foreign or oversized line."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None
