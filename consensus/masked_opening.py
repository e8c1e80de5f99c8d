"""Who sums which fragment of a masked round, with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TypeAlias

import numpy as np

from consensus.masked_messages import Masked, Revealed, Summed
from consensus.masked_terms import MaskedTerms, Unmask
from crypto.field import Vector as Words
from crypto.identity import PeerId
from crypto.masks import SHARE_BYTES

Part: TypeAlias = Masked | Revealed | Summed
"""What is about a fragment, or all of them."""


class Opening:
    """The masked fragments, shares and sums that a member has. `roster` and `counted` are empty until decided."""

    def __init__(self, me: PeerId, terms: MaskedTerms) -> None:
        self._me, self._terms = me, terms
        self.roster: tuple[PeerId, ...] = ()
        """Who masks; fragment k is that of the k-th."""
        self.counted: tuple[PeerId, ...] = ()
        """Whose words are summed."""
        self.mine: tuple[bytes, ...] = ()
        """Our own masked fragments."""
        self.sums: dict[int, Summed] = {}
        """What is known of the sum, signed by who summed it."""
        self.left: set[int] = set()
        """Fragments that were left to their takers."""
        self._fragments: dict[int, dict[PeerId, bytes]] = {}
        self._revealed: dict[PeerId, dict[PeerId, bytes]] = {}
        self._asked: set[int] = set()

    @property
    def missing(self) -> set[int]:
        """Fragments of which there is no sum."""
        return set(range(len(self.roster))) - self.sums.keys()

    def owner(self, fragment: int) -> PeerId | None:
        """Who sums a fragment."""
        owner = self.roster[fragment]
        return owner if owner in self.counted else self.taker(fragment)

    def taker(self, fragment: int) -> PeerId | None:
        """Who sums it if its owner does not: the next that counts."""
        order = (*self.roster[fragment + 1 :], *self.roster[:fragment])
        return next((peer for peer in order if peer in self.counted), None)

    def heir(self, fragment: int) -> PeerId:
        """To whom the owner entrusts what it masked itself: the next in the roster."""
        return self.roster[(fragment + 1) % len(self.roster)]

    def hand_out(self, mine: tuple[bytes, ...]) -> list[tuple[int, PeerId]]:
        """Keep our masked fragments; to whom each of them goes."""
        self.mine = mine
        for fragment, body in enumerate(mine):
            self.add_fragment(fragment, self._me, body)
        return [(k, self.heir(k) if owner == self._me else owner) for k, owner in enumerate(self.roster)]

    def leave(self, gone: Set[PeerId]) -> list[int]:
        """Missing fragments that are left to their takers from now on: of owners that do not count or are `gone`."""
        open_ = sorted(self.missing - self.left)
        left = [k for k in open_ if self.roster[k] not in self.counted or self.owner(k) in gone]
        self.left |= set(left)
        return left

    def senders(self, fragment: int) -> set[PeerId]:
        """Whose masked words of a fragment are here."""
        return self._fragments.get(fragment, {}).keys() | {self._me}

    def take(self, peer: PeerId, message: Part, wrote: Callable[[PeerId, Summed], bool]) -> str | None:
        """Take what `peer` of the roster sent; None, or why no honest member sends it.

        Who counts is part of what is revealed and summed, and the roster is not: a coordinator can tell members of
        different ones. What an honest member of another roster sends is of no use, and the coordinator's fault alone.
        """
        if isinstance(message, Revealed):
            return self._take_shares(peer, message)
        start, end = self._edges(message.fragment)
        fits = message.fragment < len(self.roster) and len(message.body) == 4 * (end - start)
        if isinstance(message, Summed):
            return self._take_sum(message, wrote, fits=fits)
        if not fits:
            return f"fragment {message.fragment} of {len(self.roster)} in {len(message.body)} bytes"
        self.add_fragment(message.fragment, peer, bytes(message.body))
        return None

    def _edges(self, fragment: int) -> tuple[int, int]:
        edges = self._terms.edges(len(self.roster))
        return edges[fragment] if fragment < len(edges) else (0, 0)

    def _take_shares(self, peer: PeerId, message: Revealed) -> str | None:
        count, rest = divmod(len(message.body), SHARE_BYTES)
        if rest or not self._terms.least <= count <= len(self._terms.cell):
            return f"{len(message.body)} bytes, expected {SHARE_BYTES} a member"
        if count == len(self.roster):
            self.add_shares(peer, _cut(message.body))
        return None

    def _take_sum(self, message: Summed, wrote: Callable[[PeerId, Summed], bool], *, fits: bool) -> str | None:
        if message.fragment >= len(self._terms.cell) or len(message.body) % 4:
            return f"fragment {message.fragment} in {len(message.body)} bytes"
        owners = {self.owner(message.fragment), self.taker(message.fragment)} if fits else set()
        if any(wrote(author, message) for author in owners if author is not None):
            self.sums.setdefault(message.fragment, message)
            return None
        if not any(wrote(author, message) for author in self.counted if author not in owners):
            return "is not signed by a member whose fragment it is"
        return None

    def add_fragment(self, fragment: int, peer: PeerId, body: bytes) -> None:
        """Keep masked words; the first of each counts."""
        self._fragments.setdefault(fragment, {}).setdefault(peer, body)

    def add_shares(self, peer: PeerId, shares: Sequence[bytes]) -> None:
        """Keep what `peer` reveals, in the order of the roster; the first word counts."""
        for member, one in zip(self.roster, shares, strict=True):
            self._revealed.setdefault(member, {}).setdefault(peer, one)

    def unmask(self, fragment: int, publics: Mapping[PeerId, bytes]) -> Unmask | None:
        """The job that sums a fragment, once: when it is ours to do and all for it is here."""
        bodies = self._fragments.get(fragment, {})
        if fragment in self._asked or self._me not in (self.owner(fragment), self.taker(fragment)):
            return None
        if not set(self.counted) <= bodies.keys():
            return None
        if min((len(self._revealed.get(peer, ())) for peer in self.roster), default=0) < self._terms.threshold:
            return None
        self._asked.add(fragment)
        place = {peer: index for index, peer in enumerate(self._terms.cell)}
        return Unmask(
            fragment,
            tuple(bodies[peer] for peer in self.counted),
            {place[peer]: publics[peer] for peer in self.roster},
            tuple(place[peer] for peer in self.counted),
            {place[of]: {place[by]: one for by, one in self._revealed[of].items()} for of in self.roster},
            self._terms.threshold,
            self._terms.context,
        )

    def total(self) -> Words:
        """The words (d,) of the sum; nothing may be missing."""
        parts = [np.frombuffer(self.sums[fragment].body, "<u4") for fragment in range(len(self.roster))]
        total: Words = np.concatenate(parts).astype(np.uint32)
        return total

    def forget(self) -> None:
        """Let go of all but the sums, which others may lack."""
        self._fragments.clear()
        self._revealed.clear()


def _cut(body: memoryview | bytes) -> list[bytes]:
    """Shares out of the body of a revelation."""
    return [bytes(body[start : start + SHARE_BYTES]) for start in range(0, len(body), SHARE_BYTES)]
