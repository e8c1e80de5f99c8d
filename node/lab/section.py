"""What a section of the report page is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDE, HALF = (1080.0, 380.0), (520.0, 330.0)
"""Width and height of a drawing."""


@dataclass(frozen=True, slots=True)
class Table:
    """The figures behind a drawing. The first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """`narrow` replaces `figure` on small screens; `half` sections may share a row."""

    key: str
    title: str
    lead: str
    figure: Markup | None = None
    narrow: Markup | None = None
    table: Table | None = None
    table_open: bool = False
    text: str = ""
    half: bool = True


def shortened(count: int, limit: int) -> str:
    """What stands under a table that is cut off."""
    return f"The first {limit} of {count}; report.json has all." if count > limit else ""
