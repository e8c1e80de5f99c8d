"""Asks whether an order is meant, and why it is given."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from node.console.orders import Order

REASON_MAX: Final = 200
SECONDS_MAX: Final = 10 * 365 * 86_400.0


class Confirm(ModalScreen[Order | None]):
    """Gives the order back with its reason, None where it was not meant. Nothing happens without a reason."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical {
        width: 64; max-width: 96%; height: auto; padding: 1 2; border: round $primary; background: $surface;
    }
    Confirm Static { height: auto; margin-bottom: 1; }
    Confirm Input { margin-bottom: 1; }
    Confirm #problem { color: $error; height: auto; display: none; }
    Confirm Horizontal { height: auto; align-horizontal: right; }
    Confirm Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "No")]

    def __init__(self, order: Order) -> None:
        super().__init__()
        self._order = order

    def compose(self) -> ComposeResult:
        """Title, consequence, reason, two buttons."""
        with Vertical():
            yield Static(Text(self._order.title, "bold"))
            yield Static(Text(self._order.consequence))
            if self._order.action == "quarantine":
                yield Input(f"{self._order.seconds:g}", placeholder="seconds", id="seconds", max_length=12)
            yield Input(placeholder="why: it is written into the journal", id="reason", max_length=REASON_MAX)
            yield Static("", id="problem")
            with Horizontal():
                yield Button("No (Esc)", id="no")
                yield Button("Yes (Enter)", variant="primary", id="yes")

    def on_mount(self) -> None:
        """The reason is what is wanted first."""
        self.query_one("#reason", Input).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """One of the two."""
        if event.button.id == "yes":
            self._confirm()
        else:
            self.dismiss(None)

    def on_input_submitted(self) -> None:
        """Enter is yes."""
        self._confirm()

    def _confirm(self) -> None:
        reason = self.query_one("#reason", Input).value.strip()
        if not reason:
            self._refuse("Say why: whoever reads the journal will ask.")
            return
        seconds = None
        if self._order.action == "quarantine":
            seconds = _seconds(self.query_one("#seconds", Input).value)
            if seconds is None:
                self._refuse("Give the seconds as a number above 0.")
                return
        self.dismiss(self._order.because(reason, seconds))

    def _refuse(self, problem: str) -> None:
        told = self.query_one("#problem", Static)
        told.update(Text(problem))
        told.styles.display = "block"


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds <= SECONDS_MAX else None
