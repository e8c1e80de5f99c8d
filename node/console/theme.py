"""The two themes: one accent, quiet greys, and red, amber and green for states that their words name too."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

DARK: Final = Theme(
    name="grapevine-dark",
    primary="#b48ef2",
    secondary="#b48ef2",
    accent="#b48ef2",
    warning="#e5b567",
    error="#ef7d7d",
    success="#7fc8a0",
    foreground="#e6e1f0",
    background="#16131d",
    surface="#1c1925",
    panel="#252130",
    dark=True,
    variables={
        "footer-key-foreground": "#b48ef2",
        "footer-background": "#1c1925",
        "border": "#4a4458",
        "block-cursor-background": "#3a2f54",
        "block-cursor-foreground": "#e6e1f0",
        "input-selection-background": "#b48ef2 35%",
    },
)
LIGHT: Final = Theme(
    name="grapevine-light",
    primary="#6a3fc0",
    secondary="#6a3fc0",
    accent="#6a3fc0",
    warning="#9a5b00",
    error="#b3261e",
    success="#1d7a46",
    foreground="#221c2e",
    background="#faf8fd",
    surface="#f1edf7",
    panel="#e7e1f0",
    dark=False,
    variables={
        "footer-key-foreground": "#6a3fc0",
        "footer-background": "#f1edf7",
        "border": "#b9b0c8",
        "block-cursor-background": "#ddd0f5",
        "block-cursor-foreground": "#221c2e",
        "input-selection-background": "#6a3fc0 30%",
    },
)
