"""What a person may tell a node from the console, in words, before it is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from textual.message import Message

QUARANTINE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Order:
    """One of the controls of a node."""

    action: str
    """pause, resume, quarantine, release, roll-back or revoke."""
    target: str = ""
    """A peer's name, or a version."""
    reason: str = ""
    seconds: float = QUARANTINE_S
    """Of a quarantine."""

    class Wanted(Message):
        """Somebody pressed the key for it; nobody has said yes."""

        def __init__(self, order: Order) -> None:
            super().__init__()
            self.order = order

    @property
    def title(self) -> str:
        """As a question."""
        return f"{QUESTIONS[self.action][0].format(target=self.target)}?"

    @property
    def consequence(self) -> str:
        """What will be so."""
        return QUESTIONS[self.action][1]

    def because(self, reason: str, seconds: float | None = None) -> Order:
        """The order as it was confirmed."""
        return replace(self, reason=reason, seconds=self.seconds if seconds is None else seconds)


QUESTIONS: Final = {
    "pause": ("Pause rounds", "The round under way is finished; none is played until rounds are resumed."),
    "resume": ("Resume rounds", "Rounds go on, if a quorum is present."),
    "quarantine": ("Quarantine {target}", "It stays connected and is heard, but not averaged, for so many seconds."),
    "release": ("Release {target}", "Its quarantine ends now and its probation begins."),
    "roll-back": ("Restore version {target}", "That champion becomes the working model and the champion again."),
    "revoke": ("Revoke {target}", "It is evicted for good, over restarts too. This cannot be taken back here."),
}
"""Action → (what it is called, what it does)."""
