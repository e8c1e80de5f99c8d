"""Bars, gauges and sparklines of one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

STEPS: Final = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int, style: str, rest: str) -> Text:
    """`share` of 1 as a bar of `width` cells; the rest of it in the style `rest`."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    text = Text("━" * full, style, no_wrap=True)
    if full < width:
        text.append("╸" if part >= 4 else "━", style if part >= 4 else rest)
        text.append("━" * (width - full - 1), rest)
    return text


def spark(values: Sequence[float], width: int, *, low: float | None = None, high: float | None = None) -> str:
    """The last `width` of `values`, one cell each, between `low` and `high` (their own where not given)."""
    shown = list(values[-width:]) if width > 0 else []
    if not shown:
        return ""
    low = min(shown) if low is None else low
    high = max(shown) if high is None else high
    if high <= low:
        return STEPS[0 if high == 0 else 3] * len(shown)
    places = (round((min(max(value, low), high) - low) / (high - low) * (len(STEPS) - 1)) for value in shown)
    return "".join(STEPS[place] for place in places)


LEVELS: Final = "⠀⡀⡄⡆⡇"


def level(values: Sequence[float], width: int, *, high: float) -> str:
    """The last `width` of `values` between 0 and `high` as thin columns: for what is full most of the time."""
    return "".join(LEVELS[round(min(max(value / high, 0.0), 1.0) * (len(LEVELS) - 1))] for value in values[-width:])
