"""The part of a private round in which its members take back what a convict brought to earlier ones.

    COMMIT     each says whose shares it has, of whom it has a proof, and shows one that others can check
    RECALL     each that has a proof of the same member opens its shares of that one's updates (signed, agreed upon)
    NONCE_1    the coin of the round, which nobody knew when it answered, combines the columns that locate liars

Whom a round is about is a function of the items of COMMIT: who is shown to have signed two things, or of whom max(t, e)
+ 1 members say to have a proof, one of them honest; of several, of whom most say it. In either case only somebody of
whom so many say to have shares: who shows an old proof of an accomplice, whose updates are back already or too old to
be taken back, shields nobody, and makes no round longer. A proof that was shown convinces all who saw it from then on.
**A member opens its shares of nobody whose lie is not proved to itself**: members that conspire make a round longer,
and learn nothing. Words of RECALL come with the base that they are about and what the rounds were; those that most
members give alike are decoded, and corrected as far as a sum is. Who has nothing says so, and learns the result all the
same: it is a function of what was agreed on.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from consensus.conviction import Proof
from consensus.equivocation import NO_PROOF, PROOF_BYTES, Equivocation, read
from consensus.notary import Verify
from consensus.private_messages import VALUE_BYTES, Body, BodyError, Item, Reader
from consensus.private_runs import elements
from consensus.private_terms import PrivateTerms
from consensus.vault import Part, Recalled, Vault
from crypto.commitment import digest
from crypto.decoding import open_shares
from crypto.field import Vector, to_signed
from crypto.identity import PeerId
from crypto.randomness import Stream
from crypto.shamir import Share

_ROUND = struct.Struct(">IIII")
_HEAD_BYTES = VALUE_BYTES + 2
_ACCUSED, _HELD = 1, 2
"""Of a member, in an item of COMMIT: there is something of it to take back, proved; we have shares of it."""


def plea_bytes(terms: PrivateTerms) -> int:
    """What an item of COMMIT says about convicts; nothing where nothing is kept."""
    return len(terms.cell) + PROOF_BYTES if terms.keep_rounds else 0


def words_bytes(terms: PrivateTerms, rounds: int | None = None) -> int:
    """Of an item of RECALL about so many rounds, at most."""
    count = terms.keep_rounds if rounds is None else rounds
    return _HEAD_BYTES + count * (_ROUND.size + 4 * terms.packing.columns(terms.size))


@dataclass(frozen=True, slots=True)
class Told:
    """A round that shares are of, as its holders tell."""

    number: int
    steps: int
    weight: int
    whole: int


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What an item of RECALL holds."""

    base: bytes
    rounds: tuple[Told, ...]
    shares: tuple[Vector, ...]
    """(G,) each."""


class Recall:
    """The part of member `me` in one round."""

    def __init__(self, terms: PrivateTerms, me: int, vault: Vault, verify: Verify) -> None:
        self._terms = terms
        self._me = me
        self._vault = vault
        self._verify = verify
        self._words: dict[int, Words] = {}
        self.shown: dict[PeerId, bytes] = {}
        """Who else is shown in COMMIT to have signed two things, and the proof."""
        self.about: int | None = None
        """The member whose updates are taken back."""
        self.liars: frozenset[int] = frozenset()
        """Who opened other shares than it was dealt, once the words are opened."""

    # --- COMMIT -----------------------------------------------------------------------------------------------------

    @property
    def plea(self) -> bytes:
        """What our item of COMMIT says about convicts."""
        if not self._terms.keep_rounds:
            return b""
        accused = self._vault.accused
        said = bytes(_ACCUSED * (peer in accused) | _HELD * bool(self._vault.owed(peer)) for peer in self._terms.cell)
        proof = next((proof for peer, proof in accused.items() if proof and peer in self._terms.cell), NO_PROOF)
        return said + proof

    def hear(self, items: Mapping[int, Item]) -> int | None:
        """COMMIT is decided: whom the round is about, of those whom it could be the one most members speak of."""
        size, cell = plea_bytes(self._terms), len(self._terms.cell)
        if not size:
            return None
        voices: Counter[int] = Counter()
        holders: Counter[int] = Counter()
        shown: dict[int, bytes] = {}
        for item in items.values():
            plea = item.body[-size:]
            voices.update(place for place, said in enumerate(plea[:cell]) if said & _ACCUSED)
            holders.update(place for place, said in enumerate(plea[:cell]) if said & _HELD)
            found = read(plea[cell:], self._terms, self._verify)
            if found is not None:
                shown[found.author] = found.pack()
        least = max(self._terms.packing.tolerated, self._terms.packing.liars) + 1
        could = shown.keys() | {place for place, count in voices.items() if count >= least}
        could = {place for place in could if holders[place] >= least}
        self.about = min(could, key=lambda place: (-voices[place], place), default=None)
        self.shown = {self._terms.cell[place]: proof for place, proof in shown.items() if place != self._me}
        return self.about

    # --- RECALL -----------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> PeerId:
        """Whom the round is about."""
        if self.about is None:
            raise RuntimeError("nobody is recalled in this round")
        return self._terms.cell[self.about]

    @property
    def body(self) -> bytes:
        """Our item: shares of the convict's updates, if its lie is proved to us and we have any; else nothing."""
        owed = self._vault.owed(self.peer)
        proved = self.peer in self.shown or self.peer in self._vault.convicts
        if not proved or not owed or self.about == self._me:
            return b""
        told = [_ROUND.pack(one.number, one.steps, one.weights[self.peer], one.whole) for one in owed]
        columns = self._terms.packing.columns(self._terms.size)
        shares = [_whole(one.shares[self.peer], columns).astype("<u4", copy=False).tobytes() for one in owed]
        return self._vault.base + struct.pack(">H", len(owed)) + b"".join([*told, *shares])

    def check(self, author: int, item: Item, members: Collection[int]) -> str | None:
        """What is wrong with an item of RECALL, as all members see it."""
        if self.about is None or author == self.about or author not in members:
            return "shares that nobody asked for"
        try:
            self._read(item.body)
        except BodyError as error:
            return f"shares of a convict's updates that are none: {error}"
        return None

    def _read(self, body: Body) -> Words | None:
        """Raises BodyError."""
        if not len(body):
            return None
        terms, reader = self._terms, Reader(body)
        base = bytes(reader.take(VALUE_BYTES))
        (count,) = reader.numbers("H")
        if not 1 <= count <= terms.keep_rounds or len(body) != words_bytes(terms, count):
            raise BodyError(f"{len(body)} bytes about {count} rounds")
        told = [Told(*reader.numbers("IIII")) for _ in range(count)]
        numbers = [one.number for one in told]
        for one in told:
            sound = 1 <= one.steps <= terms.number - one.number and 1 <= one.weight <= one.whole <= terms.fixed.members
            if not sound:
                raise BodyError(f"round {one.number} cannot have been like that")
        if sorted(set(numbers)) != numbers:
            raise BodyError("rounds out of order")
        columns = terms.packing.columns(terms.size)
        shares = [elements(reader.take(4 * columns), columns) for _ in told]
        if any(share is None for share in shares):
            raise BodyError("shares that are no elements of the field")
        return Words(base, tuple(told), tuple(share for share in shares if share is not None))

    def take(self, items: Mapping[int, Item]) -> None:
        """RECALL is decided."""
        for author, item in items.items():
            words = self._read(item.body)
            if words is not None:
                self._words[author] = words

    def open(self, coin: bytes) -> Recalled | None:
        """The convict's updates, once the coin of the round is known; None in a round that is about nobody."""
        if self.about is None:
            return None
        alike: dict[tuple[bytes, tuple[Told, ...]], list[int]] = {}
        for author, words in sorted(self._words.items()):
            alike.setdefault((words.base, words.rounds), []).append(author)
        if not alike:
            return Recalled(self.peer, b"", (), "nobody has shares of its updates")
        # The first of the largest groups, by what they say: the same on all.
        (base, rounds), authors = min(alike.items(), key=lambda group: (-len(group[1]), group[0][0]))
        packing = self._terms.packing
        least = self._terms.least_holders  # as for a sum: with fewer, t that conspire could make updates up
        if len(authors) < least:
            have = f"{len(authors)} members have shares of its updates"
            return Recalled(self.peer, base, (), f"{have}, {least} are needed")
        parts, liars = [], set[int]()
        for place, told in enumerate(rounds):
            shares = {author: self._words[author].shares[place] for author in authors}
            seed = digest("grapevine recall v1", coin, self.about, told.number)
            opened = open_shares(packing, shares, Stream(seed, "recall"))
            if opened is None:
                return Recalled(self.peer, base, (), "too many shares of its updates are wrong")
            liars |= opened.liars
            lattice = to_signed(opened.secrets.reshape(-1)[: self._terms.size])
            vector = self._terms.fixed.decode(lattice, told.whole) * np.float32(told.weight)
            parts.append(Part(told.number, told.steps, vector))
        self.liars = frozenset(liars)
        return Recalled(self.peer, base, tuple(parts))

    # --- the end ----------------------------------------------------------------------------------------------------

    def proof_for(self, said: Proof) -> bytes:
        """What a culprit signed, where that is two items of one stage, as `Vault.convict` takes it; else empty."""
        found = Equivocation.of(said, self._terms)
        return b"" if found is None or not found.holds(self._terms, self._verify) else found.pack()


def _whole(share: Share, columns: int) -> Vector:
    return share[0:columns]
