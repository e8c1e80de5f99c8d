"""The end of the node's log, from its files: what is asked for and no more, of the newest megabyte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
MOST_BYTES: Final = 1 << 20
"""Read for one answer: a search through all that the log keeps would hold up the rounds."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """STATE/log.jsonl and the older STATE/log.jsonl.1, …: one JSON object a line."""

    path: Path

    def read(self, *, level: str, search: str, since: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """At most `limit` records, oldest first, of `level` or above, at `since` (ISO 8601, UTC) or after, with
        `search` somewhere in their text, letter case aside; and whether that is all there are.
        """
        found: list[dict[str, Any]] = []
        wanted = frozenset(LEVELS[LEVELS.index(level) :])
        needle, left = search.casefold(), MOST_BYTES
        for path in self._newest_first():
            lines, size = _tail(path, left)
            for line in reversed(lines):
                record = _record(line)
                if record is None or record["level"] not in wanted:
                    continue
                if record["timestamp"] < since:
                    return found[::-1], True
                if not needle or needle in json.dumps(record, ensure_ascii=False).casefold():
                    if len(found) == limit:
                        return found[::-1], False
                    found.append(record)
            left -= size
            if left < 0:  # the beginning of this file was not read: what is in older ones does not join on
                return found[::-1], False
        return found[::-1], True

    def _newest_first(self) -> Iterator[Path]:
        yield self.path
        for number in range(1, 10):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if not older.exists():
                return
            yield older


def _tail(path: Path, most_bytes: int) -> tuple[list[bytes], int]:
    """The last complete lines of a file, at most `most_bytes` of them, and how long it is; of a missing file, none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most_bytes))
            lines = file.read(most_bytes).split(b"\n")
    except FileNotFoundError:
        return [], 0
    return lines[1:-1] if size > most_bytes else lines[:-1], size


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    sound = isinstance(record, dict) and all(
        isinstance(record.get(key), str) for key in ("timestamp", "level", "event")
    )
    return record if sound and record["level"] in LEVELS else None
