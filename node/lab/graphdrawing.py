"""The topology drawing: who may talk, how often they averaged, how well each node ended."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from markupsafe import Markup

from node import words
from node.lab.colours import step
from node.lab.layout import positions
from node.lab.results import NodeReport, Report
from node.lab.rowcharts import accuracy_range, colour_key
from node.lab.svg import Drawing

WIDTH, HEIGHT = 520.0, 452.0
NAMED_MAX = 48
"""Beyond this many nodes names would cover the drawing; the pointer still shows them."""


def topology_drawing(report: Report) -> Markup:
    """Nodes filled by final accuracy, adversaries as diamonds, edges as thick as often they were averaged over."""
    index = {node.name: position for position, node in enumerate(report.nodes)}
    graph = [(index[link.a], index[link.b]) for link in report.links if link.in_graph]
    n = len(report.nodes)
    radius = max(5.0, min(21.0, 150.0 / math.sqrt(n) / 1.8))
    places = [_place(x, y, radius) for x, y in positions(n, graph)]
    drawing = Drawing(WIDTH, HEIGHT, f"Topology of {n} nodes and {len(graph)} edges", "topology")
    for link in report.links:
        _edge(drawing, report, link.rounds, link.in_graph, (index[link.a], index[link.b]), places)
    low, high = accuracy_range([node.final_accuracy for node in report.nodes])
    for position, node in enumerate(report.nodes):
        _node(drawing, node, position, places[position], radius, (low, high), named=n <= NAMED_MAX)
    colour_key(drawing, 0, HEIGHT - 26, low, high)
    return drawing.render()


def _place(x: float, y: float, radius: float) -> tuple[float, float]:
    return WIDTH / 2 + x * (WIDTH / 2 - radius - 84), 204 - y * (204 - radius - 30)


def _edge(
    drawing: Drawing,
    report: Report,
    rounds: int,
    in_graph: bool,
    ends: tuple[int, int],
    places: list[tuple[float, float]],
) -> None:
    (x1, y1), (x2, y2) = places[ends[0]], places[ends[1]]
    used = rounds / max(1, report.reached)
    kind = "edge" if in_graph else "edge committee"
    # An edge that was never averaged over stays visible as a hairline.
    line = drawing.shape(
        "line", kind if rounds else f"{kind} unused", x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=f"{0.6 + 2.4 * used:.2f}"
    )
    a, b = (report.nodes[end].name for end in ends)
    drawing.hint(line, f"{a} – {b}: averaged in {rounds} of {report.reached} rounds")


def _node(
    drawing: Drawing,
    node: NodeReport,
    position: int,
    place: tuple[float, float],
    radius: float,
    span: tuple[float, float],
    *,
    named: bool,
) -> None:
    x, y = place
    group = drawing.group("node" if node.honest else "node adversary", data_node=str(position))
    value = node.final_accuracy
    level = "unknown" if value is None else f"s{step(value, *span)}"
    _body(drawing, group, node, place, radius, f"body {level}")
    role = "" if node.honest else f", adversary ({node.adversary or 'unnamed'})"
    drawing.hint(group, f"{node.name}{role}: {words.accuracy(value)}")
    if radius >= 14:
        inside = "–" if value is None else f"{100 * value:.0f}"
        drawing.text(x, y + 4.5, inside, f"inside on-{level}", "middle", group)
    if named:
        _name(drawing, group, node, place, radius)


def _body(
    drawing: Drawing, group: ET.Element, node: NodeReport, place: tuple[float, float], radius: float, kind: str
) -> None:
    x, y = place
    if node.honest:
        drawing.shape("circle", kind, group, cx=x, cy=y, r=radius)
    else:
        reach = radius * 1.25  # a diamond of about the same area
        path = f"M{x - reach:.1f} {y:.1f}l{reach:.1f} {-reach:.1f}l{reach:.1f} {reach:.1f}l{-reach:.1f} {reach:.1f}z"
        drawing.shape("path", kind, group, d=path)


def _name(drawing: Drawing, group: ET.Element, node: NodeReport, place: tuple[float, float], radius: float) -> None:
    """Outwards where the node is at the rim, below it otherwise: there are fewer edges to cover."""
    x, y = place
    dx, dy = (x - WIDTH / 2) / (WIDTH / 2 - radius - 84), (y - 204) / (204 - radius - 30)
    reach = radius * (1.0 if node.honest else 1.25) + 6
    shown = words.plain(node.name, 13)
    if math.hypot(dx, dy) > 0.97 and abs(dx) > 0.25:
        drawing.text(x + math.copysign(reach, dx), y + 4, shown, "name", "start" if dx > 0 else "end", group)
    else:
        drawing.text(x, y - reach if dy < -0.9 else y + reach + 9, shown, "name", "middle", group)
