"""Figures with one row a node: every round as a cell, alone against together, traffic."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

from node import words
from node.lab.colours import STEPS, hue, step
from node.lab.results import NodeReport, Report, known
from node.lab.svg import Drawing, Scale, ticks

WIDTH = 520.0
NAME_WIDTH = 112.0
NAME_CHARACTERS = 13
ROWS_MAX = 40
COLUMNS_MAX = 120


def rows_of(report: Report) -> tuple[NodeReport, ...]:
    """The nodes that get a row: all, or the first `ROWS_MAX`."""
    return report.nodes[:ROWS_MAX]


def row_height(rows: int) -> float:
    """Generous for a few rows; many move together, so that the figure still fits a screen."""
    return max(13.0, min(26.0, 312 / max(1, rows)))


def _kind(kind: str, row: float) -> str:
    return f"{kind} tight" if row < 18 else kind


def row_group(drawing: Drawing, report: Report, index: int, y: float) -> ET.Element:
    """A row with the node's name; marks an adversary with a diamond."""
    node = report.nodes[index]
    role = "" if node.honest else " adversary"
    group = drawing.group(f"row {hue(index, len(report.nodes))}{role}", data_node=str(index))
    if not node.honest:
        drawing.shape("path", "diamond", group, d=f"M3 {y:.1f}l4 -4l4 4l-4 4z")
    name = drawing.text(0 if node.honest else 16, y + 4, words.plain(node.name, NAME_CHARACTERS), "name", parent=group)
    if len(node.name) > NAME_CHARACTERS:
        drawing.hint(name, node.name)
    return group


def accuracy_range(values: Sequence[float | None]) -> tuple[float, float]:
    """Ends of a colour scale or axis in steps of 5 %, at least 10 % apart."""
    found = known(values) or [0.0, 1.0]
    low, high = int(min(found) * 20 + 1e-9) / 20, -int(-max(found) * 20 + 1e-9) / 20
    high = min(1.0, max(high + (0.05 if high < max(found) - 1e-9 else 0.0), low + 0.1))
    return min(low, high - 0.1), high


def rounds_strip(report: Report) -> Markup:
    """Nodes × rounds, each cell coloured by accuracy; void and missing rounds stand out by shape."""
    rows = rows_of(report)
    row = row_height(len(rows))
    stride = -(-report.reached // COLUMNS_MAX)
    shown = range(0, report.reached, stride)
    low, high = accuracy_range([value for node in rows for value in node.accuracy])
    cell = (WIDTH - NAME_WIDTH) / len(shown)
    drawing = Drawing(WIDTH, 8 + row * len(rows) + 58, "Accuracy of every node in every round", _kind("strip", row))
    for index, node in enumerate(rows):
        y = 8 + row * (index + 0.5)
        group = row_group(drawing, report, index, y)
        for column, number in enumerate(shown):
            x = NAME_WIDTH + column * cell
            _cell(drawing, group, node, number, (x, y - 0.43 * row, max(0.6, cell - 1), 0.86 * row), (low, high))
        for returned in (number for number in node.resumed_at if number < report.reached):
            x = NAME_WIDTH + returned / stride * cell
            drawing.hint(
                drawing.shape("path", "mark", group, d=f"M{x - 4:.1f} {y - row / 2:.1f}h8l-4 6z"),
                f"{node.name} came back at round {returned}",
            )
    bottom = 8 + row * len(rows)
    for tick in ticks(0, report.reached - 1, 6):
        if tick == int(tick):
            x = NAME_WIDTH + (tick / stride + 0.5) * cell
            drawing.text(x, bottom + 15, f"{tick:.0f}", "tick", "middle")
    colour_key(drawing, NAME_WIDTH, bottom + 32, low, high)
    return drawing.render()


def _cell(
    drawing: Drawing,
    group: ET.Element,
    node: NodeReport,
    number: int,
    box: tuple[float, float, float, float],
    span: tuple[float, float],
) -> None:
    x, y, width, height = box
    value, outcome = node.accuracy[number], node.by_round.outcome[number]
    if value is None:
        reason = "not closed" if outcome is None else "not measured"
        drawing.hint(
            drawing.shape("circle", "missing", group, cx=x + width / 2, cy=y + height / 2, r=1.2),
            f"{node.name}, round {number}: {reason}",
        )
        return
    cell = drawing.shape("rect", f"s{step(value, *span)}", group, x=x, y=y, width=width, height=height)
    note = ", no quorum" if outcome == "void" else ""
    drawing.hint(cell, f"{node.name}, round {number}: {words.accuracy(value)}{note}")
    if outcome == "void":
        drawing.line(x, y + height - 1, x + width, y + height - 1, "void", group)


def colour_key(drawing: Drawing, x: float, y: float, low: float, high: float, width: float = 150.0) -> None:
    """The scale of accuracy with its ends."""
    for index in range(STEPS):
        drawing.shape("rect", f"s{index}", x=x + width * index / STEPS, y=y, width=width / STEPS + 0.4, height=8)
    drawing.text(x, y + 22, f"{100 * low:.0f} %", "tick")
    drawing.text(x + width, y + 22, f"{100 * high:.0f} %", "tick", "end")
    drawing.text(x + width + 12, y + 8, "accuracy", "tick")


def alone_and_together(report: Report) -> Markup:
    """For each node, accuracy trained alone (ring) and in the swarm (dot), with the levels of the whole run."""
    rows = [index for index, node in enumerate(rows_of(report)) if node.local_only_accuracy is not None]
    row = row_height(len(rows))
    levels = [("in one place", report.baselines.centralised, "reference centralised")]
    target = report.targets.get("honest_accuracy")
    levels.append(("target", target, "reference target"))
    values = [report.nodes[i].final_accuracy for i in rows] + [report.nodes[i].local_only_accuracy for i in rows]
    low, high = accuracy_range(values + [value for _, value, _ in levels])
    x = Scale(low, high, NAME_WIDTH + 4, WIDTH - 66)
    top, bottom = 30.0, 30 + row * len(rows)
    drawing = Drawing(WIDTH, bottom + 30, "Accuracy of every node alone and in the swarm", _kind("together", row))
    for value in ticks(low, high, 5):
        drawing.line(x(value), top, x(value), bottom, "grid")
        drawing.text(x(value), bottom + 18, f"{100 * value:.0f} %", "tick", "middle")
    _levels(drawing, levels, x, top, bottom)
    for place, index in enumerate(rows):
        node, y = report.nodes[index], top + row * (place + 0.5)
        group = row_group(drawing, report, index, y)
        _dumbbell(drawing, group, node, x, y, row)
    return drawing.render()


def _levels(
    drawing: Drawing, levels: Sequence[tuple[str, float | None, str]], x: Scale, top: float, bottom: float
) -> None:
    drawn = sorted((value, name, kind) for name, value, kind in levels if value is not None)
    for place, (value, name, kind) in enumerate(drawn):
        drawing.line(x(value), top - 4, x(value), bottom, kind)
        # Two levels may be close: the lower is labelled to its left, the higher to its right.
        left = place == 0 and len(drawn) > 1
        drawing.text(x(value) + (-5 if left else 5), top - 8, name, f"tick {kind}", "end" if left else "start")


def _dumbbell(drawing: Drawing, group: ET.Element, node: NodeReport, x: Scale, y: float, row: float) -> None:
    alone, together = node.local_only_accuracy, node.final_accuracy
    if alone is None:
        return
    if together is not None:
        drawing.line(x(alone), y, x(together), y, "bar", group)
        drawing.shape("circle", "together", group, cx=x(together), cy=y, r=min(5.0, 0.3 * row))
        drawing.text(WIDTH, y + 4, words.gain(together - alone), "value", "end", group)
    drawing.shape("circle", "alone", group, cx=x(alone), cy=y, r=min(4.0, 0.24 * row))
    both = f"{words.accuracy(alone)} alone, {words.accuracy(together)} in the swarm"
    drawing.hint(group, f"{node.name}: {both}")


def traffic(report: Report) -> Markup:
    """Bytes sent and received by each node over the whole run."""
    rows = rows_of(report)
    row = row_height(len(rows))
    most = max((max(node.bytes_sent, node.bytes_received) for node in rows), default=0) or 1
    x = Scale(0, most, NAME_WIDTH, WIDTH - 140)
    drawing = Drawing(WIDTH, 26 + row * len(rows) + 6, "Bytes sent and received by every node", _kind("traffic", row))
    thick = min(6.5, 0.4 * row)
    drawing.text(WIDTH - 70, 14, "sent", "tick", "end")
    drawing.text(WIDTH, 14, "received", "tick", "end")
    for index, node in enumerate(rows):
        y = 24 + row * (index + 0.5)
        group = row_group(drawing, report, index, y)
        for offset, kind, value in ((-thick, "sent", node.bytes_sent), (0.5, "received", node.bytes_received)):
            width = x(value) - NAME_WIDTH
            drawing.shape("rect", kind, group, x=NAME_WIDTH, y=y + offset, width=width, height=thick - 0.5)
        drawing.text(WIDTH - 70, y + 4, words.size(node.bytes_sent), "value", "end", group)
        drawing.text(WIDTH, y + 4, words.size(node.bytes_received), "value", "end", group)
    return drawing.render()
