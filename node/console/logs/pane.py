"""Screen 5: lines as they come, filtered by level and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from node.console.desk import Scene
from node.console.drawing.ink import Ink
from node.console.drawing.marks import LEVEL_MARKS, level_style
from node.console.drawing.words import clock
from node.console.pane import Pane
from node.console.rows import Rows
from node.view import LogLine

LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(slots=True)
class Filter:
    """Which lines are shown."""

    level: str = "info"
    search: str = ""
    since: int = 0
    """Lines up to this id were put away."""
    held: tuple[LogLine, ...] | None = None
    """While paused: what there was then. Later lines wait, however many they push out of the view."""

    def shows(self, line: LogLine) -> bool:
        """Whether `line` is among them."""
        return (
            self.since < line.id
            and LEVELS.index(line.level) >= LEVELS.index(self.level)
            and (not self.search or self.search.casefold() in f"{line.kind} {line.text}".casefold())
        )


class LogsPane(Pane):
    """The list, and below it the line to search with."""

    DEFAULT_CSS = """
    LogsPane Rows { height: 1fr; }
    LogsPane Input { display: none; height: 3; border: round $primary; }
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
        super().__init__(id=id)
        self._filter = Filter()
        self._lines: list[LogLine] = []
        self._last: tuple[Scene, Ink] | None = None

    def compose(self) -> ComposeResult:
        """The panels."""
        yield Rows("Log", "No event yet: lines appear here as the node writes its journal.", id="lines", follow=True)
        yield Input(placeholder="search in what is told; Enter keeps it, Esc ends it", id="search")

    def arrive(self) -> None:
        """The list takes the keys."""
        self.screen.set_focus(self.query_one(Rows))

    def show(self, scene: Scene, ink: Ink) -> None:
        """The lines that the filter lets through."""
        self._last = scene, ink
        rows, wanted = self.query_one(Rows), self._filter
        log = scene.log if wanted.held is None else wanted.held
        self._lines = [line for line in log if wanted.shows(line)]
        newest = log[-1].id if log else 0
        waiting = sum(line.id > newest for line in scene.log)
        title = f"Log · {wanted.level} and above" + (f" · “{wanted.search}”" if wanted.search else "")
        state = f"PAUSED, {waiting} waiting" if wanted.held is not None else "FOLLOWING" if rows.follow else "SCROLLED"
        older = f", {scene.view.log_dropped:,} older not kept" if scene.view.log_dropped else ""
        rows.entitle(title, f"{len(self._lines):,} of {len(log):,}{older} · {state}")
        empty = "No line fits the filter: L changes the level, / the search, R shows all." if log else None
        rows.fill([line.id for line in self._lines], self._line, ink, empty=empty)

    def _line(self, number: int, _width: int, ink: Ink) -> Text:
        line = self._lines[number]
        mark, word = LEVEL_MARKS[line.level]
        style = level_style(line.level, ink)
        text = Text(f"{clock(line.at)} ", ink.dim, no_wrap=True)
        text.append(f"{mark} {word:<5} ", style)
        text.append(line.text, style if line.level in ("error", "warning") else ink.text)
        return text

    def _again(self) -> None:
        if self._last is not None:
            self.show(*self._last)

    def action_search(self) -> None:
        """Open the line to search with."""
        search = self.query_one(Input)
        search.add_class("-open")
        search.focus()

    def action_close(self) -> None:
        """End the search."""
        search = self.query_one(Input)
        search.value = ""
        search.remove_class("-open")
        self.arrive()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        self._filter.search = event.value
        self._again()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the list; the search stays."""
        event.stop()
        if not event.value:
            self.query_one(Input).remove_class("-open")
        self.arrive()

    def action_level(self) -> None:
        """The next level."""
        self._filter.level = LEVELS[(LEVELS.index(self._filter.level) + 1) % len(LEVELS)]
        self._again()

    def action_follow(self) -> None:
        """Stay on the last line, or stop that."""
        rows = self.query_one(Rows)
        rows.follow = not rows.follow
        self._again()

    def action_pause(self) -> None:
        """Let new lines wait, or in."""
        scene = self._last[0] if self._last else None
        self._filter.held = scene.log if scene is not None and self._filter.held is None else None
        self._again()

    def action_clear(self) -> None:
        """Put away what is shown; what comes is shown."""
        if self._last is not None:
            self._filter.since = self._last[0].view.last_id
            self._again()

    def action_reset(self) -> None:
        """No filter, no pause, following."""
        self._filter = Filter()
        self.query_one(Rows).follow = True
        self.action_close()
        self._again()

    def action_copy(self) -> None:
        """The line under the cursor, by the terminal."""
        number = self.query_one(Rows).cursor
        if number < len(self._lines):
            line = self._lines[number]
            self.app.copy_to_clipboard(f"{clock(line.at)} {line.level} {line.text}")
            self.app.notify("Copied.", timeout=2)
