"""What the terminal shows when a run is over: one screenful of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from node import words
from node.lab.findings import adversaries, is_watched, wronged
from node.lab.results import NodeReport, Report
from node.lab.targets import judge

BAR_CELLS = 34
SPARK_CELLS = 16
NODES_MAX = 12
NOTES_MAX = 6
PEERS_MAX = 6
SPARKS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉"


def summary_table(report: Report) -> Group:
    """Accuracy against baselines and targets, a line a node, cost, and what a reader must know."""
    parts: list[RenderableType] = [_head(report)]
    if report.summary.honest_accuracy_mean is not None:
        parts += [_bars(report), Text()]
    parts += [_nodes(report), Text(), _cost(report)]
    said = [*_verdicts(report), *_found(report), *_notes(report)]
    if said:
        parts += [Text(), *said]
    return Group(*(Padding(part, (0, 0, 0, 1)) for part in parts))


def _head(report: Report) -> Text:
    return Text.assemble(
        (words.plain(report.topology, 40), "bold"),
        (
            f"  {words.count(len(report.nodes), 'node')} · {words.count(report.rounds, 'round')} · seed {report.seed}",
            "dim",
        ),
    )


def _bars(report: Report) -> Table:
    summary, baselines = report.summary, report.baselines
    table = Table.grid(padding=(0, 2))
    for name, value, style in (
        ("all data in one place", baselines.centralised, "dim"),
        ("swarm, mean of honest", summary.honest_accuracy_mean, "bold green"),
        ("swarm, lowest honest", summary.honest_accuracy_min, "green"),
        ("every node alone", baselines.local_only_mean, "dim"),
    ):
        if value is not None:
            table.add_row(name, Text(bar(value, BAR_CELLS), style), Text(words.accuracy(value), style, justify="right"))
    return table


def bar(share: float, cells: int) -> str:
    """`share` of `cells` filled, to an eighth of a cell; always `cells` wide."""
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells)


def sparkline(values: Sequence[float | None], cells: int) -> str:
    """Accuracies 0 to 1 in at most `cells` characters: the last known value of each stretch, · where there is none."""
    if not values:
        return ""
    cells = min(cells, len(values))
    marks = []
    for index in range(cells):
        stretch = values[index * len(values) // cells : (index + 1) * len(values) // cells]
        last = next((value for value in reversed(stretch) if value is not None), None)
        marks.append("·" if last is None else SPARKS[min(7, max(0, int(last * 8)))])
    return "".join(marks)


def _nodes(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("node", no_wrap=True, max_width=20)
    table.add_column("accuracy", no_wrap=True)
    for title in ("", "gain", "rounds", "sent", "received"):
        table.add_column(title, justify="right", no_wrap=True)
    shown = _shown(report)
    for node in shown:
        alone, final = node.local_only_accuracy, node.final_accuracy
        style = "" if node.honest else "yellow"
        table.add_row(
            Text(words.plain(node.name, 18) + ("" if node.honest else " ◆"), style),
            Text(sparkline(node.accuracy, SPARK_CELLS), "green" if node.honest else "yellow"),
            words.accuracy(final),
            words.gain(None if alone is None or final is None else final - alone),
            Text(
                f"{node.rounds_completed}/{report.rounds}", "" if node.rounds_completed == report.rounds else "yellow"
            ),
            words.size(node.bytes_sent),
            words.size(node.bytes_received),
        )
    if len(shown) < len(report.nodes):
        table.add_row(Text(f"and {len(report.nodes) - len(shown)} more", "dim"))
    return table


def _shown(report: Report) -> list[NodeReport]:
    """All nodes, or those that need attention most: without a figure, then by accuracy; in file order."""
    if len(report.nodes) <= NODES_MAX:
        return list(report.nodes)
    worst = sorted(report.nodes, key=lambda node: -1.0 if node.final_accuracy is None else node.final_accuracy)
    chosen = {node.name for node in worst[:NODES_MAX]}
    return [node for node in report.nodes if node.name in chosen]


def _cost(report: Report) -> Text:
    summary = report.summary
    first = [
        ("round", words.duration(summary.round_s_median)),
        ("a node and round", words.size(summary.bytes_per_node_round)),
        ("consensus distance", words.distance(summary.consensus_distance)),
        ("ε at most", words.distance(summary.epsilon_max)),
    ]
    second = [
        ("wall", words.duration(summary.wall_s)),
        ("start-up", words.duration(summary.startup_s)),
        ("processor", words.duration(summary.cpu_s)),
    ]
    lines = []
    for figures in (first, second):
        known = [(name, value) for name, value in figures if value != "–"]
        if known:
            lines.append(Text("   ").join(Text.assemble((f"{name} ", "dim"), value) for name, value in known))
    return Text("\n").join(lines)


def _found(report: Report) -> Iterator[Text]:
    """Who was quarantined or evicted, and who should have been."""
    liars, honest = list(adversaries(report)), list(wronged(report))
    if liars and not is_watched(report):
        yield Text("! detection is off: no adversary could be found", "yellow")
    else:
        for found in liars[:PEERS_MAX]:
            mark, style = ("!", "yellow") if found.missed_by else ("✓", "green")
            mark, style = (mark, style) if found.first else ("✗", "bold red")
            yield Text(f"{mark} {found.text}", style)
        if len(liars) > PEERS_MAX:
            missed = sum(not found.first for found in liars[PEERS_MAX:])
            yield Text(f"  and {len(liars) - PEERS_MAX} adversaries more, {missed} of them not found", "yellow")
    for found in honest[:PEERS_MAX]:
        yield Text(f"✗ {found.text}", "bold red")
    if len(honest) > PEERS_MAX:
        yield Text(f"✗ and {len(honest) - PEERS_MAX} honest nodes more", "bold red")
    if any(found.first for found in liars) and not honest:
        yield Text("✓ no honest node was quarantined", "green")


def _verdicts(report: Report) -> Iterator[Text]:
    for judgement in judge(report):
        mark, style = ("✓", "green") if judgement.met else ("✗", "bold red")
        yield Text(f"{mark} {words.plain(judgement.text)}", style)


def _notes(report: Report) -> Iterator[Text]:
    for note in report.notes[:NOTES_MAX]:
        yield Text(f"! {words.plain(str(note))}", "yellow")
    if len(report.notes) > NOTES_MAX:
        yield Text(f"! {len(report.notes) - NOTES_MAX} more notes in the report", "yellow")
