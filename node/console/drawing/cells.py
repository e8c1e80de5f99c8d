"""Styled text as rows of cells, for a widget that paints itself.

What textual would find out for each line anew, by style sheet and markup, is in a row once: it is painted as it is.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from node.console.drawing.ink import Ink

Row = list[Segment]
"""One line of cells."""
EDGE: Final = 4
"""Cells of a frame and its air, left and right together."""


def paper_style(ink: Ink, paper: str) -> Style:
    """Of what has no style of its own."""
    return Style.parse(f"{ink.text} on {paper}")


def rows_of(text: Text, width: int, height: int, base: Style) -> list[Row]:
    """`height` rows of `width` cells: `text`, cut and filled up."""
    plain = text.plain
    styles = _styles(text, len(plain), base)
    rows: list[Row] = []
    start = 0
    for line in plain.split("\n")[:height]:
        rows.append(_row(line, styles[start : start + len(line)], width, base))
        start += len(line) + 1
    blank = Segment(" " * width, base)
    return rows + [[blank] for _ in range(height - len(rows))]


def _styles(text: Text, length: int, base: Style) -> list[Style]:
    """Of every character."""
    whole = base + Style.parse(text.style) if isinstance(text.style, str) else base + text.style
    styles = [whole] * length
    for start, end, name in text.spans:
        if not name or start >= end:
            continue
        style = Style.parse(name) if isinstance(name, str) else name
        under = styles[start:end]
        first = under[:1]
        if under == first * len(under):  # one run, nearly always
            styles[start:end] = [first[0] + style] * len(under) if first else []
        else:
            styles[start:end] = [each + style for each in under]
    return styles


def _row(line: str, styles: list[Style], width: int, base: Style) -> Row:
    row: Row = []
    at = 0
    for _, group in groupby(styles, key=id):
        run = list(group)
        row.append(Segment(line[at : at + len(run)], run[0]))
        at += len(run)
    length = cell_len(line)
    if length > width:
        return cut(row, width)
    if length < width:
        row.append(Segment(" " * (width - length), base))
    return row


def cut(row: Row, width: int) -> Row:
    """The first `width` cells of it."""
    kept: Row = []
    for text, style, _ in row:
        length = cell_len(text)
        if length >= width:
            return [*kept, Segment(set_cell_size(text, width), style)] if width > 0 else kept
        kept.append(Segment(text, style))
        width -= length
    return kept


def framed(inner: list[Row], title: str, subtitle: str, ink: Ink, base: Style, *, width: int, lit: bool) -> list[Row]:
    """`inner`, each `width` less `EDGE` cells wide, in a frame with words above and below."""
    line = base + Style.parse(ink.accent if lit else ink.edge)
    words = base + Style.parse(ink.accent if lit else ink.dim)
    side, other = Segment("│ ", line), Segment(" │", line)
    top = _edge("╭─", title, "─╮", width, line, words, right=False)
    bottom = _edge("╰─", subtitle, "─╯", width, line, words, right=True)
    return [top, *([side, *row, other] for row in inner), bottom]


def _edge(left: str, words: str, right_end: str, width: int, line: Style, style: Style, *, right: bool) -> Row:
    room = width - len(left) - len(right_end)
    shown = f" {words} " if words else ""
    if cell_len(shown) > room:
        shown = set_cell_size(shown, max(0, room - 2)) + "… " if room > 4 else ""
    rule = "─" * (room - cell_len(shown))
    if right:
        return [Segment(left + rule, line), Segment(shown, style), Segment(right_end, line)]
    return [Segment(left, line), Segment(shown, style), Segment(rule + right_end, line)]
