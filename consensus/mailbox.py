"""Contributions that came before their round, and what they tell about where the swarm is.

A node that was away finds its peers further on and has to jump to their round. What it goes by is what they claim, and
a claim is free: a Byzantine peer says "round 1,000,000,000" to throw a node out of the run, and sends one vector for
each of a thousand rounds to fill its memory. So

- the node goes as far as *more than half* of those that speak to it are, at least: to the lower median of their claims.
  While at most half of them lie, that is no further than some honest peer has come, whatever the liars say; while
  fewer than half lie, they cannot hold it back either. One liar among two or more moves nobody. (A node with a single
  live peer has nobody else to ask and follows it, up to the last round of the run.)
- each peer has room for the phases of two rounds, the highest it has claimed; an honest peer is heard for the round
  that we are in, the next, and the one to jump to. Whoever floods pushes out its own words alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from consensus.messages import Contribution
from crypto.identity import PeerId

_ROUNDS_KEPT = 2

_Slot = tuple[int, int]
"""(round, phase)"""


class Mailbox:
    """Keeps contributions for later rounds, at most two rounds of `phases` vectors a peer.

    `rounds` and `phases` bound what can be meant at all: a contribution beyond them is not a word about the run.
    `committee` is the number of peers that send to us in a round, where not all do (a grid): a majority of it decides
    where the swarm is. Peers may be `lead` rounds ahead in the ordinary course. `offer` it everything that is
    heard, so that it knows where the peers are.
    """

    def __init__(
        self,
        peers: Iterable[PeerId],
        *,
        rounds: int = 2**31,
        phases: int = 32,
        committee: int | None = None,
        lead: int = 1,
    ) -> None:
        self._rounds = rounds
        self._phases = phases
        self._committee = committee
        self._lead = lead
        self._kept: dict[PeerId, dict[_Slot, Contribution]] = {peer: {} for peer in peers}
        self._latest: Mapping[PeerId, int] = {}
        """Never changed, but replaced: the thread in which a round thinks asks who has passed it by."""
        self._taken = -1
        """The highest round taken from: what comes for it from now on, its own state machine takes at once."""

    def offer(self, peer: PeerId, contribution: Contribution) -> None:
        """Note where `peer` is, and keep what is for a later round; of two for one phase the first.

        Raises `KeyError` for a peer off the list.
        """
        kept = self._kept[peer]
        if contribution.round >= self._rounds or contribution.phase >= self._phases:
            return
        # The last word and not the highest: who lost its state and began anew is where it says it is.
        self._say(peer, contribution.round)
        if contribution.round <= self._taken:
            return
        kept.setdefault((contribution.round, contribution.phase), contribution)
        rounds = sorted({round_ for round_, _ in kept})
        if len(rounds) > _ROUNDS_KEPT:
            self._kept[peer] = {slot: kept[slot] for slot in kept if slot[0] != rounds[0]}

    def note(self, peer: PeerId, round: int) -> None:  # noqa: A002
        """Note that `peer` says it is about to play `round`; for what is not a contribution."""
        if peer in self._kept and round < self._rounds:
            self._say(peer, round)

    def _say(self, peer: PeerId, round: int) -> None:  # noqa: A002
        if self._latest.get(peer) != round:
            self._latest = {**self._latest, peer: round}

    def take(self, round: int, phase: int) -> dict[PeerId, Contribution]:  # noqa: A002 - the glossary's word
        """Hand over what was kept for a phase, sorted by peer; anything for earlier rounds is forgotten."""
        if round > self._taken:
            self._taken = round
            for peer, kept in self._kept.items():
                self._kept[peer] = {slot: kept[slot] for slot in kept if slot[0] >= round}
        found = {peer: self._kept[peer].pop((round, phase), None) for peer in sorted(self._kept)}
        return {peer: contribution for peer, contribution in found.items() if contribution is not None}

    def latest(self, peer: PeerId) -> int | None:
        """The round of the last contribution of `peer`; None before the first."""
        return self._latest.get(peer)

    def passed(self, round: int) -> frozenset[PeerId]:  # noqa: A002
        """Who has spoken of a later round: what is not here of theirs for `round` will not come any more. The one
        method that any thread may call.
        """
        return frozenset(peer for peer, latest in self._latest.items() if latest > round)

    def target_round(self, current: int, alive: Collection[PeerId]) -> int:
        """The round to go to: `current`, or where most are that we average with, if they are more than `lead` ahead.

        Who is down counts as being where we are: else a liar need only wait until the others' connections are lost.
        One round ahead is the ordinary case of a peer that closed a moment earlier.
        """
        claims = sorted((self._latest.get(peer, -1) for peer in alive), reverse=True)
        voices = len(self._kept) if self._committee is None else self._committee
        if len(claims) <= voices // 2:
            return current
        reached = claims[voices // 2]  # by more than half of the voices
        return reached if reached > current + self._lead else current
