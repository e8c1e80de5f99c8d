"""The opening of a short sum: holders tell everybody their shares of it, and everybody decodes.

That costs (m − 1) / ℓ words a parameter, where `private_opening` costs (m − 1) / (mℓ) + (m − 1) / m; and one wave of
messages before the certificate in place of three. Where a share is a few kilobytes the waves are what takes time.

Nothing more is told than there: whoever misses a run may fetch all holders' shares of it, so that the shares of the sum
are no secret among members. A share is signed in the context of the decision that fixed the accepted set, which is
unique, so that a member opens once a round. Each member decodes from the shares that it was sent, as long as they are
t + ℓ + e or more, and so notices e lies whoever is absent. A share that is off is passed on: who was sent another one
by the same holder, or none, then sees what that holder signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

import numpy as np

from consensus.certificate import Certificate
from consensus.conviction import Certainty, Name, located
from consensus.notary import Notary
from consensus.private_messages import Fetch, Item, Portion, PortionKind, PrivateMessage, Stage
from consensus.private_runs import OTHER_SUM, elements, other_sum
from consensus.private_terms import PrivateTerms
from crypto.decoding import Opened, open_shares
from crypto.field import Signed, Vector, to_signed
from crypto.randomness import SEED_BYTES, Stream

_WORD = np.dtype("<u4")
_WAVES = 3
"""Deadlines until an opening is given up: shares, evidence, the certificate."""

Outgoing = tuple[int | None, PrivateMessage]


class DirectOpening:
    """Opens one sum. `notary` speaks in the context of the decision on the accepted set."""

    def __init__(
        self,
        terms: PrivateTerms,
        notary: Notary,
        holders: Collection[int],
        mine: Vector | None,
        randbytes: Callable[[int], bytes],
        name: Name,
        now: float,
    ) -> None:
        """`mine` is our share of the sum (G,), None if we lack a dealer's."""
        self._terms = terms
        self._notary = notary
        self._holders = frozenset(holders)
        self._randbytes = randbytes
        self._name = name
        self._began = now
        self._shares: dict[int, Vector] = {}
        self._portions: dict[int, Portion] = {}
        self._double: set[int] = set()
        self._tried = 0
        self._certifies = mine is not None and notary.me in self._holders
        self._signed = Certificate(notary, name)
        self.total: Signed | None = None
        """The sum (d,), in lattice units."""
        self._out: list[Outgoing] = []
        if mine is not None and self._certifies:
            body = mine.astype(_WORD, copy=False).view(np.uint8).data
            self._shares[notary.me] = mine
            self._portions[notary.me] = notary.portion(notary.me, PortionKind.SHARE, body)
            self._out.append((None, self._portions[notary.me]))

    def answer(self, peer: int, _part: int, stage: int) -> list[Outgoing]:
        """What a member that fetches from the opening is sent."""
        certificate, share = self._signed.mine, self._portions.get(self._notary.me)
        out: list[Outgoing] = [] if certificate is None else [(peer, certificate)]
        return out if stage != Stage.CHECK or share is None else [*out, (peer, share)]

    def hear_portion(self, peer: int, portion: Portion) -> None:
        """Take a share of the sum, or evidence of a wrong one."""
        author = portion.author
        if author == self._notary.me:
            return
        if author not in self._holders or portion.owner != author or portion.kind != PortionKind.SHARE:
            self._name(peer, "sends a part of the sum that is not its to send", ())
            return
        known = self._portions.get(author)
        if known is not None and known.body == portion.body:
            return
        if not self._notary.signed_portion(portion, hashlib.sha256(portion.body).digest()):
            self._name(peer, OTHER_SUM, (), other_sum(self._terms))
            return
        words = elements(portion.body, self._terms.packing.columns(self._terms.size))
        if words is None:
            self._name(author, "signed a part of the sum of the wrong length or form", (), Certainty.WITNESSED)
        elif known is None:
            self._shares[author], self._portions[author] = words, portion
        elif author not in self._double:
            self._double.add(author)
            self._name(author, "signed two different shares of the sum", (), Certainty.WITNESSED)
            self._out += [(None, known), (None, portion)]

    def hear_item(self, peer: int, item: Item) -> None:
        """Take the certificate of a member."""
        if item.stage == Stage.CERTIFY:
            self._out += [(None, one) for one in self._signed.hear(peer, item)]

    def advance(self, now: float, away: Collection[int]) -> list[Outgoing]:
        """Do what can be done now."""
        ready = self.total is not None or self._waves(now) >= 1 or self._shares.keys() >= self._holders - set(away)
        if ready and len(self._shares) > self._tried:
            self._decode()
        self._signed.accuse(self._terms.quorum.size)
        if self._signed.dissent:
            said = {author: hashlib.sha256(portion.body).digest() for author, portion in self._portions.items()}
            self._signed.weigh(PortionKind.SHARE, said, self._made)
        out, self._out = self._out, []
        return out

    def _decode(self) -> None:
        """Once more when another share came after all: it may be a lie. Of fewer than `least_holders` shares, t that
        conspire could make a sum up.
        """
        self._tried = len(self._shares)
        if self._tried < self._terms.least_holders:
            return
        opened = open_shares(self._terms.packing, self._shares, Stream(self._randbytes(SEED_BYTES), "opening"))
        if opened is None:
            return
        packing, bound = self._terms.packing, self._terms.quorum.bound
        certainty = located(len(self._shares), packing.degree, len(opened.liars), bound)
        for liar in opened.liars:
            self._name(liar, "signed a wrong share of the sum", (), certainty)
            self._out.append((None, self._portions[liar]))
        if self.total is None:
            self.total = to_signed(opened.secrets.reshape(-1)[: self._terms.size])
            if self._certifies:
                parts = {a: (hashlib.sha256(one.body).digest(), one.signature) for a, one in self._portions.items()}
                self._out.append((None, self._signed.sign(_digest(opened), parts)))

    def _made(self, authors: Collection[int]) -> bytes:
        """The digest of the sum that the shares of these members make; empty where they make none."""
        if len(authors) < self._terms.least_holders:
            return b""
        shares = {author: self._shares[author] for author in authors}
        opened = open_shares(self._terms.packing, shares, Stream(self._randbytes(SEED_BYTES), "opening"))
        return b"" if opened is None else _digest(opened)

    def closed(self, now: float, away: Collection[int]) -> bool:
        """Whether nothing more is to be waited for."""
        if self._waves(now) >= _WAVES:
            return True
        enough = len(self._signed.heard) >= len(self._holders)
        return self.total is not None and enough and not self.missing(away)

    def missing(self, away: Collection[int]) -> set[int]:
        """Holders that have not said all that they have to."""
        return set(self._holders) - set(away) - self._signed.heard

    def wake_at(self, now: float) -> float:
        """When to call `advance` if nothing happens."""
        return self._began + min(self._waves(now) + 1, _WAVES) * self._terms.deadline_s

    def _waves(self, now: float) -> int:
        """How many deadlines have passed."""
        return sum(now >= self._began + wave * self._terms.deadline_s for wave in range(1, _WAVES + 1))

    @property
    def certificate(self) -> dict[int, Item]:
        """Signatures under the sum that we have."""
        return self._signed.agreeing

    def fetch_again(self) -> list[Outgoing]:
        """Ask for what is missing once more."""
        stage = Stage.CHECK if self.total is None else Stage.CERTIFY
        return [(None, Fetch(self._notary.number, stage, 0))]


def _digest(opened: Opened) -> bytes:
    return hashlib.sha256(opened.secrets.reshape(-1).astype(_WORD, copy=False).tobytes()).digest()
