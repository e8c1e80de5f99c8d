"""Names and figures cut to a width of terminal cells, so that columns stand straight whatever a name is made of."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size

from node.words import plain


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells: cut with … or filled with spaces, on the left where `right`."""
    if width <= 0:
        return ""
    text = plain(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else "…"
    return " " * (width - length) + text if right else text + " " * (width - length)


def clock(at: float | None) -> str:
    """Time of day in UTC, as logs have it."""
    return "--:--:--" if at is None else datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def remaining(seconds: float) -> str:
    """75 → 1:15, 4000 → 1:06:40: a clock that runs down."""
    whole = max(0, int(seconds + 0.5))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.9412 → 94.1 %"""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def epsilon(value: float | None) -> str:
    """3.9999 → 4.00"""
    return "–" if value is None else f"{value:.2f}"
