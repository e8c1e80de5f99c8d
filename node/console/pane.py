"""What a screen is to the app: something that can show a scene."""

from __future__ import annotations

from textual.containers import Container

from node.console.desk import Scene
from node.console.drawing.ink import Ink
from node.console.panel import Panel


class Pane(Container, can_focus=True):
    """One screen. Unless it says otherwise all of its panels show the scene, and it is focused itself."""

    DEFAULT_CSS = "Pane { height: 1fr; width: 1fr; }"

    def show(self, scene: Scene, ink: Ink) -> None:
        """Draw `scene`."""
        for panel in self.query(Panel):
            panel.show(scene, ink)

    def arrive(self) -> None:
        """It is on the screen now: take the keys, at once: the next key may be on its way already."""
        self.screen.set_focus(self)
