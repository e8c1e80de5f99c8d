"""What a screen is to the app: something that can show a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType

from node.console.desk import Scene
from node.console.drawing.boxes import Box
from node.console.drawing.cells import Row, cut, paper_style, rows_of
from node.console.drawing.ink import Ink
from node.console.panel import Part
from node.console.rows import Rows
from node.console.sheet import Sheet

WIDE: Final = 120
"""Columns from which on a screen has room to spare."""
TALL: Final = 37
"""Rows of a pane from which on it has room to spare: those of a terminal of 40."""


class Pane(Sheet, can_focus=True):
    """One screen: parts in boxes, side by side or one below the other, none over another."""

    DEFAULT_CSS = "Pane { height: 1fr; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._scene: Scene | None = None
        self._ink = Ink()

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """Where its parts are in `room`."""
        raise NotImplementedError

    def show(self, scene: Scene, ink: Ink) -> None:
        """Draw `scene`."""
        self._scene, self._ink = scene, ink
        self.prepare(scene)
        self.renew()

    def prepare(self, scene: Scene) -> None:
        """Take from `scene` what parts keep between scenes."""

    def again(self) -> None:
        """Draw the last scene again: something else than the node is another."""
        if self._scene is not None:
            self.show(self._scene, self._ink)

    def arrive(self) -> None:
        """It is on the screen now: take the keys, at once: the next key may be on its way already."""
        self.screen.set_focus(self, scroll_visible=False)

    def draw(self, width: int, height: int) -> list[Row]:
        """All parts."""
        base = paper_style(self._ink, self._ink.paper)
        blank: list[Row] = rows_of(Text(), width, height, base)
        if self._scene is None:
            return blank
        rows: list[Row] = [[] for _ in range(height)]
        ends = [0] * height
        places = sorted(self.places(Box(0, 0, width, height)), key=lambda place: place[1].x)
        for part, box in places:
            for number, row in enumerate(self._part(part, box), box.y):
                rows[number] = rows[number] + row
                ends[number] = box.x + box.width
        return [
            row if end == width else cut([*row, Segment(" " * (width - end), base)], width)
            for row, end in zip(rows, ends, strict=True)
        ]

    def _part(self, part: Part, box: Box) -> list[Row]:
        if self._scene is None or box.width <= 0 or box.height <= 0:
            return []
        return part.rows(self._scene, box.width, box.height, self._ink, lit=isinstance(part, Rows) and self.reading)

    @property
    def reading(self) -> bool:
        """Whether keys go to its list."""
        return True


class ListPane(Pane):
    """A screen with a list that keys and mouse move in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "end(-1)", "First", show=False),
        Binding("end,G", "end(1)", "Last", show=False),
    ]

    def __init__(self, rows: Rows, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self.rows = rows

    def action_move(self, step: int) -> None:
        """Move by so many."""
        self._go(self.rows.cursor + step)

    def action_page(self, way: int) -> None:
        """Move by a screen."""
        self._go(self.rows.cursor + way * max(1, self.rows.room - 1))

    def action_end(self, way: int) -> None:
        """To the first or the last."""
        self._go(0 if way < 0 else len(self.rows) - 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """As three times up."""
        event.stop()
        self.action_move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """As three times down."""
        event.stop()
        self.action_move(3)

    def on_click(self, event: events.Click) -> None:
        """The line that was clicked."""
        for part, box in self.places(Box(0, 0, *self.size)):
            if part is self.rows and box.holds(event.x, event.y):
                number = self.rows.number_at(event.y - box.y)
                if number is not None:
                    self._go(number)

    def _go(self, number: int) -> None:
        if self.rows.go(number):
            self.again()
