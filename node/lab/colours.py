"""Colours of the report: safe for colour-blind readers, one set for paper and one for dark screens.

Categorical hues follow Okabe and Ito ("Color Universal Design", 2008) without their yellow, which vanishes on white,
and without vermilion, which is kept for adversaries. No figure tells anything by colour alone.
"""

from __future__ import annotations

NODES_LIGHT = ("#0072b2", "#009e73", "#b8860b", "#a0559a", "#3fa7d6", "#5b6b2f", "#6a51a3", "#7a6a5a")
NODES_DARK = ("#5fb4e8", "#3fcf9f", "#e0b84a", "#dc92d4", "#9adcf5", "#b5c47a", "#b09ae8", "#c4b3a1")
ADVERSARY_LIGHT, ADVERSARY_DARK = "#d55e00", "#ff8a3d"
MANY_LIGHT, MANY_DARK = "#2f7d5b", "#58c093"
"""Where there are more nodes than hues."""

SCALE_LIGHT = ("#f4efcf", "#d3e0a6", "#9fce96", "#63b58f", "#36978b", "#237683", "#235370")
SCALE_DARK = ("#27333f", "#26505f", "#25706f", "#3d9276", "#74b479", "#b3d284", "#e0e79b")
"""Of accuracy, low to high. Lightness changes evenly, so that it reads in grey as well; high stands out on both."""
STEPS = 12
"""Classes s0..s11 that a page has for them."""


def hue(position: int, count: int) -> str:
    """CSS class of the node at `position` among `count` nodes."""
    return f"c{position}" if count <= len(NODES_LIGHT) else "many"


def step(value: float, low: float, high: float) -> int:
    """Which of the `STEPS` classes `value` falls in; outside `low`..`high`, the nearer end."""
    share = (value - low) / (high - low) if high > low else 1.0
    return min(STEPS - 1, max(0, round(share * (STEPS - 1))))


def steps(scale: tuple[str, ...]) -> list[str]:
    """The colours of the classes: `scale` mixed evenly, as #rrggbb."""
    return [_mix(scale, index / (STEPS - 1) * (len(scale) - 1)) for index in range(STEPS)]


def _mix(scale: tuple[str, ...], place: float) -> str:
    index = min(int(place), len(scale) - 2)
    near, far = (bytes.fromhex(colour[1:]) for colour in scale[index : index + 2])
    share = place - index
    return "#" + bytes(round(a * (1 - share) + b * share) for a, b in zip(near, far, strict=True)).hex()


def ink_on(background: str) -> str:
    """Black or white, whichever reads better on #rrggbb (relative luminance of WCAG 2.2)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (byte / 255 for byte in bytes.fromhex(background[1:]))
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Where the contrast with white, 1.05 / (L + 0.05), equals that with black, (L + 0.05) / 0.05.
    return "#ffffff" if luminance < 0.179 else "#111111"
