"""What all nodes said to all about one epoch, passed on over the edges of the graph, bounded for each origin.

A node that hears a rumour for the first time passes it on to those of its neighbours that are not neighbours of the
one it came from: they have it from there, and a complete graph would be flooded n² times otherwise. Whatever is lost,
or kept back by a liar, comes with the next inventory: neighbours tell each other what they hold, and send what the
other lacks. So rumours of honest nodes reach all honest nodes that hang together through honest ones.
"""

from __future__ import annotations

import hashlib
import struct

from consensus.adjacency import Adjacency
from consensus.beacon_messages import RUMOURS_EACH, Inventory, Rumour
from consensus.private_messages import Body
from consensus.signer import Signer
from crypto.commitment import digest
from crypto.identity import PeerId

_BYTES_EACH = 2**20
"""Of the bodies of one origin: some forty bundles of 128 nodes."""
_REPLY_BYTES = 2**18
"""What one inventory is answered with at most; the next one gets the rest."""


class Rumours:
    """Those of one epoch, as node `me` of `order` holds them. `swarm` is the topology's digest."""

    def __init__(
        self, epoch: int, me: int, order: tuple[PeerId, ...], graph: Adjacency, swarm: bytes, signer: Signer
    ) -> None:
        self.epoch = epoch
        self._me = me
        self._order = order
        self._graph = graph
        self._swarm = swarm
        self._signer = signer
        self._held: list[dict[int, Rumour]] = [{} for _ in order]
        self._bytes = [0] * len(order)

    def post(self, body: bytes) -> Rumour | None:
        """Our next rumour; None once we said as much as anybody may."""
        sequence = len(self._held[self._me])
        if not self._room(self._me, sequence, body):
            return None
        rumour = Rumour(
            self.epoch, self._me, sequence, self._signer.sign(self._statement(self._me, sequence, body)), body
        )
        self._keep(rumour)
        return rumour

    def hear(self, rumour: Rumour) -> bool:
        """Whether it is news: of this epoch, in its origin's hand, within bounds, and not known yet.

        Of two that an origin gave one number the first is kept. Our own come back as no news.
        """
        origin, sequence = rumour.origin, rumour.sequence
        if rumour.epoch != self.epoch or not 0 <= origin < len(self._order) or origin == self._me:
            return False
        if sequence in self._held[origin] or not self._room(origin, sequence, rumour.body):
            return False
        statement = self._statement(origin, sequence, rumour.body)
        if not self._signer.verify(self._order[origin], statement, rumour.signature):
            return False
        self._keep(rumour)
        return True

    def onward(self, via: int, rumour: Rumour) -> list[int]:
        """The neighbours to pass on to what came from neighbour `via`."""
        served = {via, rumour.origin, *self._graph.of(via).tolist()}
        return [node for node in self._graph.of(self._me).tolist() if node not in served]

    def inventory(self) -> Inventory:
        """What we hold."""
        words = (sum(1 << sequence for sequence in held) for held in self._held)
        return Inventory(self.epoch, struct.pack(f">{len(self._order)}Q", *words))

    def missing(self, inventory: Inventory) -> list[Rumour]:
        """What the sender of `inventory` lacks, as far as one answer goes; nothing for one of another length."""
        if len(inventory.body) != 8 * len(self._order):
            return []
        found: list[Rumour] = []
        left = _REPLY_BYTES
        for word, held in zip(struct.unpack(f">{len(self._order)}Q", inventory.body), self._held, strict=True):
            for sequence, rumour in held.items():
                if not word >> sequence & 1 and left > 0:
                    found.append(rumour)
                    left -= len(rumour.body)
        return found

    def heard_of(self) -> frozenset[int]:
        """Who said anything."""
        return frozenset(origin for origin, held in enumerate(self._held) if held)

    def all(self) -> list[Rumour]:
        """Everything held, by origin and sequence."""
        return [held[sequence] for held in self._held for sequence in sorted(held)]

    def _room(self, origin: int, sequence: int, body: Body) -> bool:
        return 0 <= sequence < RUMOURS_EACH and self._bytes[origin] + len(body) <= _BYTES_EACH

    def _keep(self, rumour: Rumour) -> None:
        self._held[rumour.origin][rumour.sequence] = rumour
        self._bytes[rumour.origin] += len(rumour.body)

    def _statement(self, origin: int, sequence: int, body: Body) -> bytes:
        author = self._order[origin]
        return digest("grapevine rumour v1", self._swarm, self.epoch, author, sequence, hashlib.sha256(body).digest())
