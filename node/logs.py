"""The node's log: for people at a terminal, and as JSON lines for programs.

    structlog ──► who and when ──► masked, cut to size ──┬──► STATE/log.jsonl   one object a line, 8 MB × 4
    journal events, by one mapping ──────────────────────┘    the terminal      one line a person reads

The journal is what happened; the log is about it, and may be thrown away. No secret and no payload gets in: what is
named like a secret or looks like one is masked, arrays and bytes are only counted.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from node import journal
from node.view.wording import line_of

FILE: Final = "log.jsonl"
FILE_BYTES: Final = 8_000_000
FILES: Final = 4
MASK: Final = "(masked)"
_TEXT: Final = 500
"""Characters of a value; an exception has more."""
_TRACE: Final = 4000
_FIELDS: Final = 32
_ITEMS: Final = 16
_DEPTH: Final = 3
_SECRET_NAME: Final = re.compile(
    r"secret|passw|private|authori[sz]ation|cookie|credential|token|seed|nonce|(?:^|_)(?:key|share|mask|payload)s?$",
    re.IGNORECASE,
)
_PEER_ID: Final = re.compile(r"12D3Koo[1-9A-HJ-NP-Za-km-z]{45}")
_TOKEN: Final = re.compile(r"gv_[0-9A-Za-z]+_[0-9A-Za-z_-]+|-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)
_RUN: Final = re.compile(r"[0-9A-Za-z+_-]{24,}={0,2}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{32,}")
_BASE64: Final = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z]).*")


class _Lines(RotatingFileHandler):
    """A file that its owner alone may read. One that cannot be written is no reason to stop a node."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        super().__init__(path, maxBytes=file_bytes, backupCount=FILES - 1, encoding="utf-8", errors="replace")
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            torn = end > 0 and (file.seek(end - 1), file.read(1))[1] != b"\n"
        if torn:
            self.stream.write("\n")  # a line that kill -9 cut short stays one bad line

    def _open(self) -> TextIO:  # type: ignore[override]  # of text it is
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - logging's names
        """As above: a full disk is told by whoever needs it. What could not be written is not kept either."""
        with suppress(OSError):
            self.stream.close()
        self.stream = None  # type: ignore[assignment]  # opened again with the next line


@contextmanager
def open_log(state: Path, node: str, terminal: TextIO | None, *, file_bytes: int = FILE_BYTES) -> Iterator[None]:
    """Have all that is logged in this process written to `state`/log.jsonl, and to `terminal` where there is one."""
    handler = _Lines(state / FILE, file_bytes)
    render = structlog.processors.JSONRenderer(sort_keys=True, default=str)

    def to_file(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        handler.handle(logging.makeLogRecord({"msg": "%s", "args": (render(logger, name, dict(event)),)}))
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            guarded,
            to_file,
            _shown if terminal is None else _for_people,
            *([] if terminal is None else [structlog.dev.ConsoleRenderer(colors=terminal.isatty())]),
        ],
        logger_factory=structlog.PrintLoggerFactory(terminal or sys.stderr),
    )
    try:
        with structlog.contextvars.bound_contextvars(node=node):
            yield
    finally:
        structlog.reset_defaults()
        handler.close()


def _shown(_logger: WrappedLogger, _name: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


def _for_people(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    if event["level"] == "debug":
        raise structlog.DropEvent
    return {key: value for key, value in event.items() if key not in ("kind", "id")}


def log_event(event: journal.Event, id: int) -> None:  # noqa: A002 - the glossary's word
    """A journal event as a line of the log. For `Feed.attach`."""
    line = line_of(event, id)
    fields = {"kind": line.kind, "id": id, "round": line.round, "peer": line.peer}
    log = structlog.get_logger().bind(**{key: value for key, value in fields.items() if value is not None})
    getattr(log, line.level)(line.text)


# --- what may be in it ------------------------------------------------------------------------------------------------


def guarded(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Nothing secret, nothing long, nothing that could drive a terminal."""
    return _fields(event, 0)


def _fields(values: Mapping[str, object], depth: int) -> dict[str, object]:
    return {
        _text(key, 50): MASK
        if _SECRET_NAME.search(key)
        else _value(value, _TRACE if key == "exception" else _TEXT, depth)
        for key, value in list(values.items())[:_FIELDS]
    }


def _value(value: object, limit: int, depth: int) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str() | Path() | BaseException():
            return _text(str(value), limit)
        case bytes() | bytearray() | memoryview():
            return f"({len(value)} bytes)"
        case Mapping() if depth < _DEPTH:
            return _fields({str(key): item for key, item in list(value.items())[:_FIELDS]}, depth + 1)
        case list() | tuple() if depth < _DEPTH:
            return [_value(item, limit, depth + 1) for item in value[:_ITEMS]]
    return f"({type(value).__name__})"  # an array, a model: whatever it is, it is not for people


def _text(text: str, limit: int) -> str:
    masked = _RUN.sub(_unless_public, _TOKEN.sub(MASK, text[: 4 * limit]))
    shown = "".join(
        c if c.isprintable() or (c == "\n" and limit == _TRACE) else "\N{REPLACEMENT CHARACTER}" for c in masked
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _unless_public(run: re.Match[str]) -> str:
    """A run of letters and figures, masked where it may be a key in base 16 or 64."""
    text = run[0]
    secret = _HEX.search(text) or _BASE64.fullmatch(text)
    return MASK if secret and not _PEER_ID.fullmatch(text) else text
