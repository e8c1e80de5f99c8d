"""Screen 3: the list, and the peer under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from node.console.desk import Scene
from node.console.drawing.boxes import Box, Share
from node.console.drawing.ink import Ink
from node.console.orders import Order
from node.console.pane import TALL, ListPane
from node.console.panel import Panel, Part
from node.console.peers.draw import draw_detail, draw_head, draw_peer_line
from node.console.rows import Rows
from node.view import PeerView


class PeersPane(ListPane):
    """The list above, the peer under the cursor below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "order('quarantine')", "Quarantine"),
        Binding("r", "order('release')", "Release"),
        Binding("v", "order('revoke')", "Revoke"),
        Binding("s", "sort", "Sort"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(Rows("Peers", "No peer yet: they appear when the node reads its peer list."), id=id)
        self._peers: list[PeerView] = []
        self._now = 0.0
        self._worst_first = False
        self._detail = Panel("Peer", self._draw_detail)

    def places(self, room: Box) -> Sequence[tuple[Part, Box]]:
        """As `Pane.places`."""
        return list(
            zip((self.rows, self._detail), room.down(Share(least=6), 26 if room.height >= TALL else 11), strict=True)
        )

    @property
    def peer(self) -> PeerView | None:
        """Under the cursor."""
        number = self.rows.cursor
        return self._peers[number] if number < len(self._peers) else None

    def prepare(self, scene: Scene) -> None:
        """All peers."""
        self._now = scene.now
        self._peers = list(scene.peers.values())
        if self._worst_first:
            self._peers.sort(key=lambda peer: (peer.reputation, peer.name))
        order = "worst first" if self._worst_first else "as on the peer list"
        away = sum(peer.verdict in ("quarantined", "evicted") for peer in self._peers)
        self.rows.title, self.rows.subtitle = f"Peers · {len(self._peers)}", f"{away} not averaged · {order}"
        self.rows.fill([peer.name for peer in self._peers], self._line, head=draw_head)

    def _line(self, number: int, width: int, ink: Ink) -> Text:
        return draw_peer_line(self._peers[number], self._now, width, ink)

    def _draw_detail(self, scene: Scene, width: int, height: int, ink: Ink) -> Text:
        return draw_detail(scene, self.peer, width, height, ink)

    def action_sort(self) -> None:
        """Worst first, or as on the peer list."""
        self._worst_first = not self._worst_first
        self.again()

    def action_order(self, action: str) -> None:
        """Ask whether it is meant, then order it."""
        if self.peer is not None:
            self.post_message(Order.Wanted(Order(action, self.peer.name)))

    def action_copy(self) -> None:
        """The peer's id, by the terminal."""
        if self.peer is not None:
            self.app.copy_to_clipboard(self.peer.peer_id or self.peer.name)
            self.app.notify("Copied its PeerId.", timeout=2)
