"""Screen 6."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal

from node.console.pane import Pane
from node.console.panel import Panel
from node.console.swarm.draw import Swarm, draw_legend


class SwarmPane(Pane):
    """The drawing at the left, the nodes in words at the right."""

    SCOPED_CSS: ClassVar[bool] = False  # the size of the terminal is a class of the screen
    DEFAULT_CSS = "SwarmPane #legend { width: 34; } .-wide SwarmPane #legend { width: 56; }"

    def compose(self) -> ComposeResult:
        """The panels."""
        with Horizontal():
            yield Panel("Swarm", Swarm().draw, id="drawing")
            yield Panel("Nodes", draw_legend, id="legend")
