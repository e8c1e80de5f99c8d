"""Screen 6."""

from __future__ import annotations

from collections.abc import Sequence

from node.console.drawing.boxes import Box, Share
from node.console.pane import WIDE, Pane
from node.console.panel import Panel, Part
from node.console.swarm.draw import Swarm, draw_legend


class SwarmPane(Pane):
    """The drawing at the left, the nodes in words at the right."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._panels = Panel("Swarm", Swarm().draw), Panel("Nodes", draw_legend)

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        return list(zip(self._panels, room.across(Share(), 56 if room.width >= WIDE else 34), strict=True))
