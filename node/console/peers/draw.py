"""The lines of the peer list, and what is known of one peer."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.bars import bar, level, spark
from node.console.drawing.ink import Ink
from node.console.drawing.marks import VERDICT_MARKS, verdict_style
from node.console.drawing.plot import Series, plot
from node.console.drawing.table import Cell, Column, facts, head, layout, row
from node.console.drawing.words import clock, fit, remaining
from node.view import EvidenceView, PeerView
from node.words import size

COLUMNS: Final = (
    Column("peer", 16),
    Column("verdict", 13),
    Column("rep", 3, "right"),
    Column("history", 12, rank=2, grow=True),
    Column("up", 4),
    Column("latency", 8, "right", rank=1),
    Column("evidence", 8, "right"),
    Column("rounds", 6, "right", rank=5),
    Column("absent", 6, "right", rank=4),
    Column("traffic", 8, "right", rank=6),
    Column("released in", 11, "right", rank=3),
)


def draw_head(width: int, ink: Ink) -> Text:
    """The headings."""
    return head(layout(COLUMNS, width), ink)


def draw_peer_line(peer: PeerView, now: float, width: int, ink: Ink) -> Text:
    """One peer in the list."""
    mark, word = VERDICT_MARKS[peer.verdict]
    style = verdict_style(peer, ink)
    places = layout(COLUMNS, width)
    room = next((cells for _, column, cells in places if column.head == "history"), 0)
    history = level([value for _, value in peer.history], room, high=100)
    cells: list[Cell] = [
        peer.name,
        (f"{mark} {word}", style),
        (f"{peer.reputation:.0f}", style),
        (history, style),
        ("up", ink.text) if peer.up else ("down", ink.warn),
        latency(peer.latency_ms),
        (f"{peer.evidence_total}", ink.warn if peer.evidence_total else ink.dim),
        f"{peer.rounds_present}",
        (f"{peer.rounds_absent}", ink.warn if peer.rounds_absent else ink.dim),
        size(peer.bytes_sent + peer.bytes_received) if peer.bytes_sent or peer.bytes_received else "–",
        quarantine_clock(peer, now),
    ]
    return row(cells, places, ink)


def latency(latency_ms: float | None) -> str:
    """1.234 → 1.2 ms"""
    if latency_ms is None:
        return "–"
    return f"{latency_ms:.1f} ms" if latency_ms < 100 else f"{latency_ms:.0f} ms"


def quarantine_clock(peer: PeerView, now: float) -> str:
    """How long a quarantine lasts still."""
    if peer.verdict == "evicted":
        return "for good"
    if peer.verdict != "quarantined":
        return "–"
    return remaining(peer.until - now) if peer.until > now else "due"


def draw_detail(scene: Scene, peer: PeerView | None, width: int, height: int, ink: Ink) -> Text:
    """The peer under the cursor: figures, reputation over rounds, the evidence behind each fall."""
    if peer is None:
        return Text("Choose a peer with the arrow keys.", ink.dim)
    mark, word = VERDICT_MARKS[peer.verdict]
    style = verdict_style(peer, ink)
    label = 12
    until = quarantine_clock(peer, scene.now)
    why = peer.verdict_reason or "nothing held against it"
    lines: list[tuple[str, Cell]] = [
        ("verdict", Text.assemble((f"{mark} {word}", f"bold {style}"), (f"  {why}", ink.text))),
        ("reputation", bar(peer.reputation / 100, min(20, max(4, width - 16)), style, ink.faint)
            + Text(f" {peer.reputation:.0f}", style)),
        ("latency", Text.assemble((f"{latency(peer.latency_ms):>8} ", ink.text),
                                  (spark(peer.latency_history, min(24, max(0, width - 22)), low=0), ink.accent))),
    ]  # fmt: skip
    if peer.verdict == "quarantined":
        lines.insert(1, ("released", f"in {until}, at {clock(peer.until)} UTC"))
    if height > 12:
        lines += [
            ("rounds", f"{peer.rounds_present} present, {peer.rounds_absent} absent"),
            ("waited", f"{peer.deadlines_missed} deadlines in vain"),
            ("traffic", f"{size(peer.bytes_sent)} to it, {size(peer.bytes_received)} from it"),
            ("faults", f"{peer.faults}, {peer.proved_faults} proved"),
            ("id", peer.peer_id or "–"),
        ]
    text = facts(lines, width, ink, label=label)
    left = height - len(lines)
    if left >= 14 and len(peer.history) > 1:
        curve = plot([Series(peer.history, style)], width, 8, ink, y_text=lambda y: f"{y:.0f}", y_range=(0, 100))
        text.append("\n").append_text(curve)
        left -= 8
    if left >= 2:
        text.append("\n").append_text(_evidence(peer, width, left, ink))
    return text


def _evidence(peer: PeerView, width: int, height: int, ink: Ink) -> Text:
    """The newest first."""
    dropped = peer.evidence_total - len(peer.evidence)
    more = f", {dropped} older not kept" if dropped else ""
    text = Text(f"evidence: {peer.evidence_total}{more}", ink.dim, no_wrap=True)
    if not peer.evidence:
        return text
    for fact in list(reversed(peer.evidence))[: height - 1]:
        text.append("\n").append_text(_fact(fact, width, ink))
    return text


def _fact(fact: EvidenceView, width: int, ink: Ink) -> Text:
    style = {"low": ink.dim, "medium": ink.warn}.get(fact.severity, ink.bad)
    cost = "" if fact.before is None or fact.after is None else f"{fact.after - fact.before:+.0f}"
    line = Text(f"{fact.round:>5} ", ink.dim)
    line.append(f"{fact.severity:<7}", style).append(f"{cost:>4} ", style)
    return line.append(fit(f"{fact.kind}: {fact.reason}", max(0, width - 18)).rstrip(), ink.text)
