"""Screen 4: how each part of the node works."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from textwrap import wrap
from typing import Final

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.boxes import Box, Share
from node.console.drawing.ink import Ink
from node.console.drawing.marks import MODULE_MARKS, module_style
from node.console.drawing.table import Cell, facts
from node.console.drawing.words import clock
from node.console.pane import Pane
from node.console.panel import Panel, Part
from node.view import ModuleView
from node.words import distance

SHOWN: Final = ("detection", "privacy", "sharing", "transport", "learning", "store", "api")
PURPOSE: Final = {
    "detection": "who is averaged",
    "privacy": "what noise hides",
    "sharing": "who sees an update",
    "transport": "how peers are reached",
    "learning": "what is trained",
    "store": "what is kept",
    "api": "who may ask",
}


def draw_module(name: str, scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """State, reason, settings in force."""
    module = scene.modules[name]
    mark, word = MODULE_MARKS[module.status]
    text = Text(no_wrap=True).append(f"{mark} {word}", f"bold {module_style(module, ink)}")
    since = PURPOSE[name] if module.at is None else f"since {clock(module.at)}"
    if text.cell_len + 2 + len(since) > width:
        since = since.removeprefix("since ")
    text.append(f"  {since}", ink.dim)
    text.truncate(width, overflow="ellipsis")
    room = max(0, height - 1)
    settings = [_setting(key, value) for key, value in module.settings.items()]
    lines: list[tuple[str, Cell]] = [*_reason(module.reason, width, max(1, room - len(settings))), *settings]
    if len(lines) > room:
        lines = [*lines[: max(0, room - 1)], ("…", f"{len(lines) - room + 1} more")]
    if lines:
        label = min(max(len(name) for name, _ in lines) + 2, max(8, width * 3 // 5))
        text.append("\n").append_text(facts(lines, width, ink, label=label))
    return text


def _reason(reason: str, width: int, most: int) -> list[tuple[str, Cell]]:
    """In as many lines as settings leave to it."""
    cut = wrap(reason, max(8, width - len("why") - 2), max_lines=most, placeholder="…")
    return [("" if number else "why", line) for number, line in enumerate(cut)]


def _setting(key: str, value: str | float | bool | None) -> tuple[str, str]:
    """What is named for its unit has the unit behind the figure."""
    if key.endswith("_s") and isinstance(value, int | float):
        return key.removesuffix("_s").replace("_", " "), f"{_value(value)} s"
    return key.replace("_", " "), _value(value)


def _value(value: str | float | bool | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return distance(value) if isinstance(value, float) else str(value)


class ModulesPane(Pane):
    """A panel a module."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._panels = [
            Panel("API" if name == "api" else name.capitalize(), partial(draw_module, name), partial(_known, name))
            for name in SHOWN
        ]

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        first, second, third = room.down(Share(2), Share(2), Share())
        boxes = [*first.across(Share(), Share()), *second.across(Share(), Share())]
        return list(zip(self._panels, [*boxes, *third.across(Share(), Share(), Share())], strict=True))


def _known(name: str, scene: Scene) -> ModuleView:
    return scene.modules[name]
