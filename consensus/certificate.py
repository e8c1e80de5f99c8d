"""What members sign under the sum that they opened, and who signed another one.

A certificate names the sum, and of each member the signed part of it that the signer made the sum of: the digest of
that part and its author's signature, or nothing. So whoever has the same parts sees whether they make that sum, and
whoever has another part of one of those authors sees that its author signed two. An honest member that was told
something else than the others shows by its certificate who told it; **one whose parts do not make its sum has lied**,
however many others did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from consensus.conviction import Certainty, Name
from consensus.notary import Notary
from consensus.private_messages import SIGNATURE_BYTES, Item, Stage
from crypto.commitment import DIGEST_BYTES

_PART_BYTES = DIGEST_BYTES + SIGNATURE_BYTES
_NOTHING = bytes(_PART_BYTES)

Parts = Mapping[int, tuple[bytes, bytes]]
"""By author: the digest of a part of the sum, and the signature under it."""


def certificate_bytes(members: int) -> int:
    """Of the body of an item of CERTIFY."""
    return DIGEST_BYTES + members * _PART_BYTES


class Certificate:
    """Collects items of CERTIFY. `notary` speaks in the context of the decision on the accepted set."""

    def __init__(self, notary: Notary, name: Name) -> None:
        self._notary = notary
        self._name = name
        self._items: dict[int, Item] = {}
        self._settled: set[int] = set()
        self._weighed: dict[int, int] = {}
        """Of how many parts we knew when we last looked."""

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
        """Those of our sum; none before there is one."""
        mine = self.mine
        return {} if mine is None else {a: item for a, item in self._items.items() if _sum(item) == _sum(mine)}

    @property
    def dissent(self) -> set[int]:
        """Who signed another sum than we."""
        return self._items.keys() - self.agreeing.keys()

    def sign(self, digest: bytes, parts: Parts) -> Item:
        """Our item, to be sent to all: the sum with that digest, made of these parts."""
        body = [digest]
        body += [b"".join(parts.get(author, (_NOTHING,))) for author in range(len(self._notary.roster))]
        item = self._items[self._notary.me] = self._notary.item(Stage.CERTIFY, b"".join(body))
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
        elif len(item.body) != certificate_bytes(len(self._notary.roster)):
            self._name(item.author, "signed a certificate that cannot be read", (item,))
        else:
            self._items[item.author] = item
        return ()

    def accuse(self, quorum: int) -> None:
        """Name who signed another sum, once a quorum signed ours."""
        if len(self.agreeing) >= quorum:
            for liar in self.dissent:
                self._name(liar, "signed another sum", ())

    def weigh(self, kind: int, known: Mapping[int, bytes], made: Callable[[Collection[int]], bytes | None]) -> None:
        """Look at what those who signed another sum say that they made it of.

        `known` are the digests of the parts that we have, of that `kind`, by author. `made` gives the digest of the sum
        that the parts of some authors make, empty where they make none; None where we cannot tell.
        """
        if self.mine is None:
            return
        for author in self.dissent - self._settled:
            if self._weighed.get(author) == len(known):
                continue
            self._weighed[author] = len(known)
            parts = _parts(self._items[author])
            if not all(self._signed(one, kind, said, signature) for one, (said, signature) in parts.items()):
                self._convict(author, "signed a certificate over parts of the sum that nobody signed")
                continue
            doubles = {one for one in parts.keys() & known.keys() if known[one] != parts[one][0]}
            for one in doubles:
                self._name(one, "signed two different parts of the sum", (), Certainty.WITNESSED)
            if doubles:
                self._settled.add(author)
            elif parts.keys() <= known.keys() and (digest := made(parts.keys())) is not None:
                if digest != _sum(self._items[author]):
                    self._convict(author, "signed another sum than its own parts make")
                self._settled.add(author)

    def _convict(self, author: int, reason: str) -> None:
        self._settled.add(author)
        self._name(author, reason, (self._items[author],), Certainty.WITNESSED)

    def _signed(self, author: int, kind: int, said: bytes, signature: bytes) -> bool:
        statement = self._notary.portion_statement(author, kind, said)
        return self._notary.verify(self._notary.roster[author], statement, signature)


def _sum(item: Item) -> bytes:
    return bytes(item.body[:DIGEST_BYTES])


def _parts(item: Item) -> Parts:
    body = bytes(item.body[DIGEST_BYTES:])
    cut = [body[start : start + _PART_BYTES] for start in range(0, len(body), _PART_BYTES)]
    return {place: (one[:DIGEST_BYTES], one[DIGEST_BYTES:]) for place, one in enumerate(cut) if one != _NOTHING}
