"""A titled frame around something that a function draws, in whatever room there is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.cells import EDGE, Row, framed, paper_style, rows_of
from node.console.drawing.ink import Ink

Draw = Callable[[Scene, int, int, Ink], Text]
"""(what is seen, columns, rows, colours) → lines that fit."""
Facts = Callable[[Scene], Hashable]
"""All of a scene that a drawing depends on: it is drawn again when this is another."""


class Part(Protocol):
    """What a screen is made of."""

    def rows(self, scene: Scene, width: int, height: int, ink: Ink, *, lit: bool) -> list[Row]:
        """`height` rows of `width` cells, the frame among them; `lit` where keys go to it."""


def rounds_seen(scene: Scene) -> Hashable:
    """For what is drawn of the rounds and the model alone."""
    model = scene.model
    return scene.view.model_edition, model.rounds[-1].id if model.rounds else 0


class Panel:
    """Draws a scene. It remembers its last drawing, and nothing else."""

    def __init__(self, title: str, draw: Draw, of: Facts | None = None) -> None:
        """Without `of` it is drawn for every scene."""
        self.title = title
        self._draw_text = draw
        self._of = of
        self._known: Hashable = None
        self._rows: list[Row] = []

    def rows(self, scene: Scene, width: int, height: int, ink: Ink, *, lit: bool) -> list[Row]:
        """As `Part.rows`."""
        if width <= EDGE or height <= 2:
            return rows_of(Text(), width, height, paper_style(ink, ink.paper))
        key = None if self._of is None else (self._of(scene), scene.desk.current, width, height, ink, lit)
        if key is None or key != self._known:
            base = paper_style(ink, ink.paper)
            text = self._draw_text(scene, width - EDGE, height - 2, ink)
            inner = rows_of(text, width - EDGE, height - 2, base)
            self._rows, self._known = framed(inner, self.title, "", ink, base, width=width, lit=lit), key
        return self._rows
