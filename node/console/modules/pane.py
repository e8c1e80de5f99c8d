"""Screen 4: how each part of the node works."""

from __future__ import annotations

from functools import partial
from typing import Final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Grid

from node.console.desk import Scene
from node.console.drawing.ink import Ink
from node.console.drawing.marks import MODULE_MARKS, module_style
from node.console.drawing.table import Cell, facts
from node.console.drawing.words import clock
from node.console.pane import Pane
from node.console.panel import Panel
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
    text = Text(f"{mark} {word}", f"bold {module_style(module, ink)}", no_wrap=True)
    text.append(f"  {PURPOSE[name]}" if module.at is None else f"  since {clock(module.at)}", ink.dim)
    lines: list[tuple[str, Cell]] = [("why", module.reason)] if module.reason else []
    lines += [(key.replace("_", " "), _value(value)) for key, value in module.settings.items()]
    room = max(0, height - 1)
    if len(lines) > room:
        lines = [*lines[: max(0, room - 1)], ("…", f"{len(lines) - room + 1} more")]
    if lines:
        label = min(max(len(name) for name, _ in lines) + 2, max(8, width // 2))
        text.append("\n").append_text(facts(lines, width, ink, label=label))
    text.truncate(10**6)
    return text


def _value(value: str | float | bool | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return distance(value) if isinstance(value, float) else str(value)


class ModulesPane(Pane):
    """A panel a module."""

    DEFAULT_CSS = """
    ModulesPane Grid { grid-size: 3; grid-gutter: 0; }
    ModulesPane #module-detection { row-span: 1; }
    ModulesPane #module-learning { column-span: 1; }
    ModulesPane #module-api { column-span: 1; }
    """

    def compose(self) -> ComposeResult:
        """The panels."""
        with Grid():
            for name in SHOWN:
                yield Panel(
                    name.capitalize() if name != "api" else "API", partial(draw_module, name), id=f"module-{name}"
                )
