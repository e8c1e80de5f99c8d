"""The sections of the report page, in reading order."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from node import words
from node.lab.colours import NODES_LIGHT, hue
from node.lab.graphdrawing import topology_drawing
from node.lab.linechart import LineChart, Reference, Series
from node.lab.results import NodeReport, Report, known, mean
from node.lab.rowcharts import ROWS_MAX, alone_and_together, rounds_strip, traffic
from node.lab.section import HALF, WIDE, Section, Table, shortened
from node.lab.trust import evidence, quarantines, reputation

LINES_MAX = 24
"""Beyond this many nodes a band from lowest to highest stands for their lines."""
TABLE_NODES_MAX = 32
TABLE_ROUNDS_MAX = 400


def _graph(report: Report) -> Section | None:
    used = sum(link.rounds > 0 for link in report.links)
    adversaries = len(report.nodes) - len(report.honest)
    lead = f"{words.count(len(report.nodes), 'node')}, {words.count(len(report.links), 'edge')}, {used} of them used."
    lead += " The number in a node is its final accuracy; the thicker an edge, the more rounds averaged over it."
    if adversaries:
        lead += " Diamonds are adversaries."
    rows = [
        (f"{link.a} – {link.b}", "graph" if link.in_graph else "committee", str(link.rounds)) for link in report.links
    ]
    table = Table(("Edge", "From", "Rounds averaged"), rows[:500], shortened(len(rows), 500))
    return Section("topology", "Who talks to whom", lead, topology_drawing(report), table=table)


def _alone(report: Report) -> Section | None:
    if not any(node.local_only_accuracy is not None for node in report.nodes):
        return None
    rows = [
        (
            node.name,
            words.accuracy(node.local_only_accuracy),
            words.accuracy(node.final_accuracy),
            words.gain(_difference(node.final_accuracy, node.local_only_accuracy)),
        )
        for node in report.nodes[:TABLE_NODES_MAX]
    ]
    lead = "The same model trained on a node's own rows alone (ring) and in the swarm (dot); the gain is in points."
    table = Table(("Node", "Alone", "In the swarm", "Gain"), rows, shortened(len(report.nodes), TABLE_NODES_MAX))
    return Section("together", "Alone and in the swarm", lead, alone_and_together(report), table=table)


def _accuracy(report: Report) -> Section | None:
    lists = [node.accuracy for node in report.nodes]
    if not _any(lists):
        return None
    centralised, alone = report.baselines.centralised, report.baselines.local_only_mean
    levels = (
        ("in one place", centralised, "reference"),
        ("alone, mean", alone, "reference"),
        ("target", report.targets.get("honest_accuracy"), "reference target"),
    )
    honest = [node.accuracy for node in report.honest]
    series = _lines(report, lists, _by_round(honest))
    if not series:
        return None
    chart = LineChart(
        title="Accuracy by node and round",
        series=series,
        format=words.accuracy,
        references=[Reference(name, value, kind) for name, value, kind in levels if value is not None],
        band=_band(honest) if len(report.nodes) > LINES_MAX else None,
        high=1.0,
        tick=lambda value: f"{100 * value:.0f} %",
    )
    lead = "On the test set that no node trains on, after each round."
    if any(node.resumed_at for node in report.nodes):
        lead += " A ring marks where a node came back after a restart."
    return Section(
        "accuracy",
        "Accuracy by round",
        lead,
        chart.draw(*WIDE),
        chart.draw(*HALF),
        _by_node_table(report, lists, words.accuracy),
        half=False,
    )


def _strip(report: Report) -> Section | None:
    if not _any([node.accuracy for node in report.nodes]):
        return None
    lead = "A dot is a round that the node did not close, a bar under a cell one without quorum, ▾ a return."
    return Section("rounds", "Every round of every node", lead + _first_rows(report), rounds_strip(report))


def _consensus(report: Report) -> Section | None:
    lists = [node.by_round.consensus_distance for node in report.nodes]
    if not any(value > 0 for values in lists for value in known(values)):
        return None
    honest = [node.by_round.consensus_distance for node in report.honest]
    series = _lines(report, lists, _by_round(honest))
    if not series:
        return None
    chart = LineChart(
        title="Consensus distance by round",
        series=series,
        format=words.distance,
        band=_band(honest) if len(report.nodes) > LINES_MAX else None,
        log=True,
    )
    lead = "How far a node's model lies from those that it averages, just before it does (logarithmic)."
    table = _by_node_table(report, lists, words.distance)
    return Section("consensus", "Consensus distance", lead, chart.draw(*HALF), table=table)


def _privacy(report: Report) -> Section | None:
    lists = [node.by_round.epsilon for node in report.nodes]
    if not _any(lists):
        return None
    most = [max(known(values), default=None) for values in zip(*lists, strict=True)]
    target = report.targets.get("epsilon")
    chart = LineChart(
        title="ε by round",
        series=[Series("largest ε", most, "mean")],
        format=words.distance,
        references=[] if target is None else [Reference("target", target, "reference target")],
        band=_band(lists),
        low=0.0,
    )
    at = "" if report.summary.delta is None else f" at δ = {report.summary.delta:g}"
    lead = f"What all that a node let out tells of its data, added up{at}; the band reaches to the node of least ε."
    table = _by_node_table(report, lists, words.distance)
    return Section("privacy", "Privacy spent", lead, chart.draw(*HALF), table=table)


def _times(report: Report) -> Section | None:
    totals = [node.by_round.round_s for node in report.nodes]
    if not _any(totals):
        return None
    training = _by_round([node.by_round.train_s for node in report.nodes])
    series = [
        Series("whole round", _by_round(totals), "mean"),
        Series("training", training, "faint"),
    ]
    chart = LineChart("Round time", series, words.duration, band=_band(totals), low=0.0)
    lead = "Mean over the nodes; the band reaches from the fastest to the slowest."
    table = _by_node_table(report, totals, words.duration)
    return Section("time", "Time of a round", lead, chart.draw(*HALF), table=table)


def _traffic(report: Report) -> Section | None:
    if not any(node.bytes_sent or node.bytes_received for node in report.nodes):
        return None
    lead = "Over the whole run, encryption and framing included." + _first_rows(report)
    return Section("traffic", "Traffic", lead, traffic(report))


def _nodes(report: Report) -> Section | None:
    head = ["Node", "PeerId", "Accuracy", "Alone", "Rounds", "Sent", "Received", "Promotions", "Restarts", "Refused"]
    rows = [list(_node_row(node, report.rounds)) for node in report.nodes]
    # A column of nothing but zeros or dashes says nothing.
    keep = [i for i in range(len(head)) if i < 3 or any(row[i] not in {"0", "–"} for row in rows)]
    table = Table([head[i] for i in keep], [[row[i] for i in keep] for row in rows])
    return Section("nodes", "Nodes", "", table=table, table_open=True, half=False)


def _node_row(node: NodeReport, rounds: int) -> Iterator[str]:
    yield node.name if node.honest else f"{node.name} ◆ {node.adversary or 'adversary'}"
    yield _short(node.peer_id)
    yield words.accuracy(node.final_accuracy)
    yield words.accuracy(node.local_only_accuracy)
    yield f"{node.rounds_completed}/{rounds}"
    yield words.size(node.bytes_sent)
    yield words.size(node.bytes_received)
    yield str(node.promotions)
    yield str(node.restarts)
    yield str(node.refused)


def _setup(report: Report) -> Section | None:
    if not report.topology_text:
        return None
    lead = " · ".join(facts(report.topology_text))
    return Section("setup", "The topology file", lead, text=report.topology_text, half=False)


SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    _graph,
    _alone,
    _accuracy,
    _consensus,
    _privacy,
    _strip,
    _times,
    _traffic,
    reputation,
    quarantines,
    evidence,
    _nodes,
    _setup,
)


def facts(topology_text: str) -> Iterator[str]:
    """What was run, in a few words; nothing where the text is no TOML."""
    try:
        table = tomllib.loads(topology_text)
    except tomllib.TOMLDecodeError:
        return
    for section, keys in (
        ("task", ("dataset", "partition", "model")),
        ("graph", ("family",)),
        ("consensus", ("committee", "rule")),
        ("privacy", ("sharing", "dp")),
    ):
        values: Any = table.get(section)
        for key in keys if isinstance(values, dict) else ():
            if isinstance(values.get(key), str) and values[key] not in {"none", "off"}:
                yield words.plain(values[key], 40)


def _lines(
    report: Report, lists: Sequence[Sequence[float | None]], honest_mean: Sequence[float | None]
) -> list[Series]:
    """A line a node, none where they would be too many, and the mean where there are honest nodes."""
    count = len(report.nodes)
    lines = [
        Series(
            node.name,
            values,
            f"{hue(index, count)}{'' if node.honest else ' adversary'}",
            index,
            [] if count > len(NODES_LIGHT) else node.resumed_at,
        )
        for index, (node, values) in enumerate(zip(report.nodes, lists, strict=True))
        if count <= LINES_MAX
    ]
    return [*lines, Series("honest mean", honest_mean, "mean")] if honest_mean else lines


def _by_round(lists: Sequence[Sequence[float | None]]) -> list[float | None]:
    return [mean(values) for values in zip(*lists, strict=True)]


def _band(lists: Sequence[Sequence[float | None]]) -> tuple[list[float | None], list[float | None]]:
    columns = [known(values) for values in zip(*lists, strict=True)]
    return [min(column, default=None) for column in columns], [max(column, default=None) for column in columns]


def _by_node_table(
    report: Report, lists: Sequence[Sequence[float | None]], show: Callable[[float | None], str]
) -> Table:
    nodes = report.nodes[:TABLE_NODES_MAX]
    stride = -(-report.reached // TABLE_ROUNDS_MAX)
    rows = [
        (str(number), *(show(values[number]) for values in lists[:TABLE_NODES_MAX]))
        for number in sorted({*range(0, report.reached, stride), report.reached - 1})
    ]
    note = shortened(len(report.nodes), TABLE_NODES_MAX)
    if stride > 1:
        note = f"{note} One round in {stride}; report.json has all.".strip()
    return Table(("Round", *(node.name for node in nodes)), rows, note)


def _any(lists: Sequence[Sequence[float | None]]) -> bool:
    return any(value is not None for values in lists for value in values)


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _short(peer_id: str | None) -> str:
    return "–" if peer_id is None else f"…{peer_id[-8:]}"


def _first_rows(report: Report) -> str:
    return f" The first {ROWS_MAX} of {len(report.nodes)} nodes." if len(report.nodes) > ROWS_MAX else ""
