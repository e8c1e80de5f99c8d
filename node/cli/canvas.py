"""A canvas of terminal cells: fine lines in braille dots, text on top.

A cell shows 2 × 4 dots (Unicode 2800–28FF). Cells are about twice as tall as wide, so dots are about square.
"""

from __future__ import annotations

import math
from typing import Final

from rich.text import Text

DOTS_ACROSS: Final = 2
DOTS_DOWN: Final = 4
_BRAILLE: Final = 0x2800
_BITS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a cell, [row, column]."""


class Canvas:
    """`columns` × `rows` cells. Points are (x, y) in dots from the top left corner, cells (column, row)."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        """The bits of each cell."""
        self._styles = [[""] * columns for _ in range(rows)]
        self._text: list[dict[int, tuple[str, str]]] = [{} for _ in range(rows)]
        """Row → column → (character, style)."""

    def line(self, start: tuple[float, float], stop: tuple[float, float], style: str, *, gap: int = 1) -> None:
        """A straight line; with `gap` > 1 only every `gap`-th dot of it. What lies outside is cut off."""
        left, top = start
        across, down = stop[0] - left, stop[1] - top
        steps = max(1, math.ceil(max(abs(across), abs(down))))
        columns, rows, floor = self.columns * DOTS_ACROSS, self.rows * DOTS_DOWN, math.floor
        for step in range(0, steps + 1, gap):
            # Halves go up, always: `round` would send them to even dots and leave the odd ones empty.
            x = floor(left + across * step / steps + 0.5)
            y = floor(top + down * step / steps + 0.5)
            if 0 <= x < columns and 0 <= y < rows:
                row, column = y // DOTS_DOWN, x // DOTS_ACROSS
                self._dots[row][column] |= _BITS[y % DOTS_DOWN][x % DOTS_ACROSS]
                self._styles[row][column] = style

    def write(self, cell: tuple[int, int], text: str, style: str) -> None:
        """Put `text` over whatever lines pass there; what lies outside is cut off."""
        if not 0 <= cell[1] < self.rows:
            return
        for offset, character in enumerate(text):
            self._text[cell[1]][cell[0] + offset] = (character, style)

    def crossing(self, cell: tuple[int, int], length: int) -> int:
        """How much a text of `length` at `cell` would hide: dots count 1 each, characters or the border 1000."""
        column, row = cell
        if not 0 <= row < self.rows or column < 0 or column + length > self.columns:
            return 1000 * length
        text = self._text[row]
        texts = sum(column + offset in text for offset in range(length))
        # Another text right before or behind would run into this one; a mark of one character may stand there.
        ends = ((column - 1, column - 2), (column + length, column + length + 1))
        texts += sum(near in text and far in text for near, far in ends)
        return 1000 * texts + sum(bits.bit_count() for bits in self._dots[row][column : column + length])

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
        text = self._text[row]
        run, run_style = "", ""  # neighbours in one style are appended at once: most of a line is nothing
        for column, (bits, under) in enumerate(zip(self._dots[row], self._styles[row], strict=True)):
            character, style = chr(_BRAILLE + bits) if bits else " ", under
            if column in text:
                character, style = text[column][0], text[column][1] or under
            if style != run_style and character != " ":
                line.append(run, run_style)
                run, run_style = "", style
            run += character
        line.append(run, run_style)
        line.rstrip()
        return line
