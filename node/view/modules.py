"""How each part of a node works, folded."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node import journal
from node.view.read_models import NAME_MAX, TEXT_MAX, ModuleView, Setting
from node.words import plain

NAMES: Final = ("learning", "privacy", "sharing", "detection", "transport", "store", "api")
SETTINGS_MAX: Final = 64


class Modules:
    """The parts of one node."""

    def __init__(self) -> None:
        self._views = {name: ModuleView(name) for name in NAMES}

    def views(self) -> dict[str, ModuleView]:
        """By name, all of `NAMES`."""
        return dict(self._views)

    @property
    def epsilon_budget(self) -> float | None:
        """The ε that the node may spend, where the settings in force say so."""
        budget = self._views["privacy"].settings.get("epsilon")
        return float(budget) if isinstance(budget, int | float) and not isinstance(budget, bool) else None

    def start(self, event: journal.Started) -> None:
        """A process began. What an older process said of its modules holds no longer; it says how they are itself."""
        self._views = {name: ModuleView(name) for name in NAMES}
        noise, hidden = event.dp != "off", event.sharing != "none"
        why = "the topology file asks for none"
        self._views["privacy"] = ModuleView(
            "privacy", "running" if noise else "off", "" if noise else why, {"dp": event.dp}, event.at
        )
        self._views["sharing"] = ModuleView(
            "sharing", "running" if hidden else "off", "" if hidden else why, {"sharing": event.sharing}, event.at
        )

    def change(self, event: journal.ModuleChanged) -> None:
        """It works in another way now. Without settings those told before stay in force."""
        settings = {plain(key, NAME_MAX): _setting(value) for key, value in list(event.settings.items())[:SETTINGS_MAX]}
        before = self._views[event.module]
        self._views[event.module] = ModuleView(
            event.module, event.status, plain(event.reason, TEXT_MAX), settings or before.settings, event.at
        )

    def spend(self, event: journal.PrivacySpent) -> None:
        """Noise still hides what left the node, but the node takes no part any more."""
        privacy = self._views["privacy"]
        self._views["privacy"] = replace(privacy, status="degraded", reason=plain(event.reason, TEXT_MAX), at=event.at)


def _setting(value: Setting) -> Setting:
    return plain(value, TEXT_MAX) if isinstance(value, str) else value
