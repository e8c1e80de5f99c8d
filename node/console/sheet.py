"""A widget that is a sheet of cells and draws all of them itself.

A screen made of many widgets costs what textual does for each: layout, style sheets, borders, markup, at every switch.
A sheet is one; its rows are drawn when what they show is another, and only those that differ are painted.
"""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from node.console.drawing.cells import Row


class Sheet(Widget):
    """Draws itself with `draw`."""

    ALLOW_SELECT: ClassVar[bool] = False  # rows are no text of textual's: terminals select with the shift key held

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._drawn = Size(-1, -1)

    def draw(self, width: int, height: int) -> list[Row]:
        """`height` rows of `width` cells."""
        raise NotImplementedError

    def renew(self) -> None:
        """What is shown is another: draw it, now where it is on the screen, otherwise when it comes there."""
        if self._drawn != self.size or not self.is_on_screen:
            self._drawn = Size(-1, -1)
            self.refresh()
            return
        changed = self._draw()
        for _, run in groupby(enumerate(changed), key=lambda place: place[1] - place[0]):
            rows = [row for _, row in run]
            self.refresh(Region(0, rows[0], self.size.width, len(rows)))

    def _draw(self) -> list[int]:
        """Numbers of the rows that are others now."""
        width, height = self._drawn = self.size
        before = self._rows if len(self._rows) == height else []
        self._rows = self.draw(width, height)
        changed = [number for number in range(height) if not before or self._rows[number] != before[number]]
        if not before:
            self._strips = [Strip([], 0)] * height
        filters, paper = self.get_line_filters(), self.background_colors[1]
        for number in changed:
            strip = Strip(self._rows[number], width)
            for each in filters:  # NO_COLOR, and what else textual is told to do to colours
                strip = strip.apply_filter(each, paper)
            self._strips[number] = strip
        return changed

    def render_lines(self, crop: Region) -> list[Strip]:
        """For textual, as `Widget.render_lines`."""
        if self._drawn != self.size:
            self._draw()
        strips = self._strips[crop.y : crop.bottom]
        if crop.x == 0 and crop.width == self.size.width:
            return strips
        return [strip.crop(crop.x, crop.right) for strip in strips]
