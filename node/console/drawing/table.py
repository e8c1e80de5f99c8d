"""Lines of label and value, and columns that stand straight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from node.console.drawing.ink import Ink
from node.console.drawing.words import fit

Cell = str | Text | tuple[str, str]
"""A string in the text's own style, a text as it is, or (string, style)."""


def facts(rows: Iterable[tuple[str, Cell]], width: int, ink: Ink, *, label: int = 12) -> Text:
    """`label  value`, a line each, cut at `width`."""
    return Text("\n", no_wrap=True).join(
        Text(fit(name, label), ink.dim, no_wrap=True) + cell_text(cell, max(0, width - label), ink)
        for name, cell in rows
    )


def cell_text(cell: Cell, width: int, ink: Ink, *, right: bool = False, filled: bool = False) -> Text:
    """`cell` in at most `width` cells; in exactly so many where `filled`."""
    if isinstance(cell, Text):
        text = cell.copy()
        text.truncate(width, overflow="ellipsis")
        gap = max(0, width - text.cell_len) if filled else 0
        return Text(" " * gap).append_text(text) if right else text.append(" " * gap)
    words, style = (cell, ink.text) if isinstance(cell, str) else cell
    shown = fit(words, width, right=right)
    return Text(shown if filled else shown.rstrip(), style)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Where the room is short the columns with the highest `rank` are left out."""

    head: str
    width: int
    align: Literal["left", "right"] = "left"
    rank: int = 0
    grow: bool = False
    """It takes what room is left."""


def layout(columns: Sequence[Column], width: int, gap: int = 2) -> list[tuple[int, Column, int]]:
    """(number, column, its width) of those that fit into `width`."""
    kept = list(enumerate(columns))
    while len(kept) > 1 and sum(column.width for _, column in kept) + gap * (len(kept) - 1) > width:
        kept.remove(max(kept, key=lambda one: (one[1].rank, one[0])))
    spare = width - sum(column.width for _, column in kept) - gap * (len(kept) - 1)
    growing = [number for number, column in kept if column.grow]
    more = max(0, spare) // len(growing) if growing else 0
    return [(number, column, column.width + (more if number in growing else 0)) for number, column in kept]


def row(cells: Sequence[Cell], places: Sequence[tuple[int, Column, int]], ink: Ink, gap: int = 2) -> Text:
    """One line of a table."""
    parts = [
        cell_text(cells[number], width, ink, right=column.align == "right", filled=True)
        for number, column, width in places
    ]
    return Text(" " * gap, no_wrap=True).join(parts)


def head(places: Sequence[tuple[int, Column, int]], ink: Ink) -> Text:
    """The line of headings."""
    return row([(column.head, ink.dim) for _, column, _ in _all(places)], places, ink)


def _all(places: Sequence[tuple[int, Column, int]]) -> list[tuple[int, Column, int]]:
    """By number, with a filling where one was left out: cells are found by number."""
    found = {number: place for place in places for number in (place[0],)}
    blank = Column("", 0)
    return [found.get(number, (number, blank, 0)) for number in range(max(found, default=-1) + 1)]
