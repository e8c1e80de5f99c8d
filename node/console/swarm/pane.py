"""Screen 6."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal

from node.console.pane import Pane
from node.console.panel import Panel
from node.console.swarm.draw import Swarm, draw_legend


class SwarmPane(Pane):
    """The drawing at the left, the nodes in words at the right."""

    DEFAULT_CSS = "SwarmPane #legend { width: 36; } .-wide SwarmPane #legend { width: 50; }"

    def compose(self) -> ComposeResult:
        """The panels."""
        with Horizontal():
            yield Panel("Swarm", Swarm().draw, id="drawing")
            yield Panel("As this node sees it", draw_legend, id="legend")
