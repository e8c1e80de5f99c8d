"""The sections of the report page about what nodes made of each other: evidence, reputation, quarantine."""

from __future__ import annotations

from collections.abc import Sequence

from node.lab.colours import hue
from node.lab.linechart import LineChart, Series
from node.lab.results import Fault, Report, mean
from node.lab.section import HALF, Section, Table, shortened

_ROWS = 500
_LINES = 16
_FULL = 100.0


def evidence(report: Report) -> Section | None:
    """What peers did that no honest one does."""
    rows = [
        (node.name, fault.peer, fault.reason, _certainty(fault), str(fault.count), str(fault.first_round))
        for node in report.nodes
        for fault in node.faults
    ]
    if not rows:
        return None
    head = ("Seen by", "Peer", "What it did", "Certain", "Times", "First in round")
    table = Table(head, rows[:_ROWS], shortened(len(rows), _ROWS))
    lead = (
        "What no honest peer sends. Each was left out of the average. Proved: what it signed shows it to anybody. "
        "Witnessed: it follows from decisions that the node took part in."
    )
    return Section("evidence", "Evidence", lead, table=table, table_open=True, half=False)


def _certainty(fault: Fault) -> str:
    return "proved" if fault.proved else "witnessed" if fault.witnessed else "–"


def reputation(report: Report) -> Section | None:
    """A line each peer that ever lost some of it: what the honest nodes believe of it on average."""
    believed = [node.by_round.reputation for node in report.honest if node.by_round.reputation]
    accused = sorted({peer for rows in believed for row in rows if row for peer in row})
    if not accused:
        return None
    names = [node.name for node in report.nodes]
    liars = {node.name for node in report.nodes if not node.honest}
    # Who lost most comes first, where lines would be too many.
    lines = {peer: _believed(believed, peer) for peer in accused}
    worst = sorted(accused, key=lambda peer: min((value for value in lines[peer] if value is not None), default=_FULL))
    series = [
        Series(peer, lines[peer], f"{hue(names.index(peer), len(names))}{' adversary' if peer in liars else ''}")
        for peer in worst[:_LINES]
        if peer in names
    ]
    if not series:
        return None
    chart = LineChart("reputation by round", series, _score, low=0.0, high=_FULL)
    lead = "Of peers that lost some of it: the mean over the honest nodes. Below the limit a peer is not averaged."
    last = [(peer, "adversary" if peer in liars else "honest", _score(lines[peer][-1])) for peer in worst]
    table = Table(("Peer", "It is", "At the end"), last[:_ROWS], shortened(len(last), _ROWS))
    return Section("reputation", "Reputation", lead, chart.draw(*HALF), table=table)


def _believed(rows: Sequence[Sequence[dict[str, float] | None]], peer: str) -> list[float | None]:
    columns = zip(*rows, strict=True)
    return [mean(None if row is None else row.get(peer, _FULL) for row in column) for column in columns]


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def quarantines(report: Report) -> Section | None:
    """Who stopped averaging whom, and why."""
    liars = {node.name for node in report.nodes if not node.honest}
    rows = [
        (node.name, each.peer, "adversary" if each.peer in liars else "honest", str(each.round), each.reason)
        for node in report.honest
        for each in node.quarantined
    ]
    if not rows:
        return None
    summary = report.summary
    lead = f"Honest peers among them: {summary.false_quarantines}. Adversaries missed: {summary.missed_adversaries}."
    table = Table(("Node", "Peer", "It is", "Round", "Because"), rows[:_ROWS], shortened(len(rows), _ROWS))
    return Section("quarantines", "Quarantines", lead, table=table, table_open=True, half=False)
