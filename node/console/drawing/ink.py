"""The few colours of the console, taken from whatever theme is on. None of them ever says something alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.color import Color


@dataclass(frozen=True, slots=True)
class Ink:
    """Rich styles by what they are for."""

    text: str = "#e6e1f0"
    dim: str = "#9a93a8"
    faint: str = "#4a4458"
    accent: str = "#b48ef2"
    good: str = "#7fc8a0"
    warn: str = "#e5b567"
    bad: str = "#ef7d7d"
    edge: str = "#4a4458"
    """Of frames."""
    paper: str = "#16131d"
    """Behind everything; `surface` behind the lines above and below."""
    surface: str = "#1c1925"
    cursor: str = "#3a2f54"
    """Behind the line that keys speak of."""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Ink:
        """From the variables of a theme."""
        paper, ink = Color.parse(variables["background"]), Color.parse(variables["foreground"])
        return cls(
            text=ink.hex6,
            dim=paper.blend(ink, 0.62).hex6,
            faint=paper.blend(ink, 0.28).hex6,
            accent=Color.parse(variables["primary"]).hex6,
            good=Color.parse(variables["success"]).hex6,
            warn=Color.parse(variables["warning"]).hex6,
            bad=Color.parse(variables["error"]).hex6,
            edge=Color.parse(variables["border"]).hex6,
            paper=paper.hex6,
            surface=Color.parse(variables["surface"]).hex6,
            cursor=Color.parse(variables["block-cursor-background"]).hex6,
        )
