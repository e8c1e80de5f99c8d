"""The items of one stage: who said what, who said two things, and what may be voted for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from consensus.conviction import Name
from consensus.notary import Notary, value_of
from consensus.private_messages import Item, Stage

Check = Callable[[int, Item], str | None]
"""(author, item) → what is wrong with its body, None if nothing."""


class Pool:
    """Collects items. Before `open` it cannot tell which are good."""

    def __init__(self, notary: Notary, stage: Stage, name: Name, largest: int | None = None) -> None:
        self._notary = notary
        self._stage = stage
        self._name = name
        self._largest = largest
        self._heard: dict[int, Item] = {}
        self._check: Check | None = None
        self._least = 0
        self.equivocators: set[int] = set()
        """Who signed two different items: nobody asks for either any more."""
        self.items: dict[int, Item] = {}
        """The good ones, by author."""
        self.contents: dict[bytes, Mapping[int, Item]] = {}
        """What values stand for, of bundles that may be voted for."""

    def open(self, mine: Item | None, least: int, check: Check) -> None:
        """From now on items are checked. A bundle that may be voted for has `least` items or more."""
        self._check, self._least = check, least
        if mine is not None:
            self._heard[mine.author] = mine
        for item in list(self._heard.values()):
            self._admit(item, check)

    def close(self) -> None:
        """The stage is decided. What comes from now on is not judged any more: what is asked of whom has changed since,
        and who is late is no liar. Two different items of one author still convict it.
        """
        self._check = None
        self.contents.clear()

    @property
    def mine(self) -> tuple[Item, ...]:
        """Our own item, if there is one."""
        return tuple(item for item in self._heard.values() if item.author == self._notary.me)

    def hear(self, peer: int, item: Item) -> tuple[Item | None, tuple[Item, ...]]:
        """Take an item that `peer` sent or passed on.

        Gives it as its author signed it, None if it did not; and both items of an author that thereby equivocates.
        """
        known = self._heard.get(item.author)
        if known is not None and known.body == item.body:
            return known, ()
        if self._largest is not None and len(item.body) > self._largest:
            self._name(
                peer, f"passes on an item of stage {self._stage.name} larger than any that an honest member signs", ()
            )
            return None, ()
        if not self._notary.wrote(item):
            self._name(peer, f"passes on an item of stage {self._stage.name} that its author did not sign", ())
            return None, ()
        if known is None:
            self._heard[item.author] = item
            if self._check is not None:
                self._admit(item, self._check)
        elif item.author not in self.equivocators:
            self.equivocators.add(item.author)
            self._name(item.author, f"signed two different items of stage {self._stage.name}", (known, item))
            return item, (known, item)
        return item, ()

    def learn(self, items: Mapping[int, Item]) -> bytes | None:
        """The value of a bundle that may be voted for, kept under it; None for another."""
        if len(items) < self._least or not all(self._good(author, item) for author, item in items.items()):
            return None
        value = value_of(self._stage, items)
        self.contents[value] = dict(items)
        return value

    def _admit(self, item: Item, check: Check) -> None:
        wrong = check(item.author, item)
        if wrong is None:
            self.items[item.author] = item
        else:
            self._name(item.author, f"stage {self._stage.name}: {wrong}", (item,))

    def _good(self, author: int, item: Item) -> bool:
        known = self.items.get(author)
        if known is not None and known.body == item.body:
            return True
        return self._notary.wrote(item) and self._check is not None and self._check(author, item) is None
