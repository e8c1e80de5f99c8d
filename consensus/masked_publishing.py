"""How the sum of a masked round gets out: who is sent which fragment, who gives up on whom, what is published."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import cast

from consensus.compute import Jobs, SecretEffect
from consensus.effects import Send
from consensus.encrypted_messages import pack_counted, unpack_counted
from consensus.masked_clock import Clock
from consensus.masked_messages import Lacking, Masked, Revealed, Summed
from consensus.masked_opening import Opening
from consensus.masked_terms import MaskedTerms
from consensus.masked_voice import Voice
from crypto.identity import PeerId


class Publishing:
    """The part of `me` in it. `publics` holds the keys of all who mask, and grows as they are heard."""

    def __init__(
        self,
        me: PeerId,
        terms: MaskedTerms,
        opening: Opening,
        voice: Voice,
        jobs: Jobs,
        clock: Clock,
        publics: Mapping[PeerId, bytes],
    ) -> None:
        self._me, self._terms, self._opening = me, terms, opening
        self._voice, self._jobs, self._clock, self._publics = voice, jobs, clock, publics
        self._others = tuple(peer for peer in terms.cell if peer != me)
        self.last_call = False
        """Whether all were asked for what is missing: nobody waits for its owner any longer."""
        self.failed: str | None = None
        """Why there will be no sum."""

    def hand_out(self, fragments: tuple[bytes, ...]) -> list[SecretEffect]:
        """Our own masked words are ready: each fragment to whom it belongs."""
        handed = self._opening.hand_out(fragments)
        return [effect for fragment, peer in handed for effect in self._send(fragment, peer)]

    def _send(self, fragment: int, peer: PeerId | None) -> list[SecretEffect]:
        if peer is None or peer == self._me or not self._opening.mine:
            return []
        members = pack_counted(self._terms.cell, self._opening.roster)
        said = Masked(self._terms.number, fragment, members, b"", self._opening.mine[fragment])
        return self._voice.say([peer], said)

    def reveal(self, shares: list[bytes]) -> list[SecretEffect]:
        """Tell those who count our shares, one of each that masks."""
        self._opening.add_shares(self._me, shares)
        members = pack_counted(self._terms.cell, self._opening.counted)
        others = [peer for peer in self._opening.counted if peer != self._me]
        return self._voice.say(others, Revealed(self._terms.number, members, b"", b"".join(shares)))

    def advance(self, now: float, gone: Set[PeerId]) -> list[SecretEffect]:
        """Sum what is ours to sum. What belongs to those `gone`, or out of time, is left to the next in the roster."""
        opening, lost = self._opening, set[PeerId]()
        effects: list[SecretEffect] = []
        gone = set(opening.roster) if self._clock.rescues(now) else gone
        for fragment in opening.leave(gone):
            lost |= {opening.roster[fragment]} & gone
            if self._me in opening.counted:
                effects += self._send(fragment, opening.taker(fragment))
        if self._clock.rescues(now) and not self.last_call:  # of all: they may have it by now
            self.last_call, lost = True, {opening.roster[fragment] for fragment in opening.missing}
        if lost:
            lacking = Lacking(self._terms.number, pack_counted(self._terms.cell, lost), b"")
            effects += self._voice.say(self._others, lacking)
        for fragment in sorted(opening.missing):
            effects += self._unmask(fragment)
        return effects

    def _unmask(self, fragment: int) -> list[SecretEffect]:
        job = self._opening.unmask(fragment, self._publics)
        return self._jobs.ask(job, lambda result: self._unmasked(fragment, result)) if job is not None else []

    def _unmasked(self, fragment: int, result: object) -> list[SecretEffect]:
        if isinstance(result, str):
            self.failed = f"the masks did not come off: {result}"
            return []
        members = pack_counted(self._terms.cell, self._opening.counted)
        summed = self._voice.signed(Summed(self._terms.number, fragment, members, b"", cast(bytes, result)))
        self._opening.sums.setdefault(fragment, summed)
        return self._voice.say(self._others, summed)

    def answer(self, peer: PeerId, message: Lacking) -> list[SecretEffect]:
        """What we have of what `peer` lacks, as it was signed."""
        lacked = unpack_counted(self._terms.cell, message.members) or ()
        roster = self._opening.roster
        known = (self._opening.sums.get(roster.index(owner)) for owner in lacked if owner in roster)
        return [Send(peer, summed) for summed in known if summed is not None]
