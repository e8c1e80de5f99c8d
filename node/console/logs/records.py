"""Records of a node's log as lines, beside those of its journal's events.

A log has all that the journal tells, and more: who asked the API for what, what was refused, what went wrong in the
process. What both tell is shown once, as the journal has it. Whoever wrote a record may be no node: all is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from heapq import merge
from typing import Any, Final

from node.view.read_models import NAME_MAX, TEXT_MAX, Level, LogLine
from node.words import plain

KIND: Final = "log"
"""Of the lines that no event is behind."""
RECORDS_MAX: Final = 1024
FIELDS_MAX: Final = 8
LEVELS: Final[dict[str, Level]] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "critical": "error",
}
_TOLD: Final = frozenset(("timestamp", "level", "event", "node", "round"))
"""Fields that are no part of the text: the line has its time, its level and its node elsewhere."""


def repeats_event(record: dict[str, Any]) -> bool:
    """Whether it is an event of the journal told again."""
    return isinstance(record.get("kind"), str) and isinstance(record.get("id"), int)


def line_of(record: object, number: int) -> LogLine | None:
    """The line of a record; None for what is none, or an event."""
    if not isinstance(record, dict) or repeats_event(record):
        return None
    stamp, level, event = (record.get(key) for key in ("timestamp", "level", "event"))
    if not (isinstance(stamp, str) and isinstance(event, str) and isinstance(level, str) and level in LEVELS):
        return None
    at = _seconds(stamp)
    if at is None:
        return None
    more = [_field(key, value) for key, value in record.items() if key not in _TOLD][:FIELDS_MAX]
    text = plain("  ".join((event[:TEXT_MAX], *more)), TEXT_MAX)
    number_of_round, peer = record.get("round"), record.get("peer")
    return LogLine(
        id=number,
        at=at,
        level=LEVELS[level],
        kind=KIND,
        text=text,
        round=number_of_round if isinstance(number_of_round, int) else None,
        peer=plain(peer, NAME_MAX) if isinstance(peer, str) else None,
    )


def _field(key: str, value: object) -> str:
    return f"{key[:NAME_MAX]}={value[:TEXT_MAX] if isinstance(value, str) else str(value)[:TEXT_MAX]}"


def _seconds(stamp: str) -> float | None:
    """On the wall clock."""
    try:
        at = datetime.fromisoformat(stamp)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class Records:
    """The last `RECORDS_MAX` lines of one node's log."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=RECORDS_MAX)
        self.total = 0
        """Lines so far; also the id of the newest."""

    def add(self, record: object) -> bool:
        """Take the next record; False where it says nothing that is not known."""
        line = line_of(record, self.total + 1)
        if line is None:
            return False
        self._lines.append(line)
        self.total += 1
        return True

    @property
    def dropped(self) -> int:
        """How many older lines there were."""
        return self.total - len(self._lines)

    def among(self, events: Iterable[LogLine]) -> tuple[LogLine, ...]:
        """All lines and those of `events`, by time."""
        return tuple(merge(events, self._lines, key=lambda line: line.at))
