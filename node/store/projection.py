"""Events to rows: the store's own fold over the journal.

What a batch does to peers that are known already is folded over the rows they had, so that a batch is a handful of
statements however many events are in it. A peer that is on no peer list has no row of its own: strangers cannot fill
the table, and what they did is in the journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select, update

from node import journal
from node.store.database import Damaged
from node.store.tables import EVIDENCE, OPERATIONS, PEERS, REPUTATION, ROUNDS, VERDICTS

Row = dict[str, Any]
FULL = 100.0
"""Reputation of whom nothing is held against."""
MOST = 2**62
"""Of a count: what an INTEGER of both databases holds, with room."""
SHUNNED = ("quarantined", "evicted")
_ROUND_FIELDS = frozenset(ROUNDS.columns.keys()) - {"id", "event", "life", "at"}
_REVIEWS = ("release", "revoke", "quarantine")
_NEW_PEER: Row = {
    "up": False,
    "heard_at": None,
    "verdict": "trusted",
    "until": 0.0,
    "reputation": FULL,
    "latency_ms": None,
    "bytes_sent": 0,
    "bytes_received": 0,
    "deadlines_missed": 0,
    "refused": 0,
    "faults": 0,
}
_COUNTS = ("bytes_sent", "bytes_received", "deadlines_missed", "refused", "faults")
_PEERS = select(PEERS)
_UPDATE = (
    update(PEERS)
    .where(PEERS.c.name == bindparam("new_name"))
    .values({name: bindparam(f"new_{name}") for name in PEERS.columns.keys() if name != "name"})  # noqa: SIM118
)


def _sound(row: Row) -> Row:
    """`row` of a peer, to which more will be added. Raises Damaged."""
    for name in _COUNTS:
        if not isinstance(row[name], int):
            raise Damaged(f"{name!r} of a peer is no number")
    return row


class Projection:
    """One batch of events on its way into the tables."""

    def __init__(self, connection: Connection, life: int) -> None:
        self._connection = connection
        self._life = life
        self._peers: dict[str, Row] = {row["name"]: _sound(dict(row)) for row in connection.execute(_PEERS).mappings()}
        self._known = frozenset(self._peers)
        self._touched: set[str] = set()
        self._rows: dict[Table, list[Row]] = {}

    def see(self, event: journal.Event, id: int) -> None:  # noqa: A002 - the glossary's word
        """Fold one event."""
        match event:
            case journal.RoundClosed():
                self._round(event, id)
            case journal.Evidence():
                seen = {"kind": event.kind, "severity": event.severity, "reason": event.reason}
                self._add(EVIDENCE, event, id, event.round, peer=event.peer, **seen)
            case journal.VerdictChanged():
                what = {"before": event.before, "after": event.after, "until": event.until, "reason": event.reason}
                self._add(VERDICTS, event, id, event.round, peer=event.peer, **what)
                self._change(event.peer, verdict=event.after, until=event.until)
            case journal.Operated():
                self._operated(event, id)
            case _:
                self._of_peers(event)

    def write(self) -> None:
        """Perform the statements."""
        for table, rows in self._rows.items():
            self._connection.execute(table.insert(), rows)
        changed = [self._peers[name] for name in sorted(self._touched & self._known)]
        if changed:
            self._connection.execute(
                _UPDATE, [{f"new_{name}": value for name, value in row.items()} for row in changed]
            )
        new = [self._peers[name] for name in sorted(self._peers.keys() - self._known)]
        if new:
            self._connection.execute(PEERS.insert(), new)

    def _round(self, event: journal.RoundClosed, id: int) -> None:  # noqa: A002
        figures = event.model_dump(include=set(_ROUND_FIELDS))
        figures |= {"present": list(event.present), "absent": list(event.absent)}
        self._add(ROUNDS, event, id, **figures)
        for name, row in self._peers.items():
            score = event.reputation.get(name, FULL)
            if score != row["reputation"]:
                self._add(REPUTATION, event, id, event.round, peer=name, score=score)
                self._change(name, reputation=score)
        for name in event.deadline_missed:
            self._count(name, deadlines_missed=1)
        for name, (sent, received) in event.peer_bytes.items():
            self._count(name, bytes_sent=sent, bytes_received=received)
        for name, latency in event.latency_ms.items():
            self._change(name, latency_ms=latency)

    def _operated(self, event: journal.Operated, id: int) -> None:  # noqa: A002
        what = {"actor": event.actor, "action": event.action, "target": event.target, "reason": event.reason}
        self._add(OPERATIONS, event, id, event.round, **what)
        if event.action in _REVIEWS:  # a person has looked at it
            for row in self._rows.get(VERDICTS, ()):
                if row["peer"] == event.target and row["after"] in SHUNNED and row["reviewed_at"] is None:
                    row |= {"reviewed_at": event.at, "reviewed_by": event.actor}
            self._connection.execute(
                update(VERDICTS)
                .where(VERDICTS.c.peer == event.target, VERDICTS.c.after.in_(SHUNNED), VERDICTS.c.reviewed_at.is_(None))
                .values(reviewed_at=event.at, reviewed_by=event.actor)
            )

    def _of_peers(self, event: journal.Event) -> None:
        match event:
            case journal.Started():
                self._started(event)
            case journal.Connected():
                self._change(event.peer, up=True, heard_at=event.at)
            case journal.Disconnected():
                self._change(event.peer, up=False, heard_at=event.at)
            case journal.Refused():
                self._count(event.peer, refused=event.count)
            case journal.Faulted():
                self._count(event.peer, faults=1)
            case journal.Stopped():
                self._all_down()
            case _:
                pass

    def _started(self, event: journal.Started) -> None:
        for name, peer_id in event.neighbours.items():
            if name not in self._peers:
                self._peers[name] = {"name": name, "peer_id": peer_id, **_NEW_PEER}
            self._change(name, peer_id=peer_id)
        self._all_down()
        if not event.resumed:  # without a checkpoint the node holds nothing against anybody
            for name in self._peers:
                self._change(name, verdict="trusted", until=0.0)

    def _add(self, table: Table, event: journal.Event, id: int, round: int, **columns: Any) -> None:  # noqa: A002
        row = {"event": id, "life": self._life, "at": event.at, "round": round, **columns}
        if table is VERDICTS:
            row |= {"reviewed_at": None, "reviewed_by": None}
        self._rows.setdefault(table, []).append(row)

    def _change(self, name: str, **columns: Any) -> None:
        if name in self._peers:
            self._peers[name] |= columns
            self._touched.add(name)

    def _count(self, name: str | None, **more: int) -> None:
        if name in self._peers:
            row = self._peers[name]
            self._change(name, **{column: min(row[column] + value, MOST) for column, value in more.items()})

    def _all_down(self) -> None:
        for name in self._peers:
            self._change(name, up=False)


def project(connection: Connection, life: int, batch: Iterable[tuple[int, journal.Event]]) -> None:
    """Bring the rows of `batch`, ids and events in their order, into the tables."""
    projection = Projection(connection, life)
    for id_, event in batch:
        projection.see(event, id_)
    projection.write()
