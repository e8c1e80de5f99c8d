"""Screen 1."""

from __future__ import annotations

from collections.abc import Sequence

from node.console.drawing.boxes import Box, Share
from node.console.overview.draw import (
    draw_accuracy,
    draw_alerts,
    draw_distance,
    draw_privacy,
    draw_round,
    draw_times,
    draw_traffic,
    has_distance,
)
from node.console.pane import TALL, WIDE, Pane
from node.console.panel import Panel, Part, rounds_seen


class OverviewPane(Pane):
    """Plots at the left, figures at the right, alerts below."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._accuracy = Panel("Accuracy", draw_accuracy, rounds_seen)
        self._distance = Panel("Consensus distance", draw_distance, rounds_seen)
        self._times = Panel("Round time", draw_times, rounds_seen)
        self._figures = Panel("Round", draw_round), Panel("Privacy", draw_privacy), Panel("Traffic", draw_traffic)
        self._alerts = Panel("Alerts and latest", draw_alerts)

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        tall, wide = room.height >= TALL, room.width >= WIDE
        upper, below = room.down(Share(), 12 if tall else 5)
        left, right = upper.across(Share(), 48 if wide else 36)
        plots = left.down(Share(3), Share(2, least=5))
        figures = right.down(Share(), 8, 6) if tall else right.down(Share(least=5), 5, 4)
        seen = self._scene is None or has_distance(self._scene)
        return [
            *zip((self._accuracy, self._distance if seen else self._times), plots, strict=True),
            *zip(self._figures, figures, strict=True),
            (self._alerts, below),
        ]
