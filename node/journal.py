"""The journal: what a node did, one JSON event a line, appended and never rewritten.

Reports and screens read nothing else. Times are seconds: `at` on the wall clock (virtual in a simulation), the rest
durations. A reader skips a torn last line, which a kill -9 may leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal, Self

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


class Journal:
    """Appends events to a file. One writer a file; the node's lock on its state folder sees to that."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open `path` for appending. A torn last line is closed with a newline first, so that it stays one bad line."""
        file = path.open("ab+", buffering=0)
        if (end := file.tell()) > 0 and (file.seek(end - 1), file.read(1))[1] != b"\n":
            file.write(b"\n")
        return cls(file)

    @property
    def end(self) -> int:
        """Bytes written so far, those of earlier processes included."""
        return self._file.tell()

    def write(self, event: Event) -> int:
        """Append one event in one write call: a reader never sees two halves interleaved. The event's id: `end`."""
        line = event.model_dump_json().encode() + b"\n"
        while line:  # of a disk that is nearly full the first call takes a part, and the next says why
            line = line[self._file.write(line) :]
        return self._file.tell()

    @property
    def path(self) -> str:
        """Of the file."""
        return self._file.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def parse(line: bytes) -> Event | None:
    """One line to an event; None for a torn, foreign or oversized line."""
    try:
        return _ADAPTER.validate_json(line) if len(line) <= MAX_LINE_BYTES else None
    except ValidationError:
        return None


def read(path: Path) -> list[Event]:
    """All events of a finished or running journal; lines that do not parse are passed over."""
    return list(Follower(path).poll())


class Follower:
    """Reads a journal that grows, in bounded memory whatever is in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.id = 0
        """Of the event that `poll` gave last: where its line ends."""
        self.torn_lines = 0
        """Complete lines so far that are no event."""

    def poll(self) -> Iterator[Event]:
        """The events of the lines completed since the last call; of a missing file, none."""
        try:
            file = self._path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return
        with file:
            file.seek(self.id)
            while line := file.readline(MAX_LINE_BYTES + 1):
                if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                    return  # not complete yet
                self.id += len(line)
                event = parse(line)
                if event is not None:
                    yield event
                elif line.strip():
                    self.torn_lines += 1
