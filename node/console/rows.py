"""A list with a cursor that draws only the lines on the screen, so that its length costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.cells import EDGE, Row, framed, paper_style, rows_of
from node.console.drawing.ink import Ink

Line = Callable[[int, int, Ink], Text]
"""(number of the item, columns, colours) → its line."""


class Rows:
    """Items by key; the cursor stays on its key while items come and go. With `follow` it stays on the last, and with
    `newest_first` on the first as long as it is there.
    """

    def __init__(self, title: str, empty: str, *, follow: bool = False, newest_first: bool = False) -> None:
        self.title, self.subtitle = title, ""
        self.follow = follow
        self._newest_first = newest_first
        self.room = 1
        """Lines for items when it was drawn last."""
        self._empty = empty
        self._keys: Sequence[Hashable] = ()
        self._line: Line = lambda _number, _width, _ink: Text()
        self._head: Callable[[int, Ink], Text] | None = None
        self._cursor = 0
        self._top = 0

    def fill(
        self,
        keys: Sequence[Hashable],
        line: Line,
        *,
        head: Callable[[int, Ink], Text] | None = None,
        empty: str | None = None,
    ) -> None:
        """Show these items from now on."""
        under = self.selected
        self._keys, self._line, self._head = keys, line, head
        self._empty = self._empty if empty is None else empty
        if self.follow:
            self._cursor = max(0, len(keys) - 1)
        elif self._newest_first and self._cursor == 0:
            self._top = 0
        elif under is not None and not (self._cursor < len(keys) and keys[self._cursor] == under):
            # Items of a list that is cut at its front move up: the cursor and the window move with them.
            place = next((number for number, key in enumerate(keys) if key == under), None)
            moved = 0 if place is None else self._cursor - place
            self._top = max(0, self._top - moved)
            self._cursor = self._cursor if place is None else place
        self._cursor = min(self._cursor, max(0, len(keys) - 1))

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def selected(self) -> Hashable | None:
        """The key under the cursor; None where there is no item."""
        return self._keys[self._cursor] if self._cursor < len(self._keys) else None

    @property
    def cursor(self) -> int:
        """Number of the item under the cursor."""
        return self._cursor

    def go(self, number: int) -> bool:
        """Put the cursor on this item or the nearest; False where there is none."""
        if not self._keys:
            return False
        self.follow = False
        self._cursor = min(max(number, 0), len(self._keys) - 1)
        return True

    def number_at(self, row: int) -> int | None:
        """Of the item that is drawn in this row of it."""
        number = self._top + row - 1 - (self._head is not None)
        return number if self._top <= number < min(self._top + self.room, len(self._keys)) else None

    def rows(self, _scene: Scene, width: int, height: int, ink: Ink, *, lit: bool) -> list[Row]:
        """As `Part.rows`: the lines in sight."""
        base = paper_style(ink, ink.paper)
        if width <= EDGE or height <= 2:
            return rows_of(Text(), width, height, base)
        inner = rows_of(self._text(width - EDGE, height - 2, ink), width - EDGE, height - 2, base)
        return framed(inner, self.title, self.subtitle, ink, base, width=width, lit=lit)

    def _text(self, width: int, height: int, ink: Ink) -> Text:
        if not self._keys:
            return Text(self._empty, ink.dim)
        self.room = max(1, height - (self._head is not None))
        self._top = min(max(self._top, self._cursor - self.room + 1, 0), self._cursor)
        self._top = max(0, min(self._top, len(self._keys) - self.room))
        lines = [] if self._head is None else [self._head(width, ink)]
        for number in range(self._top, min(self._top + self.room, len(self._keys))):
            line = self._line(number, width, ink)
            line.truncate(width, overflow="ellipsis", pad=True)
            if number == self._cursor and not self.follow:
                line.stylize(f"on {ink.cursor}")
            lines.append(line)
        return Text("\n", no_wrap=True).join(lines)
