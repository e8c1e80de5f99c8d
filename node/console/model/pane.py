"""Screen 2: champion, challenger, layers, and the versions that can be restored."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from node.console.desk import Scene
from node.console.drawing.ink import Ink
from node.console.model.draw import draw_layers, draw_loss, draw_standing, draw_version, draw_versions_head
from node.console.orders import Order
from node.console.pane import Pane
from node.console.panel import Panel
from node.console.rows import Rows
from node.view import VersionView


class ModelPane(Pane):
    """Figures and plots at the left, versions at the right, the newest first."""

    SCOPED_CSS: ClassVar[bool] = False  # the size of the terminal is a class of the screen
    DEFAULT_CSS = """
    ModelPane #left { width: 1fr; }
    ModelPane Rows { width: 34; height: 1fr; }
    ModelPane #standing { height: 9; }
    ModelPane #layers { height: 6; }
    .-wide ModelPane Rows { width: 62; }
    .-tall ModelPane #standing { height: 10; }
    .-tall ModelPane #layers { height: 14; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "restore", "Restore"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._versions: list[VersionView] = []
        self._champion = 0

    def compose(self) -> ComposeResult:
        """The panels."""
        with Horizontal():
            with Vertical(id="left"):
                yield Panel("Standing", draw_standing, id="standing")
                yield Panel("Loss", draw_loss, id="loss")
                yield Panel("Change by layer in the last round", draw_layers, id="layers")
            yield Rows("Versions", "No promotion yet: the champion is the initial model.", id="versions")

    def arrive(self) -> None:
        """The list takes the keys."""
        self.screen.set_focus(self.query_one(Rows))

    def show(self, scene: Scene, ink: Ink) -> None:
        """All of it."""
        self._versions = list(reversed(scene.model.versions))
        self._champion = scene.model.champion_version
        rows = self.query_one(Rows)
        rows.entitle("Versions", f"{len(self._versions)}, newest first")
        keys = [(version.version, version.round) for version in self._versions]
        rows.fill(keys, self._line, ink, head=draw_versions_head)
        super().show(scene, ink)

    def _line(self, number: int, width: int, ink: Ink) -> Text:
        version = self._versions[number]
        return draw_version(version, width, ink, champion=version.version == self._champion)

    def _chosen(self) -> VersionView | None:
        number = self.query_one(Rows).cursor
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
