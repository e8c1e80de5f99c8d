"""What members sign under the sum that they opened, and who signed another one."""

from __future__ import annotations

from collections.abc import Callable

from consensus.notary import Notary
from consensus.private_messages import Item, Stage

Name = Callable[[int, str, tuple[Item, ...]], None]


class Certificate:
    """Collects items of CERTIFY. `notary` speaks in the context of the decision on the accepted set."""

    def __init__(self, notary: Notary, name: Name) -> None:
        self._notary = notary
        self._name = name
        self._items: dict[int, Item] = {}

    @property
    def mine(self) -> Item | None:
        """Ours, once we have a sum."""
        return self._items.get(self._notary.me)

    @property
    def heard(self) -> set[int]:
        """Who signed any sum."""
        return set(self._items)

    @property
    def agreeing(self) -> dict[int, Item]:
        """The signatures under our sum; none before there is one."""
        mine = self.mine
        return {} if mine is None else {a: item for a, item in self._items.items() if item.body == mine.body}

    @property
    def dissent(self) -> set[int]:
        """Who signed another sum than we."""
        return self._items.keys() - self.agreeing.keys()

    def sign(self, digest: bytes) -> Item:
        """Our item, to be sent to all."""
        item = self._items[self._notary.me] = self._notary.item(Stage.CERTIFY, digest)
        return item

    def hear(self, peer: int, item: Item) -> tuple[Item, ...]:
        """Take an item that `peer` sent or passed on; gives two that all should see."""
        known = self._items.get(item.author)
        if known is not None and known.body == item.body:
            return ()
        if not self._notary.wrote(item):
            self._name(peer, "passes on an item of the opening that its author did not sign", ())
        elif known is not None:
            self._name(item.author, f"signed two different items of stage {Stage.CERTIFY.name}", (known, item))
            return () if item.author == peer else (known, item)
        else:
            self._items[item.author] = item
        return ()

    def accuse(self, quorum: int) -> None:
        """Name who signed another sum, once a quorum signed ours."""
        if len(self.agreeing) >= quorum:
            for liar in self.dissent:
                self._name(liar, "signed another sum", ())
