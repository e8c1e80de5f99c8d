"""How the members of a cell decide on one bundle of signed items, whatever the network loses and up to b members lie.

    view 0    each votes for the bundle of all items that it holds, once it has one of everybody who is awaited, or at
              the deadline. Nobody leads: where all hold the same, this view decides.
    view v    each tells the others what it holds, or the value that it is locked on with the Q votes that locked it;
              the leader proposes the highest lock that it was told, or else all items together; each votes.
    any       Q votes for a value lock a member on it, and it signs a commitment. Q commitments decide.

**Agreement.** Let Q > (m + b) / 2, b members arbitrary. Suppose Q members committed to x in view v: at least Q − b
honest ones are locked on x from v on. Let v' > v be the first view with Q votes for y ≠ x. Of the at least Q − b honest
voters for y one is locked on x, for 2(Q − b) > m − b. It votes for y only if shown Q votes for y in a view after v, and
there is none before v'. So no y gets Q votes after v; and none gets them in v, where each honest member votes once and
any two quorums share an honest member. Hence no two honest members ever decide differently, however late messages come.

**Progress.** While messages between honest members arrive in half a deadline, a view with an honest leader decides: it
was told of every honest lock and every item that an honest member holds, so nobody has a reason not to vote for what it
proposes. (An honest member votes for a fresh proposal only if that has an item of everybody of whom it holds one: a
leader cannot leave somebody out.) Leaders take turns, so that one view more than there are faulty members is enough;
after those the stage stays undecided, and the round is void.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from consensus.notary import Notary, value_of
from consensus.private_messages import BodyError, Bundle, Fetch, Held, Item, PrivateMessage, Role, Stage, Vote
from consensus.quorum import Quorum

Check = Callable[[int, Item], str | None]
"""(author, item) → what is wrong with its body, None if nothing."""
Name = Callable[[int, str, tuple[Item, ...]], None]
"""(culprit, reason, proof)"""
Outgoing = tuple[int | None, PrivateMessage]
"""A message for one member, or for all others."""

VOTE, COMMITMENT = 0, 1
_EARLY_BUNDLES = 4


@dataclass(slots=True)
class _View:
    """What was heard of one view."""

    votes: dict[int, dict[int, Vote]] = field(default_factory=lambda: {VOTE: {}, COMMITMENT: {}})
    told: dict[int, Held] = field(default_factory=dict)
    proposal: Held | None = None
    proposed: bool = False
    voted: bool = False
    committed: bool = False


class Agreement:
    """The agreement of one stage. Before `enter` it only listens; after a decision it only answers."""

    def __init__(self, notary: Notary, stage: Stage, quorum: Quorum, first_leader: int, name: Name) -> None:
        self.stage = stage
        self.decided: Mapping[int, Item] | None = None
        self.view = 0
        self._notary = notary
        self._quorum = quorum
        self._first_leader = first_leader
        self._name = name
        self._heard: dict[int, Item] = {}
        self._items: dict[int, Item] = {}
        self._contents: dict[bytes, Mapping[int, Item]] = {}
        self._views: dict[int, _View] = {}
        self._early: list[tuple[int, Bundle]] = []
        self._proof: Held | None = None
        self._lock: Held | None = None
        self._voted: Mapping[int, Item] | None = None
        self._asked: dict[bytes, set[int]] = {}
        self._equivocators: set[int] = set()
        self._waited = False
        self._entered_at = math.nan
        self._view_since = math.nan
        self._deadline_s = math.inf
        self._expected: frozenset[int] = frozenset()
        self._least = 0
        self._check: Check = _nothing_wrong
        self._out: list[Outgoing] = []

    # --- the outside ----------------------------------------------------------------------------------------------

    @property
    def entered(self) -> bool:
        """Whether this stage began."""
        return not math.isnan(self._entered_at)

    @property
    def exhausted(self) -> bool:
        """Whether enough members had their turn to lead, and nothing was decided."""
        return self.decided is None and self.view > self._quorum.faulty + 1

    def enter(
        self,
        now: float,
        item: Item | None,
        *,
        deadline_s: float,
        expected: Collection[int],
        least: int,
        check: Check,
    ) -> None:
        """Begin. Items of `expected` authors are awaited; a bundle has `least` items or more, all passing `check`."""
        self._entered_at = self._view_since = now
        self._deadline_s, self._expected, self._least, self._check = deadline_s, frozenset(expected), least, check
        if item is not None:
            self._heard[item.author] = item
            self._out.append((None, item))
        for heard in list(self._heard.values()):
            self._admit_item(heard)
        early, self._early = self._early, []
        for author, bundle in early:
            self.hear_bundle(author, bundle)

    def awaited(self, away: Collection[int]) -> set[int]:
        """Whose items the stage waits for."""
        return set() if self.decided is not None else set(self._expected - self._items.keys() - set(away))

    def wake_at(self, now: float) -> float:
        """When to call `advance` if nothing happens."""
        if self.decided is not None or not self.entered:
            return math.inf
        collected, end = self._times()
        return collected if now < collected else end

    def _times(self) -> tuple[float, float]:
        """Until when the view waits for everybody, and when it ends."""
        wait = 0.5 if self.view else 1.0
        return self._view_since + wait * self._deadline_s, self._view_since + 2 * self._deadline_s

    def answer(self, author: int) -> list[Outgoing]:
        """What a member that fetches this stage is sent."""
        if self._proof is not None:
            return [(author, self._bundle(self.view, Role.DECISION, self._proof))]
        out: list[Outgoing] = [(author, item) for item in self._heard.values() if item.author == self._notary.me]
        if self._voted is not None:
            out.append((author, self._bundle(self.view, Role.CONTENTS, Held(self._voted))))
        for view in self._views.values():
            out += [(author, votes[self._notary.me]) for votes in view.votes.values() if self._notary.me in votes]
            if self._notary.me in view.told:
                out.append((author, self._bundle(self.view, Role.NEW_VIEW, view.told[self._notary.me])))
        return out

    # --- hearing --------------------------------------------------------------------------------------------------

    def hear_item(self, peer: int, item: Item) -> Item | None:
        """Take an item that `peer` sent or passed on; gives it as its author signed it, None if it did not."""
        known = self._heard.get(item.author)
        if known is not None and known.body == item.body:
            return known
        if not self._notary.wrote(item):
            self._name(peer, f"passes on an item of stage {self.stage.name} that its author did not sign", ())
            return None
        if known is not None:
            self._equivocated(known, item)
        else:
            self._heard[item.author] = item
            if self.entered:
                self._admit_item(item)
        return item

    def hear_vote(self, peer: int, vote: Vote) -> None:
        """Take a vote of `peer`."""
        if self.decided is not None or not self._in_reach(vote.view) or vote.step not in (VOTE, COMMITMENT):
            return
        votes = self._at(vote.view).votes[vote.step]
        known = votes.get(peer)
        if known is not None and known.value == vote.value:
            return
        if not self._notary.voted(peer, vote.stage, vote.view, vote.step, vote.value, vote.signature):
            self._name(peer, f"sends a vote in stage {self.stage.name} that it did not sign", ())
        elif known is not None:
            self._name(peer, f"votes twice in view {vote.view} of stage {self.stage.name}", ())
        else:
            votes[peer] = vote

    def hear_bundle(self, peer: int, bundle: Bundle) -> None:
        """Take what `peer` says on entering a view, proposes, or knows to be decided."""
        if self.decided is not None:
            return
        if not self.entered:
            if sum(author == peer for author, _ in self._early) < _EARLY_BUNDLES:
                self._early.append((peer, bundle))
            return
        try:
            held = Held.unpack(bundle)
        except BodyError as error:
            self._name(peer, f"sends a bundle in stage {self.stage.name} that cannot be read: {error}", ())
            return
        items = {author: self.hear_item(peer, item) for author, item in held.items.items()}
        signed = {author: item for author, item in items.items() if item is not None}
        if len(signed) == len(items) and self._in_reach(bundle.view):
            self._take(peer, bundle, replace(held, items=signed))  # never pass on a signature that was not looked at

    def _take(self, peer: int, bundle: Bundle, held: Held) -> None:
        match bundle.role:
            case Role.DECISION if self._proved(held, COMMITMENT):
                self._decide(held)
            case Role.PROPOSAL if peer == self._leader(bundle.view) and self._at(bundle.view).proposal is None:
                self._at(bundle.view).proposal = held
            case Role.NEW_VIEW if held.lock < 0 or (held.lock < bundle.view and self._proved(held, VOTE)):
                self._at(bundle.view).told.setdefault(peer, held)
            case Role.CONTENTS if self._asked.keys() & {value_of(self.stage, held.items)}:
                self._learn(held.items)

    # --- acting ---------------------------------------------------------------------------------------------------

    def advance(self, now: float, away: Collection[int]) -> list[Outgoing]:
        """Do what can be done now. What it returns is to be sent."""
        if self.entered:
            while self.decided is None and self._step(now, set(away)):
                pass
        out, self._out = self._out, []
        return out

    def _step(self, now: float, away: set[int]) -> bool:
        """One move; False where there is none to make."""
        view = self._at(self.view)
        collected, end = self._times()
        self._waited = now >= collected
        self._decide_by_votes()
        if self.decided is not None:
            return False
        if not view.committed and self._lock_by_votes(view):
            return True
        ready = self.view == 0 and not view.voted and (self._waited or not self.awaited(away))
        if ready and self._vote(view, self._items):
            return True
        if self.view > 0 and not view.voted and self._lead_or_follow(view, away):
            return True
        ahead = self._others_view()
        if ahead > self.view:
            return self._enter_view(ahead, now)
        if now >= end or self._split(view, away):
            return self._enter_view(self.view + 1, now)
        return False

    def _lead_or_follow(self, view: _View, away: set[int]) -> bool:
        everyone = set(range(self._quorum.members)) - away
        if self._leader(self.view) == self._notary.me and not view.proposed:
            if len(view.told) < self._quorum.size or not (self._waited or everyone <= view.told.keys()):
                return False
            view.proposed = True
            highest = max(view.told.values(), key=lambda held: held.lock)
            held = highest if highest.lock >= 0 else Held(dict(self._items))
            if self._learn(held.items) is None:
                return False
            view.proposal = held
            self._out.append((None, self._bundle(self.view, Role.PROPOSAL, held)))
        return view.proposal is not None and self._acceptable(view.proposal) and self._vote(view, view.proposal.items)

    def _acceptable(self, proposal: Held) -> bool:
        value = value_of(self.stage, proposal.items)
        justified = 0 <= proposal.lock < self.view and self._proved(proposal, VOTE)
        if self._lock is not None:
            return value == self._lock.value or (justified and proposal.lock > self._lock.lock)
        told = self._at(self.view).told.get(self._notary.me)
        return justified or told is None or told.items.keys() <= proposal.items.keys()

    def _vote(self, view: _View, items: Mapping[int, Item]) -> bool:
        value = self._learn(items)
        if value is None:
            return False
        view.voted, self._voted = True, dict(items)
        self._cast(view, VOTE, value)
        return True

    def _lock_by_votes(self, view: _View) -> bool:
        value = self._supported(view.votes[VOTE])
        if value is None:
            return False
        if value not in self._contents:
            self._ask(value, view.votes[VOTE])
            return False
        signatures = {author: vote.signature for author, vote in view.votes[VOTE].items() if vote.value == value}
        self._lock = Held(self._contents[value], self.view, value, signatures)
        view.committed = True
        self._cast(view, COMMITMENT, value)
        return True

    def _decide_by_votes(self) -> None:
        for number, view in self._views.items():
            value = self._supported(view.votes[COMMITMENT])
            if value is None:
                continue
            if value not in self._contents:
                self._ask(value, view.votes[COMMITMENT])
                continue
            commitments = view.votes[COMMITMENT].items()
            signatures = {author: vote.signature for author, vote in commitments if vote.value == value}
            self._decide(Held(self._contents[value], number, value, signatures))
            return

    def _decide(self, proof: Held) -> None:
        self.decided, self._proof = proof.items, proof
        self._views.clear()
        self._contents.clear()

    def _enter_view(self, view: int, now: float) -> bool:
        self.view, self._view_since = view, now
        if self.exhausted:
            return False
        held = self._lock or Held(dict(self._items))
        self._at(view).told[self._notary.me] = held
        self._out.append((None, self._bundle(view, Role.NEW_VIEW, held)))
        return True

    # --- small questions ------------------------------------------------------------------------------------------

    def _in_reach(self, view: int) -> bool:
        """Whether any honest member gets to such a view."""
        return 0 <= view <= self._quorum.faulty + 2

    def _at(self, view: int) -> _View:
        return self._views.setdefault(view, _View())

    def _leader(self, view: int) -> int:
        return (self._first_leader + view) % self._quorum.members

    def _bundle(self, view: int, role: Role, held: Held) -> Bundle:
        return Bundle(self._notary.number, self.stage, view, role, held.pack())

    def _cast(self, view: _View, step: int, value: bytes) -> None:
        vote = self._notary.vote(self.stage, self.view, step, value)
        view.votes[step][self._notary.me] = vote
        self._out.append((None, vote))

    def _supported(self, votes: Mapping[int, Vote]) -> bytes | None:
        counts: dict[bytes, int] = {}
        for vote in votes.values():
            counts[vote.value] = counts.get(vote.value, 0) + 1
        return next((value for value, count in counts.items() if count >= self._quorum.size), None)

    def _split(self, view: _View, away: set[int]) -> bool:
        """Whether all have voted, and for too many different things."""
        everyone = set(range(self._quorum.members)) - away
        return everyone <= view.votes[VOTE].keys() and self._supported(view.votes[VOTE]) is None

    def _others_view(self) -> int:
        """The highest view that more than b members have entered, or gone beyond."""
        furthest = dict.fromkeys(range(self._quorum.members), 0)
        for number, view in self._views.items():
            for author in view.told:
                furthest[author] = max(furthest[author], number)
        return sorted(furthest.values(), reverse=True)[self._quorum.bound]

    def _ask(self, value: bytes, votes: Mapping[int, Vote]) -> None:
        if not self._waited and self.awaited(()):
            return  # the items themselves may be on their way
        asked = self._asked.setdefault(value, {self._notary.me})
        for author, vote in votes.items():
            if vote.value == value and author not in asked:
                asked.add(author)
                self._out.append((author, Fetch(self._notary.number, self.stage, 0)))

    def _proved(self, held: Held, step: int) -> bool:
        """Whether Q members voted (or committed) as the bundle says; and to these items."""
        if held.lock < 0 or held.value != value_of(self.stage, held.items):
            return False
        good = sum(
            self._notary.voted(author, self.stage, held.lock, step, held.value, signature)
            for author, signature in held.signatures.items()
        )
        return good >= self._quorum.size

    def _admit_item(self, item: Item) -> None:
        wrong = self._check(item.author, item)
        if wrong is None:
            self._items[item.author] = item
        else:
            self._name(item.author, f"stage {self.stage.name}: {wrong}", (item,))

    def _learn(self, items: Mapping[int, Item]) -> bytes | None:
        """Keep what a value stands for, if it is a bundle that may be voted for."""
        if len(items) < self._least or not all(self._good(author, item) for author, item in items.items()):
            return None
        value = value_of(self.stage, items)
        self._contents[value] = dict(items)
        return value

    def _good(self, author: int, item: Item) -> bool:
        known = self._items.get(author)
        if known is not None and known.body == item.body:
            return True
        return self._notary.wrote(item) and self._check(author, item) is None

    def _equivocated(self, one: Item, other: Item) -> None:
        if one.author in self._equivocators:
            return
        self._equivocators.add(one.author)
        self._name(one.author, f"signed two different items of stage {self.stage.name}", (one, other))
        self._out += [(None, one), (None, other)]  # whoever sees both is convinced


def _nothing_wrong(_author: int, _item: Item) -> str | None:
    return None
