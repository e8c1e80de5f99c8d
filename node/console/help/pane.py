"""Screen 7: keys, and how this console is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from node.console.desk import Scene
from node.console.drawing.boxes import Box, Share
from node.console.drawing.ink import Ink
from node.console.drawing.table import Cell, facts
from node.console.pane import TALL, Pane
from node.console.panel import Panel, Part
from node.words import plain

KEYS: Final = (
    ("", "EVERYWHERE"),
    ("1 … 7", "screens"),
    ("[  ]", "node before, next node"),
    ("ctrl+p", "commands by name"),
    ("t", "dark or light"),
    ("q", "quit; the node goes on"),
    ("", "LISTS"),
    ("↑ ↓ j k", "move"),
    ("pgup pgdn", "a screen"),
    ("home end", "first, last"),
    ("y", "copy, also over SSH"),
    ("", "PEERS AND MODEL"),
    ("x  r  v", "quarantine, release, revoke"),
    ("b", "restore a version"),
    ("o", "pause or resume rounds"),
    ("", "LOGS"),
    ("/  l", "search, level"),
    ("f  p", "follow, pause"),
    ("c  r", "clear, reset"),
    ("", "REPLAY"),
    ("space", "stop or go on"),
    ("+  -", "faster, slower"),
    (".", "one round"),
    ("backspace", "from the beginning"),
)


def draw_keys(_scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """In as many columns as they need."""
    columns = max(1, min(3, width // 34, -(-len(KEYS) // max(1, height))))
    deep = max(1, -(-len(KEYS) // columns))
    room = width // columns
    lines = []
    for line in range(min(deep, height)):
        text = Text(no_wrap=True)
        for column in range(columns):
            number = column * deep + line
            if number < len(KEYS):
                key, words = KEYS[number]
                part = Text().append(f"{key:<11}" if key else "", f"bold {ink.accent}")
                part.append(words, ink.text if key else f"bold {ink.dim}")
                part.truncate(room, pad=True)
                text.append_text(part)
        lines.append(text)
    return Text("\n", no_wrap=True).join(lines)


def draw_settings(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Where events come from, and what is kept of them."""
    desk, view = scene.desk, scene.view
    lines: list[tuple[str, Cell]] = [
        ("source", plain(desk.link.where)),
        ("state", f"{desk.link.state} {desk.link.detail}".strip()),
        ("nodes", f"{len(desk.views)}"),
        ("node", plain(desk.current) or "–"),
        ("peer id", scene.overview.peer_id or "–"),
        ("last event", f"{view.last_id:,}"),
        ("log lines", f"{len(scene.log):,} kept, {view.log_dropped:,} gone"),
        ("rounds", f"{len(scene.model.rounds):,} kept, {scene.model.rounds_dropped:,} thinned"),
        ("times", "UTC"),
        ("colours", "never the only sign: every state has its word"),
        ("mouse", "works, and is never needed"),
    ]
    return facts(lines[:height], width, ink, label=11)


class HelpPane(Pane):
    """Keys above, settings below."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._panels = Panel("Keys", draw_keys, lambda _scene: None), Panel("Settings", draw_settings)

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        return list(zip(self._panels, room.down(Share(), 14 if room.height >= TALL else 8), strict=True))
