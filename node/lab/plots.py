"""Plots for paper and slides: PNG, dark on light, drawn with Figure objects so that nothing global is touched.

Importing matplotlib takes over a second: this module is imported by `publish` when it draws, and by nobody else.
Axes stand at fixed places: a layout engine would draw every figure twice.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from node import words
from node.lab.colours import ADVERSARY_LIGHT, MANY_LIGHT, NODES_LIGHT, SCALE_LIGHT, ink_on, step, steps
from node.lab.layout import positions
from node.lab.results import NodeReport, Report, known, mean
from node.lab.rowcharts import accuracy_range
from node.lab.svg import decades, spread

INK, SOFT, HAIR, PAPER = "#1c2321", "#5b6663", "#e4e6e2", "#ffffff"
HALO = withStroke(linewidth=3, foreground=PAPER)
DPI = 120
LINES_MAX = 24
"""Beyond this many nodes a band from lowest to highest stands for their lines."""
NAMES_MAX = 12
BARS_MAX = 40

Values = Sequence[float | None]
Box = tuple[float, float, float, float]
"""Left, bottom, width and height of a panel in inches, title and labels included."""


def draw_plots(report: Report) -> dict[str, bytes]:
    """File name → PNG. A figure that the run has no data for is left out."""
    plots = {"overview.png": _overview(report), "topology.png": _alone(report, _topology, 5.4, 4.6)}
    if _any(node.accuracy for node in report.nodes):
        plots["accuracy.png"] = _alone(report, _accuracy, 7.4, 4.4)
    if _any(node.by_round.consensus_distance for node in report.nodes):
        plots["consensus.png"] = _alone(report, _consensus, 7.4, 4.4)
    if _any(node.by_round.round_s for node in report.nodes):
        plots["traffic.png"] = _alone(report, _costs, 7.4, 4.8)
    return plots


def _overview(report: Report) -> bytes:
    """Four panels: topology, accuracy, consensus distance, bytes and time."""
    figure = _figure(12.6, 9.4)
    reached = report.summary.honest_accuracy_mean
    result = "" if reached is None else f" · honest nodes reach {words.accuracy(reached)}"
    figure.text(0.35 / 12.6, 8.9 / 9.4, _text(report.topology, 60), size=18, weight="bold", color=INK)
    head = f"{len(report.nodes)} nodes · {report.rounds} rounds · no server{result}"
    figure.text(0.35 / 12.6, 8.62 / 9.4, head, size=11, color=SOFT)
    _topology(figure, report, (0.35, 4.25, 4.9, 4.1))
    _accuracy(figure, report, (5.55, 4.35, 6.75, 4.0))
    _consensus(figure, report, (0.35, 0.2, 4.9, 3.8))
    _costs(figure, report, (5.55, 0.2, 6.75, 3.8))
    return _png(figure)


def _alone(report: Report, draw: Callable[[Figure, Report, Box], None], width: float, height: float) -> bytes:
    figure = _figure(width, height)
    draw(figure, report, (0.25, 0.15, width - 0.5, height - 0.4))
    return _png(figure)


# --- panels -----------------------------------------------------------------------------------------------------------


def _topology(figure: Figure, report: Report, box: Box) -> None:
    axes = _axes(figure, box, "Topology, nodes by final accuracy", left=0.0, right=0.0, bottom=0.1)
    axes.set_axis_off()
    area = axes.get_window_extent()
    half = 1.28 * area.width / area.height  # one unit is as wide as it is high
    axes.set(xlim=(-half, half), ylim=(-1.28, 1.28))
    index = {node.name: position for position, node in enumerate(report.nodes)}
    graph = [(index[link.a], index[link.b]) for link in report.links if link.in_graph]
    places = positions(len(report.nodes), graph)
    lines = [(places[index[link.a]], places[index[link.b]]) for link in report.links]
    widths = [0.4 + 1.6 * link.rounds / max(1, report.reached) for link in report.links]
    axes.add_collection(LineCollection(lines, linewidths=widths, colors=SOFT, alpha=0.45, zorder=1))
    low, high = accuracy_range([node.final_accuracy for node in report.nodes])
    palette = steps(SCALE_LIGHT)
    for node, place in zip(report.nodes, places, strict=True):
        value = node.final_accuracy
        colour = PAPER if value is None else palette[step(value, low, high)]
        _node(axes, node, place, colour, len(report.nodes))
    key = figure.add_axes(_share(figure, (box[0], box[1] + 0.22, 1.3, 0.08)))
    key.imshow([list(range(len(palette)))], aspect="auto", cmap=ListedColormap(palette))
    key.set_yticks([])
    key.set_xticks([0, len(palette) - 1], [f"{100 * low:.0f} %", f"{100 * high:.0f} %"])
    key.tick_params(length=0, labelsize=8, labelcolor=SOFT)
    key.spines[:].set_visible(False)


def _node(axes: Axes, node: NodeReport, place: tuple[float, float], colour: str, count: int) -> None:
    x, y = place
    diameter = max(5.0, min(23.0, 92.0 / count**0.5))
    shape: dict[str, Any] = {"marker": "o", "markersize": diameter, "markeredgecolor": PAPER}
    if not node.honest:
        shape = {"marker": "D", "markersize": 0.88 * diameter, "markeredgecolor": ADVERSARY_LIGHT}
    if node.final_accuracy is None:
        shape["markeredgecolor"] = SOFT  # hollow: nothing was measured
    axes.plot([x], [y], color=colour, markeredgewidth=1.6, zorder=2, **shape)
    if count > 2 * NAMES_MAX:
        return
    if diameter >= 15 and node.final_accuracy is not None:
        inside = f"{100 * node.final_accuracy:.0f}"
        axes.text(x, y, inside, size=8.5, weight="bold", color=ink_on(colour), ha="center", va="center_baseline")
    reach = diameter / 2 + (4 if node.honest else 7)
    aside, offset = "center", (0.0, -reach - 5)
    if math.hypot(x, y) > 0.97 and abs(x) > 0.25:  # at the rim: outwards, where no edges are
        aside, offset = ("left", (reach, 0.0)) if x > 0 else ("right", (-reach, 0.0))
    elif y > 0.9:
        offset = (0.0, reach + 5)
    axes.annotate(
        _text(node.name),
        place,
        offset,
        textcoords="offset points",
        ha=aside,
        va="center",
        color=INK,
        size=9,
        path_effects=[HALO],
    )


def _accuracy(figure: Figure, report: Report, box: Box) -> None:
    axes = _axes(figure, box, "Accuracy by round")
    lists = [node.accuracy for node in report.nodes]
    levels = [
        (name, value)
        for name, value in (
            ("in one place", report.baselines.centralised),
            ("alone, mean", report.baselines.local_only_mean),
            ("target", report.targets.get("honest_accuracy")),
        )
        if value is not None
    ]
    lowest = min(known(value for values in lists for value in values) + [value for _, value in levels], default=0.0)
    axes.set_ylim(int(lowest * 10) / 10, 1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    for name, value in levels:
        axes.axhline(value, color=SOFT, linewidth=1, linestyle=(0, (1, 2.5)), zorder=1)
        where: dict[str, Any] = {"xytext": (6, 3), "textcoords": "offset points", "zorder": 5}
        axes.annotate(name, (0, value), color=SOFT, size=8.5, path_effects=[HALO], **where)
    axes.set_xlim(0, max(1, report.reached - 1))
    _node_lines(axes, report, lists)


def _consensus(figure: Figure, report: Report, box: Box) -> None:
    axes = _axes(figure, box, "Consensus distance by round")
    lists = [node.by_round.consensus_distance for node in report.nodes]
    positive = [value for values in lists for value in known(values) if value > 0]
    if positive:
        low, high = min(positive) / 1.15, max(positive) * 1.15
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(FixedLocator(decades(low, high)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(0, max(1, report.reached - 1))
    _node_lines(axes, report, lists)


def _costs(figure: Figure, report: Report, box: Box) -> None:
    """Two small charts under each other: no second axis to misread."""
    left, bottom, width, height = box
    upper = _axes(figure, (left, bottom + 0.52 * height, width, 0.48 * height), "Time of a round")
    totals = [node.by_round.round_s for node in report.nodes]
    training = [node.by_round.train_s for node in report.nodes]
    upper.set_xlim(0, max(1, report.reached - 1))
    upper.set_ylim(0, 1.08 * max(known(value for values in totals for value in values), default=1.0))
    upper.yaxis.set_major_locator(MaxNLocator(4))
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.duration(value)))
    _band(upper, totals)
    ends = []
    for name, lists, colour, stroke in (("whole", totals, INK, 1.8), ("training", training, SOFT, 1.2)):
        means = _by_round(lists)
        upper.plot(_gaps(means), color=colour, linewidth=stroke)
        ends.append((name, means, colour))
    _end_names(upper, ends)
    lower = _axes(figure, (left, bottom, width, 0.48 * height), "Bytes sent by each node", bottom=0.25)
    nodes = report.nodes[:BARS_MAX]
    colours = [MANY_LIGHT if node.honest else ADVERSARY_LIGHT for node in nodes]
    lower.bar(range(len(nodes)), [node.bytes_sent for node in nodes], color=colours, width=0.62)
    lower.set(xlim=(-0.6, len(nodes) - 0.4), xlabel="")
    names = [_text(node.name, 8) for node in nodes] if len(nodes) <= NAMES_MAX else []
    lower.set_xticks(range(len(names)), names, size=8)
    lower.yaxis.set_major_locator(MaxNLocator(4))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.size(value)))


# --- parts ------------------------------------------------------------------------------------------------------------


def _node_lines(axes: Axes, report: Report, lists: Sequence[Values]) -> None:
    """A line for every node, or a band where there are too many, and the mean of the honest ones."""
    count = len(lists)
    ends: list[tuple[str, Values, str]] = []
    for index, (node, values) in enumerate(zip(report.nodes, lists, strict=True)):
        if count > LINES_MAX:
            break
        own = NODES_LIGHT[index] if count <= len(NODES_LIGHT) else MANY_LIGHT
        colour = own if node.honest else ADVERSARY_LIGHT
        style: Any = "-" if node.honest else (0, (4, 2.5))
        axes.plot(_gaps(values), color=colour, linewidth=1.2, linestyle=style)
        for number in node.resumed_at:
            if number < report.reached and (value := values[number]) is not None:
                axes.plot([number], [value], "o", markersize=5, markerfacecolor=PAPER, markeredgecolor=colour)
        if count <= NAMES_MAX:
            ends.append((node.name, values, colour))
    honest = [values for node, values in zip(report.nodes, lists, strict=True) if node.honest]
    if not honest:
        return
    if count > LINES_MAX:
        _band(axes, honest)
    means = _by_round(honest)
    axes.plot(_gaps(means), color=INK, linewidth=2.2)
    _end_names(axes, [*ends, ("honest mean", means, INK)])


def _band(axes: Axes, lists: Sequence[Values]) -> None:
    columns = [known(values) or [float("nan")] for values in zip(*lists, strict=True)]
    low, high = [min(column) for column in columns], [max(column) for column in columns]
    axes.fill_between(range(len(columns)), low, high, color=MANY_LIGHT, alpha=0.18, linewidth=0)


def _end_names(axes: Axes, lines: Sequence[tuple[str, Values, str]]) -> None:
    """Names to the right of the last values, apart from each other; call it once the limits of the axes stand."""
    points = []
    for name, values, colour in lines:
        last = max((number for number, value in enumerate(values) if value is not None), default=None)
        if last is not None:
            data = (float(last), values[last] or 0.0)
            x, y = axes.transLimits.transform(axes.transScale.transform(data))
            points.append((name, float(x), min(1.0, max(0.0, float(y))), colour))
    height_points = axes.get_position().height * axes.figure.get_figure(root=True).get_figheight() * 72
    places = spread([y for _, _, y, _ in points], 12.5 / height_points, 0.0, 1.0)
    for (name, x, y, colour), place in zip(points, places, strict=True):
        leader: dict[str, Any] = {"color": colour, "linewidth": 0.8, "alpha": 0.4, "clip_on": False, "zorder": 1}
        axes.plot([x, 1.01, 1.035], [y, y, place], transform=axes.transAxes, scalex=False, scaley=False, **leader)
        weight = "bold" if colour == INK else "normal"
        axes.text(
            1.045,
            place,
            _text(name, 16),
            transform=axes.transAxes,
            color=colour,
            size=8.5,
            va="center_baseline",
            weight=weight,
        )


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, box: Box, title: str, left: float = 0.62, right: float = 1.05, bottom: float = 0.5) -> Axes:
    """Axes within `box`, with room for labels on each side in inches, and the title at its upper left corner."""
    x, y, width, height = box
    axes = figure.add_axes(_share(figure, (x + left, y + bottom, width - left - right, height - bottom - 0.36)))
    where = _share(figure, (x, y + height - 0.18, 0, 0))
    figure.text(where[0], where[1], title, color=INK, size=11.5, weight="bold")
    axes.set_facecolor(PAPER)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(HAIR)
    axes.grid(axis="y", color=HAIR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=SOFT)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("round", color=SOFT, size=9)
    return axes


def _share(figure: Figure, box: Box) -> Box:
    width, height = figure.get_size_inches()
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 4})
    return buffer.getvalue()


def _by_round(lists: Sequence[Values]) -> list[float | None]:
    return [mean(values) for values in zip(*lists, strict=True)]


def _gaps(values: Values) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _any(lists: Iterable[Values]) -> bool:
    return any(value is not None for values in lists for value in values)


def _text(text: str, limit: int = 16) -> str:
    """A name as matplotlib shows it: between dollar signs it would read mathematics, and fail on bad mathematics."""
    return words.plain(text, limit).replace("$", r"\$")
