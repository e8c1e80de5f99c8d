"""A line plot in braille dots with its axes, for a panel of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rich.text import Text

from node.cli.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas
from node.console.drawing.ink import Ink

Point = tuple[float, float]
LEAST_WIDTH: Final = 16
LEAST_HEIGHT: Final = 3


@dataclass(frozen=True, slots=True)
class Series:
    """Points (x, y) in order of x; those of a gap have no place in it."""

    points: Sequence[Point]
    style: str
    gap: int = 1
    """With 2 or more a dotted line."""


def plot(
    series: Sequence[Series],
    width: int,
    height: int,
    ink: Ink,
    *,
    y_text: Callable[[float], str],
    y_range: tuple[float, float] | None = None,
    x_name: str = "round",
) -> Text:
    """The series in `width` × `height` cells: labels at the left, the ends of the x axis below."""
    points = [point for one in series for point in one.points]
    if width < LEAST_WIDTH or height < LEAST_HEIGHT or not points:
        return Text()
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = y_range or _around([y for _, y in points])
    labels = _labels(low, high, height - 1, y_text)
    margin = max(len(label) for label in labels.values()) + 1
    canvas = Canvas(max(1, width - margin - 1), height - 1)
    frame = _Frame(left, right, low, high, canvas)
    for one in series:
        frame.draw(one)
    lines = []
    for row, line in enumerate(canvas.lines()):
        label = labels.get(row)
        axis = Text(f"{label or '':>{margin - 1}} ", ink.dim)
        axis.append("┤" if label else "│", ink.faint)
        lines.append(axis + line)
    lines.append(_below(left, right, margin, width, ink, x_name))
    return Text("\n", no_wrap=True).join(lines)


@dataclass(frozen=True, slots=True)
class _Frame:
    left: float
    right: float
    low: float
    high: float
    canvas: Canvas

    def draw(self, series: Series) -> None:
        across, down = self.canvas.columns * DOTS_ACROSS - 1, self.canvas.rows * DOTS_DOWN - 1
        dots = _thinned([self._dot(point, across, down) for point in series.points])
        if len(dots) == 1:
            self.canvas.line(dots[0], dots[0], series.style)
        for start, stop in pairwise(dots):
            self.canvas.line(start, stop, series.style, gap=series.gap)

    def _dot(self, point: Point, across: int, down: int) -> Point:
        x = (point[0] - self.left) / (self.right - self.left) if self.right > self.left else 0.0
        y = (point[1] - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return x * across, (1 - min(max(y, 0.0), 1.0)) * down


def _thinned(dots: list[Point]) -> list[Point]:
    """At most four points a column of dots, first, highest, lowest and last: a line of any length is drawn fast."""
    columns: dict[int, list[Point]] = {}
    for dot in dots:
        columns.setdefault(round(dot[0]), []).append(dot)
    kept: list[Point] = []
    for column in columns.values():
        if len(column) <= 4:
            kept += column
        else:
            ends = sorted((column[0], *_extremes(column), column[-1]), key=lambda dot: dot[0])
            kept += ends
    return kept


def _extremes(column: list[Point]) -> tuple[Point, Point]:
    return min(column, key=lambda dot: dot[1]), max(column, key=lambda dot: dot[1])


def _around(values: list[float]) -> tuple[float, float]:
    """A range with a little air; one value stands in its middle."""
    low, high = min(values), max(values)
    air = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (low - air if low < 0 or low - air > 0 else 0.0), high + air


def _labels(low: float, high: float, rows: int, y_text: Callable[[float], str]) -> dict[int, str]:
    """Row → label: at the top, in the middle where there is room, at the bottom."""
    places = [0, rows - 1] if rows < 7 else [0, (rows - 1) // 2, rows - 1] if rows < 13 else [
        round(part * (rows - 1) / 4) for part in range(5)
    ]  # fmt: skip
    return {row: y_text(high - (high - low) * row / max(1, rows - 1)) for row in dict.fromkeys(places)}


def _below(left: float, right: float, margin: int, width: int, ink: Ink, x_name: str) -> Text:
    begin, end = f"{x_name} {left:.0f}", f"{right:.0f}"
    line = Text(" " * margin + "└", ink.faint, no_wrap=True)
    room = width - margin - 1 - len(begin) - len(end)
    if room < 1:
        return line.append(end, ink.dim)
    return line.append(begin, ink.dim).append("─" * max(0, room), ink.faint).append(end, ink.dim)
