"""What members of a cell sign, and how it is told apart: every statement names the round, the stage and the author."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from consensus.private_messages import Body, Item, Portion, Stage, Vote, digest_of
from crypto.commitment import digest
from crypto.identity import PeerId

Verify: TypeAlias = Callable[[PeerId, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Notary:
    """Signs as member `me` of `roster`, and checks what the others sign, in one round (`context`, `number`)."""

    roster: tuple[PeerId, ...]
    me: int
    number: int
    context: bytes
    sign: Callable[[bytes], bytes]
    verify: Verify
    direct: frozenset[int] = frozenset()
    """Members whose messages come over a channel that proves who speaks: what they say counts at once, and that they
    signed it is checked when it is to be shown to others."""

    def item(self, stage: Stage, body: Body) -> Item:
        """Our item of a stage."""
        return Item(self.number, stage, self.me, self.sign(self._item(stage, self.me, body)), body)

    def vote(self, stage: int, view: int, step: int, value: bytes) -> Vote:
        """Our vote."""
        return Vote(self.number, stage, view, step, value, self.sign(self._vote(stage, view, step, value)))

    def portion(self, owner: int, kind: int, body: Body) -> Portion:
        """Our part of the sum."""
        signature = self.sign(self.portion_statement(owner, kind, hashlib.sha256(body).digest()))
        return Portion(self.number, owner, self.me, kind, signature, body)

    def wrote(self, item: Item) -> bool:
        """Whether the author of an item signed it."""
        return 0 <= item.author < len(self.roster) and self.verify(
            self.roster[item.author], self._item(item.stage, item.author, item.body), item.signature
        )

    def voted(self, author: int, stage: int, view: int, step: int, value: bytes, signature: bytes) -> bool:
        """Whether this is the vote of `author`."""
        return 0 <= author < len(self.roster) and self.verify(
            self.roster[author], self._vote(stage, view, step, value), signature
        )

    def signed_portion(self, portion: Portion, body_digest: bytes) -> bool:
        """Whether its author signed this part of the sum."""
        statement = self.portion_statement(portion.owner, portion.kind, body_digest)
        return self.verify(self.roster[portion.author], statement, portion.signature)

    def portion_statement(self, owner: int, kind: int, body_digest: bytes) -> bytes:
        """What is signed of a part of the sum."""
        return digest("grapevine portion v1", self.context, owner, kind, body_digest)

    def _item(self, stage: int, author: int, body: Body) -> bytes:
        return item_statement(self.context, stage, author, digest_of(body))

    def _vote(self, stage: int, view: int, step: int, value: bytes) -> bytes:
        return digest("grapevine vote v1", self.context, int(stage), view, step, value)


def item_statement(context: bytes, stage: int, author: int, body_digest: bytes) -> bytes:
    """What is signed of an item."""
    return digest("grapevine item v1", context, int(stage), author, body_digest)


def value_of(stage: int, items: Mapping[int, Item]) -> bytes:
    """The digest (32 bytes) that stands for a bundle of items. Signatures are not part of it: a member can sign one
    body in many ways.
    """
    flat: list[bytes | int] = []
    for author, item in sorted(items.items()):
        flat += [author, hashlib.sha256(item.body).digest()]
    return digest("grapevine bundle v1", int(stage), *flat)
