"""A titled frame around something that a function draws, in whatever room there is."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.widget import Widget

from node.console.desk import Scene
from node.console.drawing.ink import Ink

Draw = Callable[[Scene, int, int, Ink], Text]
"""(what is seen, columns, rows, colours) → lines that fit."""


class Panel(Widget):
    """Draws a scene. It has no state of its own, and so nothing that could be old."""

    DEFAULT_CSS = """
    Panel {
        border: round $border;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        padding: 0 1;
        height: 1fr;
        width: 1fr;
    }
    """

    def __init__(self, title: str, draw: Draw, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self.border_title = title
        self._draw = draw
        self._scene: Scene | None = None
        self._ink = Ink()

    def show(self, scene: Scene, ink: Ink) -> None:
        """Draw `scene` with the next paint."""
        self._scene, self._ink = scene, ink
        self.refresh()

    def render(self) -> Text:
        """The lines."""
        if self._scene is None:
            return Text()
        return self._draw(self._scene, self.size.width, self.size.height, self._ink)
