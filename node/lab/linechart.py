"""A chart of values by round: one line a node, labelled at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from node.lab.results import known
from node.lab.svg import Drawing, Scale, decades, spread, ticks
from node.words import plain

POINTS_MAX = 600
"""Of a line: more than a screen shows."""
LABEL_GAP = 15.0
LABELS_MAX = 16
LABEL_CHARACTERS = 15


@dataclass(frozen=True, slots=True)
class Series:
    """A line. `node` is its index in the report, None for a line of no single node."""

    name: str
    values: Sequence[float | None]
    kind: str
    """CSS classes: a hue, and `adversary`, `mean` or `faint`."""
    node: int | None = None
    marks: Sequence[int] = ()
    """Rounds to mark: where the node came back after a restart."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A level to compare with, drawn across."""

    name: str
    value: float
    kind: str = "reference"


@dataclass(frozen=True, slots=True)
class LineChart:
    """What to draw. `band` is the lowest and highest value a round, where lines would be too many."""

    title: str
    series: Sequence[Series]
    format: Callable[[float | None], str]
    references: Sequence[Reference] = ()
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None
    log: bool = False
    low: float | None = None
    high: float | None = None
    tick: Callable[[float], str] | None = None

    def draw(self, width: float, height: float) -> Markup:
        """The chart as SVG; needs at least one known value."""
        return _Plot(self, width, height).draw()

    @property
    def rounds(self) -> int:
        """How far the horizontal axis reaches."""
        return max(len(series.values) for series in self.series)

    def span(self) -> tuple[float, float]:
        """Lowest and highest value to show."""
        values = known(value for series in self.series for value in series.values)
        values += [reference.value for reference in self.references]
        values += known(value for side in self.band or () for value in side)
        if self.log:
            values = [value for value in values if value > 0] or [1.0]
            low, high = min(values), max(values)
            return low / 1.15, high * 1.15
        low = min(values) if self.low is None else self.low
        high = max(values) if self.high is None else self.high
        return (low, high) if high > low else (low, low + 1.0)


class _Plot:
    """One drawing of a chart at one size."""

    def __init__(self, chart: LineChart, width: float, height: float) -> None:
        self._chart = chart
        low, high = chart.span()
        stride = -(-chart.rounds // POINTS_MAX)
        self._numbers = sorted({*range(0, chart.rounds, stride), chart.rounds - 1})
        self._left, self._right = 50.0, width - 132.0
        self._drawing = Drawing(width, height, chart.title, "chart")
        self._drawing.note(
            data_left=f"{self._left:g}",
            data_right=f"{self._right:g}",
            data_last=str(max(1, chart.rounds - 1)),
            data_stride=str(stride),
        )
        self._x = Scale(0, max(1, chart.rounds - 1), self._left, self._right)
        self._y = Scale(low, high, height - 40.0, 14.0, chart.log)

    def draw(self) -> Markup:
        self._axes()
        self._band()
        for reference in self._chart.references:
            y = self._y(reference.value)
            self._drawing.line(self._left, y, self._right, y, reference.kind)
        for series in self._chart.series:
            self._line(series)
        self._level_names()
        self._end_names()
        self._drawing.line(self._left, self._y.end, self._left, self._y.start, "cursor")
        return self._drawing.render()

    def _axes(self) -> None:
        drawing, chart, bottom = self._drawing, self._chart, self._y.start
        values = decades(self._y.low, self._y.high) if chart.log else ticks(self._y.low, self._y.high, 5)
        for value in values:
            y = self._y(value)
            drawing.line(self._left, y, self._right, y, "grid")
            drawing.text(self._left - 8, y + 4, (chart.tick or chart.format)(value), "tick", "end")
        for number in ticks(0, chart.rounds - 1, 6 if drawing.width < 700 else 10):
            if number == int(number):
                drawing.text(self._x(number), bottom + 18, f"{number:.0f}", "tick", "middle")
        drawing.line(self._left, bottom, self._right, bottom, "axis")
        drawing.text((self._left + self._right) / 2, bottom + 35, "round", "tick", "middle")

    def _band(self) -> None:
        if self._chart.band is None:
            return
        pairs = [(r, lo, hi) for r, (lo, hi) in enumerate(zip(*self._chart.band, strict=True))]
        inside = [
            (r, lo, hi)
            for r, lo, hi in (pairs[number] for number in self._numbers)
            if lo is not None and hi is not None
        ]
        if inside:
            upper = [f"{self._x(r):.1f},{self._y(hi):.1f}" for r, _, hi in inside]
            lower = [f"{self._x(r):.1f},{self._y(lo):.1f}" for r, lo, _ in reversed(inside)]
            self._drawing.shape("polygon", "band", points=" ".join(upper + lower))

    def _line(self, series: Series) -> None:
        group = self._drawing.group(
            f"series {series.kind}",
            data_name=plain(series.name, 60),
            data_node="" if series.node is None else str(series.node),
            data_values="|".join(self._chart.format(series.values[number]) for number in self._numbers),
        )
        path = self._path(series.values)
        if path:
            self._drawing.shape("path", "reach", group, d=path)
            self._drawing.shape("path", "stroke", group, d=path)
        for number in series.marks:
            value = next((value for value in series.values[number:] if value is not None), None)
            if value is not None:
                self._mark(group, series, number, value)

    def _mark(self, group: ET.Element, series: Series, number: int, value: float) -> None:
        mark = self._drawing.shape("circle", "mark", group, cx=self._x(number), cy=self._y(value), r=4)
        self._drawing.hint(mark, f"{series.name} came back at round {number}")

    def _path(self, values: Sequence[float | None]) -> str:
        """Unknown values leave a gap; a value alone between gaps shows as a dot (round line caps)."""
        parts: list[str] = []
        before: float | None = None
        for number in self._numbers:
            value = values[number]
            if value is not None:
                place = f"{self._x(number):.1f} {self._y(value):.1f}"
                parts.append(f"M{place}l0 0" if before is None else f"L{place}")
            before = value
        return "".join(parts)

    def _level_names(self) -> None:
        """On the left, where the lines of a run that learns are still far below."""
        levels = self._chart.references
        places = spread([self._y(level.value) - 5 for level in levels], 14.0, self._y.end - 4, self._y.start)
        for level, place in zip(levels, places, strict=True):
            self._drawing.text(self._left + 8, place, level.name, f"tick level {level.kind}")

    def _end_names(self) -> None:
        """Names at the ends of the lines, moved apart where they would touch."""
        ends: list[tuple[str, float, float, str, int | None]] = []
        for series in self._chart.series:
            last = max((r for r, value in enumerate(series.values) if value is not None), default=None)
            if last is not None:
                ends.append((series.name, self._x(last), self._y(series.values[last] or 0.0), series.kind, series.node))
        if len(ends) > LABELS_MAX:
            ends = [end for end in ends if end[4] is None]
        places = spread([end[2] for end in ends], LABEL_GAP, self._y.end, self._y.start)
        for (name, x, y, kind, node), place in zip(ends, places, strict=True):
            owner = "" if node is None else str(node)
            group = self._drawing.group(f"label {kind}", data_node=owner)
            points = f"{x + 3:.1f},{y:.1f} {self._right + 8:.1f},{y:.1f} {self._right + 16:.1f},{place:.1f}"
            self._drawing.shape("polyline", "leader", group, points=points)
            text = self._drawing.text(self._right + 19, place + 4, plain(name, LABEL_CHARACTERS), parent=group)
            if len(name) > LABEL_CHARACTERS:
                self._drawing.hint(text, name)
