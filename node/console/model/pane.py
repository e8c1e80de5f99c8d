"""Screen 2: champion, challenger, layers, and the versions that can be restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from node.console.desk import Scene
from node.console.drawing.boxes import Box, Share
from node.console.drawing.ink import Ink
from node.console.model.draw import draw_layers, draw_loss, draw_standing, draw_version, draw_versions_head
from node.console.orders import Order
from node.console.pane import TALL, WIDE, ListPane
from node.console.panel import Panel, Part, rounds_seen
from node.console.rows import Rows
from node.view import VersionView


class ModelPane(ListPane):
    """Figures and plots at the left, versions at the right, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "restore", "Restore"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        empty = "No promotion yet: the champion is the initial model."
        super().__init__(Rows("Versions", empty, newest_first=True), id=id)
        self._versions: list[VersionView] = []
        self._champion = 0
        self._panels = (
            Panel("Standing", draw_standing),
            Panel("Loss", draw_loss, rounds_seen),
            Panel("Change by layer in the last round", draw_layers, rounds_seen),
        )

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        left, right = room.across(Share(), 62 if room.width >= WIDE else 34)
        tall = room.height >= TALL
        # Layers take what they need, so that a model of two leaves its room to the plot.
        known = len(self._scene.model.layer_change) if self._scene is not None else 0
        layers = max(4, min(14 if tall else 6, known + 2))
        boxes = left.down(10 if tall else 9, Share(), layers)
        return [*zip(self._panels, boxes, strict=True), (self.rows, right)]

    def prepare(self, scene: Scene) -> None:
        """The versions."""
        self._versions = list(reversed(scene.model.versions))
        self._champion = scene.model.champion_version
        self.rows.subtitle = f"{len(self._versions)}, newest first"
        keys = [(version.version, version.round) for version in self._versions]
        self.rows.fill(keys, self._line, head=draw_versions_head)

    def _line(self, number: int, width: int, ink: Ink) -> Text:
        version = self._versions[number]
        return draw_version(version, width, ink, champion=version.version == self._champion)

    def _chosen(self) -> VersionView | None:
        number = self.rows.cursor
        return self._versions[number] if number < len(self._versions) else None

    def action_restore(self) -> None:
        """Ask whether it is meant, then order it."""
        version = self._chosen()
        if version is not None:
            self.post_message(Order.Wanted(Order("roll-back", f"{version.version}")))

    def action_copy(self) -> None:
        """The version's figures, by the terminal."""
        version = self._chosen()
        if version is not None:
            self.app.copy_to_clipboard(f"v{version.version} round {version.round} loss {version.loss}")
            self.app.notify("Copied.", timeout=2)
