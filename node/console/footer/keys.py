"""The keys that work here, in one line. Drawn, not made of widgets: a screen is opened without mounting anything."""

from __future__ import annotations

from rich.text import Text

from node.console.drawing.cells import Row, paper_style, rows_of
from node.console.drawing.ink import Ink
from node.console.sheet import Sheet


class Keys(Sheet):
    """What the focused list, its screen and the app are bound to, in this order; what does not fit is in the help."""

    DEFAULT_CSS = "Keys { height: 1; width: 1fr; dock: bottom; }"

    def __init__(self) -> None:
        super().__init__()
        self._ink = Ink()

    def on_mount(self) -> None:
        """Follow the bindings of whatever is focused."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.renew())

    def colour(self, ink: Ink) -> None:
        """Draw with these colours."""
        self._ink = ink
        self.renew()

    def draw(self, width: int, height: int) -> list[Row]:
        """Key and word, as many as there is room for; the palette last."""
        text = Text(" ").append_text(self._line(max(0, width - 2)))
        return rows_of(text, width, height, paper_style(self._ink, self._ink.surface))

    def _line(self, width: int) -> Text:
        active = (bound for bound in self.screen.active_bindings.values() if bound.binding.show and bound.enabled)
        bound = {bound.binding.action: bound.binding for bound in active}  # several keys may do the same
        palette = Text("^p", f"bold {self._ink.accent}").append(" commands", self._ink.dim)
        room = width - palette.cell_len
        line = Text(no_wrap=True)
        for binding in bound.values():
            if binding.action == "command_palette":
                continue
            part = Text(self.app.get_key_display(binding), f"bold {self._ink.accent}")
            part.append(f" {binding.description}  ", self._ink.dim)
            if line.cell_len + part.cell_len > room:
                break
            line.append_text(part)
        return line.append(" " * max(0, room - line.cell_len)).append_text(palette)
