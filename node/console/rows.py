"""A list with a cursor that draws only the lines on the screen, so that its length costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from node.console.drawing.ink import Ink

Line = Callable[[int, int, Ink], Text]
"""(number of the item, columns, colours) → its line."""


class Rows(Widget, can_focus=True):
    """Items by key; the cursor stays on its key while items come and go. With `follow` it stays on the last."""

    DEFAULT_CSS = """
    Rows { border: round $border; border-title-color: $text-muted; border-subtitle-color: $text-muted; padding: 0 1; }
    Rows:focus { border: round $primary; border-title-color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "end(-1)", "First", show=False),
        Binding("end,G", "end(1)", "Last", show=False),
    ]

    class Moved(Message):
        """The cursor is on another item, by key or mouse."""

        def __init__(self, rows: Rows) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> Rows:
            """The list."""
            return self.rows

    def __init__(self, title: str, empty: str, *, id: str | None = None, follow: bool = False) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = title
        self.follow = follow
        self._empty = empty
        self._keys: Sequence[Hashable] = ()
        self._line: Line = lambda _number, _width, _ink: Text()
        self._head: Callable[[int, Ink], Text] | None = None
        self._ink = Ink()
        self._cursor = 0
        self._top = 0

    def fill(
        self,
        keys: Sequence[Hashable],
        line: Line,
        ink: Ink,
        *,
        head: Callable[[int, Ink], Text] | None = None,
        empty: str | None = None,
    ) -> None:
        """Show these items from now on."""
        under = self.selected
        self._keys, self._line, self._head, self._ink = keys, line, head, ink
        self._empty = self._empty if empty is None else empty
        if self.follow:
            self._cursor = max(0, len(keys) - 1)
        elif under is not None and not (self._cursor < len(keys) and keys[self._cursor] == under):
            # Items of a list that is cut at its front move up: the cursor and the window move with them.
            place = next((number for number, key in enumerate(keys) if key == under), None)
            moved = 0 if place is None else self._cursor - place
            self._top = max(0, self._top - moved)
            self._cursor = self._cursor if place is None else place
        self._cursor = min(self._cursor, max(0, len(keys) - 1))
        self.refresh()

    def entitle(self, title: str, subtitle: str) -> None:
        """Words for the frame; whatever they quote is no markup."""
        self.border_title, self.border_subtitle = Content(title), Content(subtitle)

    @property
    def selected(self) -> Hashable | None:
        """The key under the cursor; None where there is no item."""
        return self._keys[self._cursor] if self._cursor < len(self._keys) else None

    @property
    def cursor(self) -> int:
        """Number of the item under the cursor."""
        return self._cursor

    def action_move(self, step: int) -> None:
        """Move by so many."""
        self._go(self._cursor + step)

    def action_page(self, way: int) -> None:
        """Move by a screen."""
        self._go(self._cursor + way * max(1, self._room - 1))

    def action_end(self, way: int) -> None:
        """To the first or the last."""
        self._go(0 if way < 0 else len(self._keys) - 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """As three times up."""
        event.stop()
        self._go(self._cursor - 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """As three times down."""
        event.stop()
        self._go(self._cursor + 3)

    def on_click(self, event: events.Click) -> None:
        """The line that was clicked."""
        offset = event.get_content_offset(self)
        if offset is not None:
            number = self._top + offset.y - (self._head is not None)
            if 0 <= number < len(self._keys):
                self._go(number)

    def render(self) -> Text:
        """The lines in sight."""
        width = self.size.width
        if not self._keys:
            return Text(self._empty, self._ink.dim)
        room = self._room
        self._top = min(max(self._top, self._cursor - room + 1, 0), self._cursor)
        self._top = max(0, min(self._top, len(self._keys) - room))
        lines = [] if self._head is None else [self._head(width, self._ink)]
        for number in range(self._top, min(self._top + room, len(self._keys))):
            line = self._line(number, width, self._ink)
            line.truncate(width, overflow="ellipsis", pad=True)
            if number == self._cursor and not self.follow:
                line.stylize(f"on {self.app.theme_variables['block-cursor-background']}")
            lines.append(line)
        return Text("\n", no_wrap=True).join(lines)

    @property
    def _room(self) -> int:
        return max(1, self.size.height - (self._head is not None))

    def _go(self, number: int) -> None:
        if not self._keys:
            return
        self.follow = False
        self._cursor = min(max(number, 0), len(self._keys) - 1)
        self.refresh()
        self.post_message(self.Moved(self))
