"""The app. The CLI and the tests make it with `make_app`.

    source ──batches──► desk (a view a node) ──every PAINT_S, if anything is new──► the pane on the screen

Only what is on the screen is drawn, at most ten times a second, however many events come.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from node.console.desk import Desk, Link
from node.console.dialog.confirm import Confirm
from node.console.drawing.ink import Ink
from node.console.footer.keys import Keys
from node.console.header.bar import Bar
from node.console.help.pane import HelpPane
from node.console.logs.pane import LogsPane
from node.console.model.pane import ModelPane
from node.console.modules.pane import ModulesPane
from node.console.orders import Order
from node.console.overview.pane import OverviewPane
from node.console.pane import Pane
from node.console.peers.pane import PeersPane
from node.console.sources.source import Operator, OrderRefused, Playback, Source
from node.console.swarm.pane import SwarmPane
from node.console.theme import DARK, LIGHT
from node.words import plain

PAINT_S: Final = 0.1
REST: Final = 5.0
"""Times as long as a picture took nothing is drawn after it, unless a key asks for it."""
PANES: Final[tuple[tuple[str, type[Pane]], ...]] = (
    ("Overview", OverviewPane),
    ("Model", ModelPane),
    ("Peers", PeersPane),
    ("Modules", ModulesPane),
    ("Logs", LogsPane),
    ("Swarm", SwarmPane),
    ("Help", HelpPane),
)


class Console(App[None]):
    """Seven screens over one desk."""

    TITLE = "Grapevine"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - textual declares it on the instance
    VERTICAL_BREAKPOINTS = [(0, "-short"), (40, "-tall")]  # noqa: RUF012 - as above
    CSS = """
    Screen { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(f"{number + 1}", f"pane({number})", name, show=False) for number, (name, _) in enumerate(PANES)),
        Binding("left_square_bracket", "node(-1)", "Node before", show=False),
        Binding("right_square_bracket", "node(1)", "Next node", show=False),
        Binding("space", "playback('toggle')", "Play"),
        Binding("plus,equals_sign", "playback('faster')", "Faster", show=False),
        Binding("minus", "playback('slower')", "Slower", show=False),
        Binding("full_stop", "playback('step')", "Step", show=False),
        Binding("backspace", "playback('rewind')", "Rewind", show=False),
        Binding("o", "operate", "Rounds"),
        Binding("t", "theme", "Theme", show=False),
        Binding("7,question_mark", "pane(6)", "Help", key_display="7", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self.desk = Desk(Link(plain(source.where)))
        self._shown: tuple[int, int] = (-1, -1)
        self._ink = Ink()
        self._panes = [pane(id=f"pane-{number}") for number, (_, pane) in enumerate(PANES)]
        self._pane = 0
        self._rest_until = 0.0

    # --- the screen -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Bar, panes, footer."""
        self._bar = Bar([name for name, _ in PANES])
        yield self._bar
        for number, pane in enumerate(self._panes):
            pane.display = number == self._pane  # one of them: a container around them would be painted below it
            yield pane
        self._keys = Keys()
        yield self._keys

    def on_mount(self) -> None:
        """Start the source, and paint."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme_changed_signal.subscribe(self, lambda _theme: self._recolour())
        self.theme = DARK.name
        self._recolour()
        if not self.is_headless:  # whoever ends this process gets the terminal back as it was
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
        self.run_worker(self._source.run(self.desk), name="source", exit_on_error=True)
        self.set_interval(PAINT_S, self.paint)
        self.pane.arrive()

    @property
    def pane(self) -> Pane:
        """On the screen."""
        return self._panes[self._pane]

    def paint(self, *, force: bool = False) -> None:
        """Draw what is new: events, or the second that has passed."""
        now = self.desk.edition, int(self.desk.clock())
        began = time.monotonic()
        if not force and (now == self._shown or began < self._rest_until or self.desk.attention_s > 0):
            return
        self._shown = now
        scene = self.desk.scene()
        self._bar.show(scene, self._ink, self._pane)
        self.pane.show(scene, self._ink)
        self.call_after_refresh(self._painted, began)

    def _painted(self, began: float) -> None:
        # A slow terminal or machine gets fewer pictures: keys and events have the larger part of the time.
        self._rest_until = time.monotonic() + REST * (time.monotonic() - began)

    def _recolour(self) -> None:
        self._ink = Ink.of(self.theme_variables)
        self._keys.colour(self._ink)
        self.paint(force=True)

    # --- keys -------------------------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """What is pressed comes before what is told."""
        if isinstance(event, events.Key):
            self.desk.attend()
        await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that do nothing here are not in the footer."""
        del parameters
        if action == "playback":
            return isinstance(self._source, Playback)
        if action == "node":
            return len(self.desk.views) > 1
        if action == "operate":
            return isinstance(self._source, Operator)
        return True

    def action_pane(self, number: int) -> None:
        """Screen `number`, from 0."""
        with self.batch_update():
            self.pane.display = False
            self._pane = number
            self.desk.reads_log = isinstance(self.pane, LogsPane)
            self.pane.display = True
        self.pane.arrive()
        self.paint(force=True)

    def action_node(self, step: int) -> None:
        """Another node of the run."""
        self.desk.switch(step)
        self.paint(force=True)

    def action_playback(self, what: str) -> None:
        """Steer a replay."""
        if isinstance(self._source, Playback):
            steering = {
                "toggle": self._source.toggle,
                "faster": self._source.faster,
                "slower": self._source.slower,
                "step": self._source.step,
                "rewind": self._source.rewind,
            }
            steering[what]()

    def action_theme(self) -> None:
        """Dark or light."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: screens, nodes, and what textual brings."""
        for number, (name, _) in enumerate(PANES):
            yield SystemCommand(f"Screen {number + 1}: {name}", f"The {name.lower()} screen", self._opener(number))
        for name in self.desk.views if len(self.desk.views) > 1 else ():
            yield SystemCommand(f"Node {plain(name)}", "Show this node", self._chooser(name))
        yield from super().get_system_commands(screen)

    def _opener(self, number: int) -> Any:
        return lambda: self.action_pane(number)

    def _chooser(self, name: str) -> Any:
        def choose() -> None:
            self.desk.show(name)
            self.paint(force=True)

        return choose

    # --- orders -----------------------------------------------------------------------------------------------------

    def action_operate(self) -> None:
        """Pause rounds, or resume them."""
        paused = self.desk.scene().overview.pause_cause == "operator"
        self.post_message(Order.Wanted(Order("resume" if paused else "pause")))

    def on_order_wanted(self, event: Order.Wanted) -> None:
        """Ask; nothing is done without a yes."""
        event.stop()
        if not isinstance(self._source, Operator):
            self.say("This is a journal, and a journal takes no orders: connect to the node's API.", "warning")
            return
        if (why := self._source.deaf()) is not None:
            self.say(why, "warning")
            return
        self.desk.show(self.desk.current)  # nodes that come later do not take its place under the question
        self.push_screen(Confirm(event.order), self._confirmed)

    def _confirmed(self, order: Order | None) -> None:
        if order is not None:
            self.run_worker(self._give(order), group="orders")

    async def _give(self, order: Order) -> None:
        if not isinstance(self._source, Operator):
            return
        try:
            await self._source.order(order)
        except OrderRefused as refused:
            self.say(f"Refused: {refused}", "error")
        else:
            self.say(f"Done: {order.title.rstrip('?')}.", "information")

    def say(self, text: str, severity: Any) -> None:
        """A note at the edge; whatever it quotes is shown as it stands."""
        self.notify(plain(text), severity=severity, timeout=6, markup=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A source that ends by itself is a fault of ours; the app shows it instead of standing still."""
        if event.worker.name == "source" and event.state is WorkerState.SUCCESS:
            self.desk.tell("ended", "the source has ended")


def make_app(source: Source) -> Console:
    """The console over `source`."""
    return Console(source)
