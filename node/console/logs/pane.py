"""Screen 5: lines as they come, filtered by level and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from node.console.desk import Scene
from node.console.drawing.boxes import Box
from node.console.drawing.ink import Ink
from node.console.drawing.marks import LEVEL_MARKS, level_style
from node.console.drawing.words import clock
from node.console.logs.records import KIND
from node.console.pane import ListPane
from node.console.panel import Part
from node.console.rows import Rows
from node.view import LogLine

SEARCH_ROWS: Final = 3
LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far somebody has seen a log: the newest event and the newest record."""

    event: int = 0
    record: int = 0

    @classmethod
    def after(cls, lines: Sequence[LogLine]) -> Mark:
        """Behind all of these."""
        return cls(
            max((line.id for line in lines if line.kind != KIND), default=0),
            max((line.id for line in lines if line.kind == KIND), default=0),
        )

    def is_before(self, line: LogLine) -> bool:
        """Whether `line` came later."""
        return line.id > (self.record if line.kind == KIND else self.event)


@dataclass(slots=True)
class Filter:
    """Which lines are shown."""

    level: str = "info"
    search: str = ""
    since: Mark = Mark()
    """Lines up to here were put away."""
    held: tuple[LogLine, ...] | None = None
    """While paused: what there was then. Later lines wait, however many they push out of the view."""

    def shows(self, line: LogLine) -> bool:
        """Whether `line` is among them."""
        return (
            self.since.is_before(line)
            and LEVELS.index(line.level) >= LEVELS.index(self.level)
            and (not self.search or self.search.casefold() in f"{line.kind} {line.text}".casefold())
        )


class LogsPane(ListPane):
    """The list, and below it the line to search with."""

    DEFAULT_CSS = """
    LogsPane Input { display: none; dock: bottom; height: 3; border: round $primary; }
    LogsPane Input.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", key_display="/"),
        Binding("l", "level", "Level"),
        Binding("f", "follow", "Follow"),
        Binding("p", "pause", "Pause"),
        Binding("c", "clear", "Clear"),
        Binding("r", "reset", "Reset"),
        Binding("y", "copy", "Copy"),
        Binding("escape", "close", "Close", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        rows = Rows("Log", "No event yet: lines appear here as the node writes its journal.", follow=True)
        super().__init__(rows, id=id)
        self._filter = Filter()
        self._lines: list[LogLine] = []
        self._search = Input(placeholder="search in what is told; Enter keeps it, Esc ends it", id="search")

    def compose(self) -> ComposeResult:
        """The line to search with; the list is drawn."""
        yield self._search

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        return [(self.rows, Box(room.x, room.y, room.width, room.height - (SEARCH_ROWS if self._searching else 0)))]

    @property
    def reading(self) -> bool:
        """As `Pane.reading`."""
        return not self._search.has_focus

    @property
    def _searching(self) -> bool:
        return self._search.has_class("-open")

    def prepare(self, scene: Scene) -> None:
        """The lines that the filter lets through."""
        rows, wanted = self.rows, self._filter
        log = scene.lines if wanted.held is None else wanted.held
        self._lines = [line for line in log if wanted.shows(line)]
        newest = Mark.after(log)
        waiting = sum(newest.is_before(line) for line in scene.lines) if wanted.held is not None else 0
        rows.title = f"Log · {wanted.level} and above" + (f" · “{wanted.search}”" if wanted.search else "")
        state = f"PAUSED, {waiting} waiting" if wanted.held is not None else "FOLLOWING" if rows.follow else "SCROLLED"
        dropped = scene.view.log_dropped + scene.records.dropped
        older = f", {dropped:,} older not kept" if dropped else ""
        older += f" · no log: {scene.desk.log_problem}" if scene.desk.log_problem else ""
        rows.subtitle = f"{len(self._lines):,} of {len(log):,}{older} · {state}"
        empty = "No line fits the filter: L changes the level, / the search, R shows all." if log else None
        rows.fill([(line.kind == KIND, line.id) for line in self._lines], self._line, empty=empty)

    def _line(self, number: int, _width: int, ink: Ink) -> Text:
        line = self._lines[number]
        mark, word = LEVEL_MARKS[line.level]
        style = level_style(line.level, ink)
        text = Text(f"{clock(line.at)} ", ink.dim, no_wrap=True)
        text.append(f"{mark} {word:<5} ", style)
        text.append(line.text, style if line.level in ("error", "warning") else ink.text)
        return text

    def action_search(self) -> None:
        """Open the line to search with."""
        self._search.add_class("-open")
        self._search.focus()
        self.again()

    def action_close(self) -> None:
        """End the search."""
        self._search.value = ""
        self._search.remove_class("-open")
        self.arrive()
        self.again()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        self._filter.search = event.value
        self.again()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the list; the search stays."""
        event.stop()
        if not event.value:
            self._search.remove_class("-open")
        self.arrive()
        self.again()

    def action_level(self) -> None:
        """The next level."""
        self._filter.level = LEVELS[(LEVELS.index(self._filter.level) + 1) % len(LEVELS)]
        self.again()

    def action_follow(self) -> None:
        """Stay on the last line, or stop that."""
        self.rows.follow = not self.rows.follow
        self.again()

    def action_pause(self) -> None:
        """Let new lines wait, or in."""
        held = self._filter.held is None and self._scene is not None
        self._filter.held = self._scene.lines if held and self._scene is not None else None
        self.again()

    def action_clear(self) -> None:
        """Put away what is shown; what comes is shown."""
        if self._scene is not None:
            self._filter.since = Mark.after(self._scene.lines)
            self.again()

    def action_reset(self) -> None:
        """No filter, no pause, following."""
        self._filter = Filter()
        self.rows.follow = True
        self.action_close()
        self.again()

    def action_copy(self) -> None:
        """The line under the cursor, by the terminal."""
        number = self.rows.cursor
        if number < len(self._lines):
            line = self._lines[number]
            self.app.copy_to_clipboard(f"{clock(line.at)} {line.level} {line.text}")
            self.app.notify("Copied.", timeout=2)
