"""Screen 1."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from node.console.overview.draw import (
    draw_accuracy,
    draw_alerts,
    draw_distance,
    draw_privacy,
    draw_round,
    draw_traffic,
)
from node.console.pane import Pane
from node.console.panel import Panel


class OverviewPane(Pane):
    """Plots at the left, figures at the right, alerts below."""

    SCOPED_CSS: ClassVar[bool] = False  # the size of the terminal is a class of the screen
    DEFAULT_CSS = """
    OverviewPane #upper { height: 1fr; }
    OverviewPane #plots { width: 1fr; }
    OverviewPane #figures { width: 36; }
    OverviewPane #accuracy { height: 3fr; }
    OverviewPane #distance { height: 2fr; min-height: 5; }
    OverviewPane #round { height: 1fr; min-height: 8; }
    OverviewPane #privacy { height: 7; }
    OverviewPane #traffic { height: 6; }
    OverviewPane #alerts { height: 5; }
    .-wide OverviewPane #figures { width: 48; }
    .-tall OverviewPane #privacy { height: 8; }
    .-tall OverviewPane #alerts { height: 12; }
    .-short OverviewPane #round { height: 1fr; min-height: 5; }
    .-short OverviewPane #privacy { height: 5; }
    .-short OverviewPane #traffic { height: 4; }
    """

    def compose(self) -> ComposeResult:
        """The panels."""
        with Horizontal(id="upper"):
            with Vertical(id="plots"):
                yield Panel("Accuracy", draw_accuracy, id="accuracy")
                yield Panel("Consensus distance", draw_distance, id="distance")
            with Vertical(id="figures"):
                yield Panel("Round", draw_round, id="round")
                yield Panel("Privacy", draw_privacy, id="privacy")
                yield Panel("Traffic", draw_traffic, id="traffic")
        yield Panel("Alerts", draw_alerts, id="alerts")
