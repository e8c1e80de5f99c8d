"""A canvas of terminal cells: fine lines in braille dots, text on top.

A cell shows 2 × 4 dots (Unicode 2800–28FF). Cells are about twice as tall as wide, so dots are about square.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from rich.text import Text

DOTS_ACROSS: Final = 2
DOTS_DOWN: Final = 4
_BRAILLE: Final = 0x2800
_BITS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a cell, [row, column]."""


class Canvas:
    """`columns` × `rows` cells. Points are (x, y) in dots from the top left corner, cells (column, row)."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = np.zeros((rows * DOTS_DOWN, columns * DOTS_ACROSS), dtype=np.bool_)
        self._styles = [[""] * columns for _ in range(rows)]
        self._text: dict[tuple[int, int], tuple[str, str]] = {}

    def line(self, start: tuple[float, float], stop: tuple[float, float], style: str, *, gap: int = 1) -> None:
        """A straight line; with `gap` > 1 only every `gap`-th dot of it. What lies outside is cut off."""
        steps = max(1, math.ceil(max(abs(stop[0] - start[0]), abs(stop[1] - start[1]))))
        for step in range(0, steps + 1, gap):
            # Halves go up, always: `round` would send them to even dots and leave the odd ones empty.
            x = math.floor(start[0] + (stop[0] - start[0]) * step / steps + 0.5)
            y = math.floor(start[1] + (stop[1] - start[1]) * step / steps + 0.5)
            if 0 <= x < self._dots.shape[1] and 0 <= y < self._dots.shape[0]:
                self._dots[y, x] = True
                self._styles[y // DOTS_DOWN][x // DOTS_ACROSS] = style

    def write(self, cell: tuple[int, int], text: str, style: str) -> None:
        """Put `text` over whatever lines pass there; it must fit."""
        for offset, character in enumerate(text):
            self._text[cell[0] + offset, cell[1]] = (character, style)

    def crossing(self, cell: tuple[int, int], length: int) -> int:
        """How much a text of `length` at `cell` would hide: dots count 1 each, characters or the border 1000."""
        column, row = cell
        if not 0 <= row < self.rows or column < 0 or column + length > self.columns:
            return 1000 * length
        texts = sum((column + offset, row) in self._text for offset in range(length))
        # Another text right before or behind would run into this one; a mark of one character may stand there.
        ends = ((column - 1, column - 2), (column + length, column + length + 1))
        texts += sum((near, row) in self._text and (far, row) in self._text for near, far in ends)
        down, across = row * DOTS_DOWN, column * DOTS_ACROSS
        dots = self._dots[down : down + DOTS_DOWN, across : across + length * DOTS_ACROSS]
        return 1000 * texts + int(dots.sum())

    def lines(self) -> list[Text]:
        """All rows of the drawing, without spaces at their ends."""
        return [self._line(row) for row in range(self.rows)]

    def render(self) -> Text:
        """The drawing, without empty lines above and below and without spaces at the ends of lines."""
        lines = self.lines()
        while lines and not lines[0].plain:
            del lines[0]
        while lines and not lines[-1].plain:
            del lines[-1]
        return Text("\n").join(lines)

    def _line(self, row: int) -> Text:
        line = Text()
        cells = self._dots[row * DOTS_DOWN : (row + 1) * DOTS_DOWN].reshape(DOTS_DOWN, self.columns, DOTS_ACROSS)
        masks = np.einsum("dca,da->c", cells, _BITS)
        styles = self._styles[row]
        run, run_style = "", ""  # neighbours in one style are appended at once: most of a line is nothing
        for column, mask in enumerate(masks.tolist()):
            character, style = self._text.get((column, row), (chr(_BRAILLE + mask) if mask else " ", ""))
            style = style or styles[column]
            if style != run_style and character != " ":
                line.append(run, run_style)
                run, run_style = "", style
            run += character
        line.append(run, run_style)
        line.rstrip()
        return line
