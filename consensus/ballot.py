"""What was heard in one view of an agreement, and what the first votes of a stage allow in its later views.

A **first vote** is what a member voted for in view 0: a value, or NIL for a member that left the view without a vote.
Each honest member signs one, and tells it on entering a later view. They decide what may be proposed where nobody is
locked, see `consensus.agreement`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from consensus.conviction import Name
from consensus.notary import Notary, value_of
from consensus.private_messages import NIL, Held, Item, Stage, Vote
from consensus.quorum import Quorum

VOTE, COMMITMENT = 0, 1

FirstVotes = Mapping[int, tuple[bytes, bytes]]
"""author → value, signature; of genuine ones."""


@dataclass(slots=True)
class View:
    """What was heard of one view."""

    votes: dict[int, dict[int, Vote]] = field(default_factory=lambda: {VOTE: {}, COMMITMENT: {}})
    told: dict[int, Held] = field(default_factory=dict)
    known: frozenset[int] = frozenset()
    """Of whom we held an item on entering it."""
    proposal: Held | None = None
    first: FirstVotes | None = None
    """Those that came with the proposal, once checked."""
    proposed: bool = False
    voted: bool = False
    committed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """How a stage was decided."""

    items: Mapping[int, Item]
    view: int
    step: int
    value: bytes
    votes: dict[int, Vote]


def supported(votes: Mapping[int, Vote], least: int) -> bytes | None:
    """The value that at least `least` of the votes are for, if there is one; `least` is more than half of all."""
    counts: dict[bytes, int] = {}
    if len(votes) < least:  # mostly
        return None
    for vote in votes.values():
        counts[vote.value] = counts.get(vote.value, 0) + 1
    return next((value for value, count in counts.items() if count >= least), None)


def split(view: View, everyone: Collection[int], quorum: Quorum) -> bool:
    """Whether `everyone` has voted, and for too many different things."""
    votes = view.votes[VOTE]
    return votes.keys() >= set(everyone) and supported(votes, quorum.size) is None


def others_view(views: Mapping[int, View], quorum: Quorum) -> int:
    """The highest view that more than b members have entered, or gone beyond."""
    if len(views) == 1 and 0 in views:  # mostly
        return 0
    furthest = dict.fromkeys(range(quorum.members), 0)
    for number, view in views.items():
        for author in view.told:
            furthest[author] = max(furthest[author], number)
    return sorted(furthest.values(), reverse=True)[quorum.bound]


def against(first: FirstVotes, value: bytes) -> int:
    """How many were not for `value`: with more than b of them, not every honest member was."""
    return sum(voted != value for voted, _ in first.values())


def forced(first: FirstVotes, quorum: Quorum) -> bytes | None:
    """The value that may have been decided by all votes in view 0, as far as these of Q members or more say.

    There is one at most: of two, each would have b votes or fewer against it, and Q > 2b.
    """
    values = {value for value, _ in first.values()} - {NIL}
    return next((value for value in sorted(values) if against(first, value) <= quorum.bound), None)


def backed(first: FirstVotes, value: bytes, quorum: Quorum) -> bool:
    """Whether so many voted for `value` first that an honest leader may have found it `forced`."""
    return len(first) - against(first, value) >= quorum.size - quorum.bound


class Ballots:
    """Checks what members signed about one stage."""

    def __init__(self, notary: Notary, stage: Stage, quorum: Quorum, name: Name) -> None:
        self._notary = notary
        self._stage = stage
        self._quorum = quorum
        self._name = name

    def signed(self, peer: int, vote: Vote) -> bool:
        """Whether this is the vote of `peer`."""
        return self._notary.voted(peer, vote.stage, vote.view, vote.step, vote.value, vote.signature)

    def signatures(self, votes: dict[int, Vote], value: bytes) -> dict[int, bytes]:
        """Of the votes for `value`, checked where that was put off; a vote that is not signed is struck out."""
        chosen = {peer: vote for peer, vote in votes.items() if vote.value == value}
        for peer in [peer for peer in chosen if peer in self._notary.direct and not self.signed(peer, chosen[peer])]:
            del votes[peer], chosen[peer]
            self._name(peer, f"sends a vote in stage {self._stage.name} that it did not sign", ())
        return {peer: vote.signature for peer, vote in chosen.items()}

    def genuine(self, first: FirstVotes) -> FirstVotes:
        """Those that are signed."""
        return {
            author: (value, signature)
            for author, (value, signature) in first.items()
            if self._notary.voted(author, self._stage, 0, VOTE, value, signature)
        }

    def proved(self, held: Held, step: int, least: int) -> bool:
        """Whether `least` members voted (or committed) as the bundle says; and to these items."""
        if held.lock < 0 or held.value != value_of(self._stage, held.items):
            return False
        good = sum(
            self._notary.voted(author, self._stage, held.lock, step, held.value, signature)
            for author, signature in held.signatures.items()
        )
        return good >= least

    def prove(self, decision: Decision) -> Held | None:
        """What convinces others; None where one that decided this did not sign it: then our own word must do."""
        signatures = self.signatures(decision.votes, decision.value)
        least = self._quorum.members if decision.step == VOTE else self._quorum.size
        if len(signatures) < least:
            return None
        return Held(decision.items, decision.view, decision.value, signatures)

    def decisive(self, held: Held) -> int | None:
        """The step that decided what a bundle says was decided: m votes in view 0, or Q commitments; None for none."""
        quorum = self._quorum
        unanimous = quorum.unanimity and held.lock == 0 and len(held.signatures) == quorum.members
        if unanimous and self.proved(held, VOTE, quorum.members):
            return VOTE
        return COMMITMENT if self.proved(held, COMMITMENT, quorum.size) else None

    def owns_up(self, peer: int, view: int, held: Held) -> bool:
        """Whether a member that enters `view` shows its lock, or having none its first vote."""
        if held.lock >= 0:
            return held.lock < view and self.proved(held, VOTE, self._quorum.size)
        return peer in held.first and bool(self.genuine({peer: held.first[peer]}))

    def proposal(self, told: Mapping[int, Held], items: Mapping[int, Item]) -> Held:
        """What the leader of a view proposes, by what it was `told` and the items that it holds."""
        highest = max(told.values(), key=lambda held: held.lock)
        if highest.lock >= 0:
            return highest
        first = {author: held.first[author] for author, held in told.items()}
        value = forced(first, self._quorum) if self._quorum.unanimity else None
        for held in told.values():
            if value is not None and value_of(self._stage, held.items) == value:
                return Held(held.items, first=first)
        return Held(dict(items), first=first)

    def acceptable(
        self, number: int, view: View, lock: Held | None, first: tuple[bytes, bytes] | None, spared: Collection[int]
    ) -> bool:
        """Whether to vote for the proposal of view `number`, with our `lock` and our `first` vote; it need not have
        items of members that are `spared`.
        """
        proposal = view.proposal
        if proposal is None:
            return False
        value = value_of(self._stage, proposal.items)
        justified = 0 <= proposal.lock < number and self.proved(proposal, VOTE, self._quorum.size)
        if lock is not None:
            return value == lock.value or (justified and proposal.lock > lock.lock)
        complete = view.known <= proposal.items.keys() | set(spared)
        if justified or not self._quorum.unanimity:
            return justified or complete
        if view.first is None:
            view.first = self.genuine(proposal.first)
        mine = NIL if first is None else first[0]
        if mine not in (NIL, value) and against(view.first, mine) <= self._quorum.bound:
            return False  # all may have voted as we did
        return complete or backed(view.first, value, self._quorum)
