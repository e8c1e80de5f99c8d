"""Screen 3: the list, and the peer under the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from node.console.desk import Scene
from node.console.drawing.ink import Ink
from node.console.orders import Order
from node.console.pane import Pane
from node.console.panel import Panel
from node.console.peers.draw import draw_detail, draw_head, draw_peer_line
from node.console.rows import Rows
from node.view import PeerView


class PeersPane(Pane):
    """Worst first: whoever is held something against is not looked for."""

    SCOPED_CSS: ClassVar[bool] = False  # the size of the terminal is a class of the screen
    DEFAULT_CSS = """
    PeersPane #split { layout: vertical; }
    PeersPane #split Rows { height: 1fr; min-height: 6; }
    PeersPane #split #peer { height: 11; }
    .-tall PeersPane #split #peer { height: 26; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "order('quarantine')", "Quarantine"),
        Binding("r", "order('release')", "Release"),
        Binding("v", "order('revoke')", "Revoke"),
        Binding("s", "sort", "Sort"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._peers: list[PeerView] = []
        self._now = 0.0
        self._worst_first = False
        self._last: tuple[Scene, Ink] | None = None

    def compose(self) -> ComposeResult:
        """The panels."""
        with Container(id="split"):
            yield Rows("Peers", "No peer yet: they appear when the node reads its peer list.", id="list")
            yield Panel("Peer", self._detail, id="peer")

    def arrive(self) -> None:
        """The list takes the keys."""
        self.screen.set_focus(self.query_one(Rows))

    @property
    def peer(self) -> PeerView | None:
        """Under the cursor."""
        number = self.query_one(Rows).cursor
        return self._peers[number] if number < len(self._peers) else None

    def show(self, scene: Scene, ink: Ink) -> None:
        """All peers."""
        self._last, self._now = (scene, ink), scene.now
        self._peers = list(scene.peers.values())
        if self._worst_first:
            self._peers.sort(key=lambda peer: (peer.reputation, peer.name))
        rows = self.query_one(Rows)
        order = "worst first" if self._worst_first else "as on the peer list"
        away = sum(peer.verdict in ("quarantined", "evicted") for peer in self._peers)
        rows.entitle(f"Peers · {len(self._peers)}", f"{away} not averaged · {order}")
        rows.fill([peer.name for peer in self._peers], self._line, ink, head=draw_head)
        super().show(scene, ink)

    def _line(self, number: int, width: int, ink: Ink) -> Text:
        return draw_peer_line(self._peers[number], self._now, width, ink)

    def _detail(self, scene: Scene, width: int, height: int, ink: Ink) -> Text:
        return draw_detail(scene, self.peer, width, height, ink)

    def on_rows_moved(self, event: Rows.Moved) -> None:
        """Show the other peer."""
        event.stop()
        self.query_one(Panel).refresh()

    def action_sort(self) -> None:
        """Worst first, or as on the peer list."""
        self._worst_first = not self._worst_first
        if self._last is not None:
            self.show(*self._last)

    def action_order(self, action: str) -> None:
        """Ask whether it is meant, then order it."""
        if self.peer is not None:
            self.post_message(Order.Wanted(Order(action, self.peer.name)))

    def action_copy(self) -> None:
        """The peer's id, by the terminal."""
        if self.peer is not None:
            self.app.copy_to_clipboard(self.peer.peer_id or self.peer.name)
            self.app.notify("Copied its PeerId.", timeout=2)
