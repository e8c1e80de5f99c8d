"""Figures and names as a person reads them."""

from __future__ import annotations


def plain(text: str, limit: int = 200) -> str:
    """One printable line of at most `limit` characters.

    Names and reasons come from files: control characters could drive a terminal, and direction marks (U+202E and the
    like) could make a name read as another. Escaping for HTML is left to whoever writes HTML.
    """
    shown = text
    if not text.isprintable():  # seldom, and a character at a time is slow
        shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def accuracy(value: float | None) -> str:
    """0.9412 → 94.1 %"""
    return "–" if value is None else f"{100 * value:.1f} %"


def gain(value: float | None) -> str:
    """A difference of accuracies in percentage points, always signed."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def size(size_bytes: float | None) -> str:
    """1536 → 1.5 kB, decimal units."""
    if size_bytes is None:
        return "–"
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """0.0123 → 12 ms, 75 → 1 min 15 s"""
    if seconds is None:
        return "–"
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def distance(value: float | None) -> str:
    """Three significant digits."""
    return "–" if value is None else f"{value:.3g}"


def count(number: int, noun: str) -> str:
    """1 round, 2 rounds"""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
