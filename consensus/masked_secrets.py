"""What a member of a masked round must not tell, and the one time that it tells half of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from consensus.masked_terms import MaskedTerms
from crypto.identity import PeerId
from crypto.masks import MaskError, MaskKeys, agree, open_shares, seal_shares, share, split


class Secrets:
    """The own keys, and the shares that are held of those of others."""

    def __init__(
        self, me: PeerId, terms: MaskedTerms, randbytes: Callable[[int], bytes], *, brings: bool = True
    ) -> None:
        self._me, self._terms, self._randbytes = me, terms, randbytes
        self._keys = MaskKeys.generate(randbytes)
        self._held: dict[PeerId, tuple[bytes, bytes]] = {}
        self._revealed = False
        self.boxes: dict[PeerId, bytes] = {}
        """What was dealt to us, as it came."""
        self.publics: dict[PeerId, bytes] = {me: self._keys.public} if brings else {}
        """The public keys of all who have said hello and bring something."""
        self.idle: set[PeerId] = set() if brings else {me}
        """Who has said hello, and brings nothing."""

    def meet(self, peer: PeerId, public: bytes, *, late: bool) -> None:
        """Keep the public keys of `peer`, unless they come too late for shares to be dealt; none: it brings nothing.

        Raises MaskError for keys with which we cannot agree on anything, or that differ from what it said before.
        """
        if (peer in self.idle) if public else (peer in self.publics):
            raise MaskError("brings something and nothing")
        if not public:
            self.idle.add(peer)
            return
        boxes, masks, _ = split(public)
        agree(self._keys.boxes, boxes, "box", self._terms.context)
        agree(self._keys.masks, masks, "mask", self._terms.context)
        if self.publics.get(peer, public) != public:
            raise MaskError("a second set of keys that differs from the first")
        if not late:
            self.publics[peer] = public

    def deal(self) -> dict[PeerId, bytes]:
        """A box of shares for each whose public keys are known."""
        cell, context = self._terms.cell, self._terms.context
        seeds = share(self._keys.seed, self._terms.threshold, len(cell), self._randbytes)
        pairs = share(self._keys.masks, self._terms.threshold, len(cell), self._randbytes)
        self._held[self._me] = seeds[cell.index(self._me)], pairs[cell.index(self._me)]
        return {
            peer: seal_shares(self._box_key(self._me, peer), context, seeds[place], pairs[place])
            for place, peer in enumerate(cell)
            if peer != self._me and peer in self.publics
        }

    def open(self) -> dict[PeerId, str]:
        """Open the boxes that came; whose do not open, and why."""
        bad = {}
        for peer, box in self.boxes.items():
            if peer in self.publics:
                try:
                    self._held[peer] = open_shares(self._box_key(peer, self._me), self._terms.context, box)
                except MaskError as error:
                    bad[peer] = str(error)
        self.boxes.clear()
        return bad

    @property
    def held(self) -> Collection[PeerId]:
        """Of whom we hold shares."""
        return self._held.keys()

    def seeds(self, roster: Sequence[PeerId]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The seeds of the masks that we add, and of those that we subtract."""
        pairs = {
            peer: agree(self._keys.masks, split(self.publics[peer])[1], "mask", self._terms.context)
            for peer in roster
            if peer != self._me
        }
        added = (self._keys.seed, *(seed for peer, seed in pairs.items() if peer > self._me))
        return added, tuple(seed for peer, seed in pairs.items() if peer < self._me)

    def reveal(self, roster: Sequence[PeerId], counted: Collection[PeerId]) -> list[bytes]:
        """One share of each in the roster: of the seed of those `counted`, of the pair key of the others.

        Either or: RuntimeError the second time, whatever the arguments; what was not revealed is forgotten.
        """
        if self._revealed:
            raise RuntimeError(f"round {self._terms.number}: shares are revealed once, of either kind")
        self._revealed = True
        shares = [self._held[peer][0 if peer in counted else 1] for peer in roster]
        self.forget()
        return shares

    def forget(self) -> None:
        """Let go of all shares."""
        self._held.clear()
        self.boxes.clear()

    def _box_key(self, sender: PeerId, receiver: PeerId) -> bytes:
        other = receiver if sender == self._me else sender
        return agree(self._keys.boxes, split(self.publics[other])[0], f"box {sender} {receiver}", self._terms.context)
