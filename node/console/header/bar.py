"""Two lines above every screen: which node, how it is, where events come from; and the tabs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from node.console.desk import Link, Scene
from node.console.drawing.cells import Row, paper_style, rows_of
from node.console.drawing.ink import Ink
from node.console.drawing.marks import NODE_MARKS, node_style, shown_state
from node.console.drawing.words import clock, fit
from node.console.sheet import Sheet
from node.words import duration, plain

LINK_WORDS = {
    "connecting": ("◔", "CONNECTING"),
    "live": ("●", "LIVE"),
    "stale": ("▲", "STALE"),
    "replay": ("▶", "REPLAY"),
    "paused": ("‖", "PAUSED"),
    "ended": ("■", "ENDED"),
}


class Bar(Sheet):
    """The two lines."""

    DEFAULT_CSS = "Bar { height: 2; width: 1fr; }"

    def __init__(self, tabs: Sequence[str]) -> None:
        super().__init__()
        self._tabs = tabs
        self._scene: Scene | None = None
        self._ink = Ink()
        self._active = 0

    def show(self, scene: Scene, ink: Ink, active: int) -> None:
        """Draw them for `scene`, with tab number `active` lit."""
        self._scene, self._ink, self._active = scene, ink, active
        self.renew()

    def draw(self, width: int, height: int) -> list[Row]:
        """The lines, with a blank cell at each end."""
        text, inner = Text(no_wrap=True), max(0, width - 2)
        if self._scene is not None:
            lines = first_line(self._scene, inner, self._ink), self._second(inner)
            text = Text("\n", no_wrap=True).join(Text(" ").append_text(line) for line in lines)
        return rows_of(text, width, height, paper_style(self._ink, self._ink.surface))

    def _second(self, width: int) -> Text:
        line = Text(no_wrap=True)
        roomy = width >= sum(len(tab) + 4 for tab in self._tabs)
        for number, tab in enumerate(self._tabs):
            lit = number == self._active
            style = f"bold {self._ink.accent} reverse" if lit else self._ink.dim
            words = f" {number + 1} {tab} " if roomy or lit else f" {number + 1} {tab[:4]} "
            line.append(words, style)
        return line


def first_line(scene: Scene, width: int, ink: Ink) -> Text:
    """Node and state at the left, source and time at the right."""
    node, desk = scene.overview, scene.desk
    left = Text(no_wrap=True).append("❧ ", ink.accent)
    left.append(fit(desk.current or "no node yet", min(24, len(desk.current) or 11)), f"bold {ink.text}")
    if len(desk.views) > 1:
        left.append(f" [ {list(desk.views).index(desk.current) + 1}/{len(desk.views)} ]", ink.dim)  # the keys for it
    state = shown_state(node)
    mark, word = NODE_MARKS[state]
    left.append(f"  {mark} {word}", f"bold {node_style(state, ink)}")
    if node.rounds:
        left.append(f"  round {node.round}/{node.rounds}", ink.text)
    right = link_text(desk.link, scene, ink)
    room = width - left.cell_len - right.cell_len - 1
    if room > 12:
        where = plain(desk.link.where)
        left.append("  " + (where if len(where) < room - 3 else "…" + where[-(room - 5) :]), ink.dim)
    left.truncate(max(0, width - right.cell_len - 1), overflow="ellipsis", pad=True)
    return left.append(" ").append_text(right)


def link_text(link: Link, scene: Scene, ink: Ink) -> Text:
    """How events come in, and what time it is where they are from."""
    mark, word = LINK_WORDS[link.state]
    style = {"live": ink.good, "stale": ink.bad, "connecting": ink.warn}.get(link.state, ink.accent)
    text = Text().append(f"{mark} {word}", f"bold {style}")
    if link.state == "stale" and scene.overview.last_at is not None:
        text.append(f" {duration(max(0.0, scene.now - link.since))}", style)
    elif link.state in ("replay", "paused"):
        text.append(f" {link.detail}", style)
    at = scene.overview.last_at if link.state == "ended" else scene.now
    return text.append(f"  {clock(at or None)}", ink.dim)
