"""The journal: what a node did, one JSON event a line, appended and never rewritten.

Reports and screens read nothing else. Times are seconds: `at` on the wall clock (virtual in a simulation), the rest
durations. A reader skips a torn last line, which a kill -9 may leave.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    at: float


class Started(_Event):
    """A node process began (or resumed, when `resumed` is true) at `round`."""

    type: Literal["started"] = "started"
    name: str
    peer_id: str
    role: Literal["honest", "adversary"] = "honest"
    address: str
    neighbours: dict[str, str]
    """Name → PeerId of everybody on the peer list."""
    parameters: int
    round: int
    rounds: int
    resumed: bool
    champion_version: int
    holdout_accuracy: float | None = None
    """Of the champion, at start."""


class Ready(_Event):
    """The first round begins: every neighbour is up, or the wait for them is over."""

    type: Literal["ready"] = "ready"
    up: int
    expected: int


class Connected(_Event):
    """A neighbour is up."""

    type: Literal["connected"] = "connected"
    peer: str
    """A node name, as everywhere in the journal where the peer is on the list."""
    up: int
    """How many neighbours are up now."""


class Disconnected(_Event):
    """A neighbour is down."""

    type: Literal["disconnected"] = "disconnected"
    peer: str
    reason: str
    up: int


class RoundClosed(_Event):
    """One round is over. `void` means that no quorum was present and the node kept its own vector."""

    type: Literal["round"] = "round"
    round: int
    """0 is the first."""
    outcome: Literal["averaged", "void"]
    present: tuple[str, ...]
    """Members other than this node whose vector was averaged, in any phase."""
    absent: tuple[str, ...]
    deadline_missed: tuple[str, ...] = ()
    """Of the absent, those that the round waited for until a deadline."""
    skipped: int = 0
    """Rounds jumped over to catch up with the committee just before this one."""
    train_s: float
    exchange_s: float
    round_s: float
    """From the start of training to the end of assessment."""
    loss: float | None
    """Mean training loss; None where nothing was trained."""
    holdout_loss: float | None
    holdout_accuracy: float | None
    test_accuracy: float | None = None
    """On the lab's global test set; None outside the lab."""
    consensus_distance: float | None
    """sqrt(sum_j w_ij |x_j - x_i|^2) over the vectors averaged, before averaging; None in a void round."""
    bytes_sent: int
    """Since the round before closed, all peers, encryption and framing included."""
    bytes_received: int
    champion_version: int


class Promoted(_Event):
    """A challenger became champion."""

    type: Literal["promoted"] = "promoted"
    round: int
    version: int
    holdout_loss: float
    previous_holdout_loss: float | None


class RolledBack(_Event):
    """The champion became the working model again."""

    type: Literal["rolled_back"] = "rolled_back"
    round: int
    to_version: int
    reason: str


class Refused(_Event):
    """A stranger, a wrong greeting, or bytes that broke the wire format. `peer` is a name or PeerId when proved."""

    type: Literal["refused"] = "refused"
    peer: str | None
    address: str
    reason: str
    count: int


class Faulted(_Event):
    """Evidence: a peer sent, in a well-formed message, what no honest peer sends."""

    type: Literal["faulted"] = "faulted"
    round: int
    peer: str
    reason: str


class Finished(_Event):
    """All rounds are done; the node keeps answering until it is told to stop."""

    type: Literal["finished"] = "finished"
    rounds: int


class Stopped(_Event):
    """The process ends in order. A journal without it ends in a crash or is still being written."""

    type: Literal["stopped"] = "stopped"
    reason: str
    cpu_s: float | None = None
    """Processor time of the process, user and system; None in a simulation."""


Event = Annotated[
    Started
    | Ready
    | Connected
    | Disconnected
    | RoundClosed
    | Promoted
    | RolledBack
    | Refused
    | Faulted
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
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return cls(file)

    def write(self, event: Event) -> None:
        """Append one event in one write call: a reader never sees two halves interleaved."""
        self._file.write(event.model_dump_json().encode() + b"\n")

    def close(self) -> None:
        """Let go of the file; every line is written already."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse(line: bytes) -> Event | None:
    """One line to an event; None for a torn, foreign or oversized line."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


def read(path: Path) -> list[Event]:
    """All events of a finished or running journal; lines that do not parse are passed over."""
    return list(Follower(path).poll())


class Follower:
    """Reads a journal that grows. `poll` yields what is complete since the last call; a missing file yields nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def poll(self) -> Iterator[Event]:
        """The events of the lines completed since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        complete = data.rfind(b"\n") + 1
        self._offset += complete
        for line in data[:complete].split(b"\n"):
            event = parse(line) if line else None
            if event is not None:
                yield event
