"""What `grapevine node status` shows: the view of the node's journal, and whether a process holds its lock."""

from __future__ import annotations

import fcntl
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from rich.console import Group
from rich.table import Table
from rich.text import Text

from node import journal_file
from node.errors import StateError
from node.view import View
from node.view.peers import FULL
from node.words import plain

UPDATES: Final = {
    "none": "in the open: neighbours see models",
    "shamir": "secret: the sum of a cell is opened, every update in it was proved short",
    "masks": "secret as long as members follow the protocol: the sum of a cell is opened",
    "ckks": "secret as long as members follow the protocol and keeper and adder do not pool what they know",
    "bfv": "secret as long as members follow the protocol and keeper and adder do not pool what they know",
}
"""What each kind of sharing gives, in one line."""
NOISE: Final = {"off": "; no noise", "record": "; noise hides each row", "update": "; noise hides what a node does"}

PAUSES: Final = {"quorum": "below its quorum", "operator": "by an operator"}


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one node as its journal tells it."""

    name: str = ""
    peer_id: str = ""
    address: str = ""
    running: bool = False
    paused: str | None = None
    """Why it plays no rounds; None where it plays."""
    round: int = 0
    """Rounds closed."""
    rounds: int = 0
    neighbours: tuple[str, ...] = ()
    up: tuple[str, ...] = ()
    champion_version: int = 0
    holdout_accuracy: float | None = None
    """Of the champion."""
    consensus_distance: float | None = None
    round_s: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    deadlines_missed: dict[str, int] = field(default_factory=dict)
    """Peer → rounds that waited for it in vain."""
    refused: int = 0
    last_refusal: str | None = None
    faults: int = 0
    proved_faults: int = 0
    """Of those, the ones that what the peer signed shows to anybody."""
    sharing: str = "none"
    dp: str = "off"
    void_rounds: int = 0
    last_void: str | None = None
    """Why the last secret phase that opened no sum did not."""
    reputation: dict[str, float] = field(default_factory=dict)
    """Of peers that have not all of it."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Peer → why it is not averaged."""
    epsilon: float | None = None
    """ε that may have left the node so far; None where none is claimed."""
    privacy_spent: bool = False
    """The budget allows no further release."""

    @classmethod
    def of(cls, view: View, *, running: bool) -> Self:
        """What `view` says; `running` where a process holds the node's lock."""
        node, peers = view.overview, view.peers.values()
        return cls(
            name=node.name,
            peer_id=node.peer_id,
            address=node.address,
            running=running,
            paused=f"{PAUSES[node.pause_cause]}: {node.state_reason}" if running and node.pause_cause else None,
            round=node.round,
            rounds=node.rounds,
            neighbours=node.neighbours,
            up=node.up if running else (),
            champion_version=node.champion_version,
            holdout_accuracy=node.champion_accuracy,
            consensus_distance=node.consensus_distance,
            round_s=node.round_s,
            bytes_sent=node.bytes_sent,
            bytes_received=node.bytes_received,
            deadlines_missed=dict(node.deadlines_missed),
            refused=node.refused,
            last_refusal=node.last_refusal,
            faults=node.faults,
            proved_faults=node.proved_faults,
            sharing=node.sharing,
            dp=node.dp,
            void_rounds=node.void_rounds,
            last_void=node.last_void,
            reputation={peer.name: peer.reputation for peer in peers if peer.reputation < FULL},
            quarantined={
                peer.name: f"{peer.verdict}, {peer.verdict_reason}"
                for peer in peers
                if peer.verdict in ("quarantined", "evicted")
            },
            epsilon=node.epsilon,
            privacy_spent=node.privacy_spent,
        )

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def read_status(folder: Path) -> Status:
    """The status of the node whose state folder, or folder in a run, is `folder`. Raises StateError."""
    path = folder / "journal.jsonl"
    if not path.exists():
        raise StateError(
            f"{folder} holds no journal", "Give the --state folder of `node start`, or RUN/NAME of a lab run."
        )
    view = View()
    follower = journal_file.Follower(path)
    for event in follower.poll():
        view.see(event, follower.id)
    locks = (folder / "lock", folder / "state" / "lock")
    return Status.of(view, running=any(_is_held(lock) for lock in locks))


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def draw_status(status: Status) -> Group:
    """One screen."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    state = Text("running", style="green") if status.running else Text("not running", style="yellow")
    if status.paused is not None:
        state = Text(f"paused {plain(status.paused)}", style="yellow")
    table.add_row("state", state)
    table.add_row("round", f"{status.round} of {status.rounds}" + _seconds(status.round_s))
    table.add_row("peers", f"{len(status.up)} of {len(status.neighbours)} up")
    accuracy = "" if status.holdout_accuracy is None else f", holdout accuracy {status.holdout_accuracy:.3f}"
    table.add_row("champion", f"version {status.champion_version}{accuracy}")
    table.add_row("updates", UPDATES[status.sharing] + NOISE[status.dp])
    if status.void_rounds:
        why = f", last: {plain(status.last_void)}" if status.last_void else ""
        table.add_row("void rounds", f"{status.void_rounds}{why}")
    if status.consensus_distance is not None:
        table.add_row("consensus", f"distance {status.consensus_distance:.3g}")
    if status.epsilon is not None:
        over = ", the budget is spent: it brings nothing more" if status.privacy_spent else ""
        table.add_row("privacy", f"ε {status.epsilon:.3g} so far{over}")
    table.add_row("traffic", f"{status.bytes_sent:,} bytes sent, {status.bytes_received:,} received")
    for peer, count in status.deadlines_missed.items():
        table.add_row("waited for", f"{plain(peer)}: {count} deadlines in vain")
    if status.refused:
        table.add_row("refused", f"{status.refused}, last: {plain(status.last_refusal or '')}")
    if status.faults:
        table.add_row("faults", f"{status.faults}, {status.proved_faults} of them proved")
    for peer, score in status.reputation.items():
        table.add_row("reputation", f"{plain(peer)}: {score:.0f} of 100")
    for peer, why in status.quarantined.items():
        table.add_row("not averaged", f"{plain(peer)}: {plain(why)}")
    table.add_row("address", plain(status.address))
    return Group(Text(plain(status.name) or "a node that never started", style="bold"), table)


def _seconds(value: float | None) -> str:
    return "" if value is None else f", the last in {value:.3f} s"
