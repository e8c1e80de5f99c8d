"""How the members of a cell decide on one bundle of signed items, whatever the network loses and up to b members lie.

    view 0    each votes for the bundle of all items that it holds, once it has one of everybody who is awaited, or at
              the deadline. Nobody leads: where all hold the same, this view decides.
    view v    each tells the others what it voted for in view 0, or the value that it is locked on with the Q votes that
              locked it; the leader proposes the highest lock that it was told, or else what all may have voted for in
              view 0, or else all items together; each votes.
    all       m votes for a value in view 0 decide, where m > 3b.
    any       Q votes for a value lock a member on it, and it signs a commitment. Q commitments decide. (In view 0 they
              wait a moment for the votes of all, which spare everybody that.)

**Agreement.** Let Q > (m + b) / 2, b members arbitrary. Suppose Q members committed to x in view v: at least Q − b
honest ones are locked on x from v on. Let v' > v be the first view with Q votes for y ≠ x. Of the at least Q − b honest
voters for y one is locked on x, for 2(Q − b) > m − b. It votes for y only if shown Q votes for y in a view after v, and
there is none before v'. So no y gets Q votes after v; and none gets them in v, where each honest member votes once and
any two quorums share an honest member. Hence no two honest members ever decide differently, however late messages come.

**Unanimity.** Suppose that a member saw m votes for x in view 0: all honest members voted for x there, so that y ≠ x
got b < Q votes. Let v' > 0 be the first view in which an honest member votes for y. It voted for x first, and is locked
on nothing else, for Q votes hold an honest one. So it was shown Q votes for y in an earlier view, of which an honest
one would precede v'; or b + 1 signed first votes against x, of which an honest one would be a lie. Neither can be: no
honest member votes for y, no y gets Q votes, and the argument above holds with v = 0.

**Progress.** While messages between honest members arrive in half a deadline, a view with an honest leader decides: it
was told of every honest lock, every honest first vote and every item that an honest member holds, so nobody has a
reason not to vote for what it proposes. Where nobody is locked and no more than b of those that told voted against x,
it proposes x, and the Q − b > b signed votes for x release whoever voted otherwise. There is one such x at most (see
`forced`). Where there is none, b + 1 votes against each value release all; and then an honest member votes only for
what has an item of everybody of whom it holds one, lest a leader leave somebody out. (Of who signed two, it asks for
none: one may be no good, and all see both in time.) Leaders take turns, so that one view more than there are faulty
members is enough; after those the stage stays undecided, and the round is void. Who decided without commitments commits
when another member does, or asks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from consensus.ballot import COMMITMENT, VOTE, Ballots, Decision, View, others_view, split, supported
from consensus.conviction import Name
from consensus.double_votes import DoubleVotes
from consensus.notary import Notary, value_of
from consensus.pool import Check, Pool
from consensus.private_messages import NIL, BodyError, Bundle, Fetch, Held, Item, PrivateMessage, Role, Stage, Vote
from consensus.quorum import Quorum

Outgoing = tuple[int | None, PrivateMessage]
"""A message for one member, or for all others."""

_EARLY_BUNDLES = 4
_EARLY_BYTES = 1 << 16
"""Of one peer, before the stage began. What is larger is fetched again."""
_HOPE = 1 / 8
"""Of a deadline: how long the votes of all are waited for. To give up too early costs a wave of messages, no more."""


class Agreement:
    """The agreement of one stage. Before `enter` it only listens; after a decision it only answers."""

    def __init__(
        self,
        notary: Notary,
        stage: Stage,
        quorum: Quorum,
        first_leader: int,
        name: Name,
        tardy: set[int] | None = None,
        largest: int | None = None,
    ) -> None:
        """`tardy` are members whose votes are not waited for; shared by the stages of a round, which add to it.
        `largest` is the size in bytes of the largest item that an honest member signs.
        """
        self.stage = stage
        self.view = 0
        self._notary = notary
        self._quorum = quorum
        self._first_leader = first_leader
        self._name = name
        self._tardy = set() if tardy is None else tardy
        self._pool = Pool(notary, stage, name, largest)
        self._ballots = Ballots(notary, stage, quorum, name)
        self._double_votes = DoubleVotes(notary, stage, name)
        self._views: dict[int, View] = {}
        self._early: list[tuple[int, Bundle]] = []
        self._decision: Decision | None = None
        self._proof: Held | None = None
        self._lock: Held | None = None
        self._first: tuple[bytes, bytes] | None = None
        self._first_items: Mapping[int, Item] = {}
        self._voted: Mapping[int, Item] | None = None
        self._cast_votes: list[Vote] = []
        self._seconded: set[int] = set()
        self._asked: dict[bytes, set[int]] = {}
        self._waited = False
        self._entered_at = math.nan
        self._view_since = math.nan
        self._hope_until = math.inf
        self._deadline_s = math.inf
        self._expected: frozenset[int] = frozenset()
        self._out: list[Outgoing] = []

    # --- the outside ----------------------------------------------------------------------------------------------

    @property
    def decided(self) -> Mapping[int, Item] | None:
        """The bundle decided on, by author."""
        return None if self._decision is None else self._decision.items

    @property
    def entered(self) -> bool:
        """Whether this stage began."""
        return not math.isnan(self._entered_at)

    @property
    def exhausted(self) -> bool:
        """Whether enough members had their turn to lead, and nothing was decided."""
        return self._decision is None and self.view > self._quorum.faulty + 1

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
        self._deadline_s, self._expected = deadline_s, frozenset(expected)
        if item is not None:
            self._out.append((None, item))
        self._pool.open(item, least, check)
        early, self._early = self._early, []
        for author, bundle in early:
            self.hear_bundle(author, bundle)

    def awaited(self, away: Collection[int]) -> set[int]:
        """Whose items the stage waits for."""
        return set() if self._decision is not None else set(self._expected - self._pool.items.keys() - set(away))

    def wake_at(self, now: float) -> float:
        """When to call `advance` if nothing happens."""
        if self._decision is not None or not self.entered:
            return math.inf
        return min((time for time in (*self._times(), self._hope_until) if time > now), default=math.inf)

    def _times(self) -> tuple[float, float]:
        """Until when the view waits for everybody, and when it ends."""
        wait = 0.5 if self.view else 1.0
        return self._view_since + wait * self._deadline_s, self._view_since + 2 * self._deadline_s

    def answer(self, author: int) -> list[Outgoing]:
        """What a member that fetches this stage is sent."""
        me, decision = self._notary.me, self._decision
        if decision is None:
            voted = self._voted
        elif (proof := self._proof or self._ballots.prove(decision)) is not None:
            self._proof = proof
            return [(author, self._bundle(proof.lock, Role.DECISION, proof))]
        else:
            voted = decision.items
            self._commit(decision)
        said: list[PrivateMessage] = [*self._pool.mine]
        if voted is not None:
            said.append(self._bundle(self.view, Role.CONTENTS, Held(voted)))
        told = [view.told[me] for view in self._views.values() if me in view.told]
        said += [*self._cast_votes, *(self._bundle(self.view, Role.NEW_VIEW, held) for held in told)]
        return [(author, message) for message in said]

    # --- hearing --------------------------------------------------------------------------------------------------

    def hear_item(self, peer: int, item: Item) -> Item | None:
        """Take an item that `peer` sent or passed on; gives it as its author signed it, None if it did not."""
        signed, equivocation = self._pool.hear(peer, item)
        self._out += [(None, one) for one in equivocation]  # whoever sees both is convinced
        return signed

    def hear_vote(self, peer: int, vote: Vote) -> list[Outgoing]:
        """Take a vote of `peer`. What it returns is to be sent: a stage that is decided acts no more by itself."""
        if not self._in_reach(vote.view) or vote.step not in (VOTE, COMMITMENT) or vote.value == NIL:
            return []
        self._double_votes.hear(peer, vote)
        if self._decision is not None:
            return self._second(peer, vote, self._decision)
        votes = self._at(vote.view).votes[vote.step]
        if peer in votes:
            return []
        if peer not in self._notary.direct and not self._ballots.signed(peer, vote):
            self._name(peer, f"sends a vote in stage {self.stage.name} that it did not sign", ())
        else:
            votes[peer] = vote
        return []

    def _second(self, peer: int, vote: Vote, decision: Decision) -> list[Outgoing]:
        """Commit too, for a member that lacks the vote by which we were spared it."""
        if (vote.view, vote.step, vote.value) != (decision.view, COMMITMENT, decision.value) or peer in self._seconded:
            return []
        self._seconded.add(peer)
        return [(peer, self._commit(decision))]

    def hear_bundle(self, peer: int, bundle: Bundle) -> None:
        """Take what `peer` says on entering a view, proposes, or knows to be decided."""
        if self._decision is not None:
            return
        if not self.entered:
            kept = [len(early.body) for author, early in self._early if author == peer]
            if len(kept) < _EARLY_BUNDLES and sum(kept) + len(bundle.body) <= _EARLY_BYTES:
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
            case Role.DECISION:
                self._believe(held)
            case Role.PROPOSAL if peer == self._leader(bundle.view) and self._at(bundle.view).proposal is None:
                self._at(bundle.view).proposal = held
            case Role.NEW_VIEW if self._ballots.owns_up(peer, bundle.view, held):
                self._at(bundle.view).told.setdefault(peer, held)
            case Role.CONTENTS if self._asked.keys() & {value_of(self.stage, held.items)}:
                self._pool.learn(held.items)

    def _believe(self, held: Held) -> None:
        """Decide as another did, on its proof."""
        step = self._ballots.decisive(held)
        if step is not None:
            self._proof = held
            self._decide(Decision(held.items, held.lock, step, held.value, {}))

    # --- acting ---------------------------------------------------------------------------------------------------

    def advance(self, now: float, away: Collection[int]) -> list[Outgoing]:
        """Do what can be done now. What it returns is to be sent."""
        if self.entered:
            while self._decision is None and self._step(now, set(away)):
                pass
        out, self._out = self._out, []
        return out

    def _step(self, now: float, away: set[int]) -> bool:
        """One move; False where there is none to make."""
        view = self._at(self.view)
        collected, end = self._times()
        self._waited = now >= collected
        self._decide_by_votes()
        if self._decision is not None:
            return False
        if not view.committed and not self._hopes(view, now, away) and self._lock_by_votes(view):
            return True
        ready = self.view == 0 and not view.voted and (self._waited or not self.awaited(away))
        if ready and self._vote(view, self._pool.items, now):
            return True
        if self.view > 0 and not view.voted and self._lead_or_follow(view, away, now):
            return True
        ahead = others_view(self._views, self._quorum)
        if ahead > self.view:
            return self._enter_view(ahead, now)
        everyone = set(range(self._quorum.members)) - away
        if now >= end or split(view, everyone, self._quorum):
            return self._enter_view(self.view + 1, now)
        return False

    def _hopes(self, view: View, now: float, away: set[int]) -> bool:
        """Whether the votes of all may still come, and spare everybody the commitments."""
        votes = view.votes[VOTE]
        if self.view > 0 or not self._quorum.unanimity or not view.voted:
            return False
        if now >= self._hope_until:
            self._tardy |= set(range(self._quorum.members)) - away - votes.keys()
            return False
        return not (away or self._tardy or view.votes[COMMITMENT] or len({vote.value for vote in votes.values()}) > 1)

    def _lead_or_follow(self, view: View, away: set[int], now: float) -> bool:
        everyone = set(range(self._quorum.members)) - away
        if self._leader(self.view) == self._notary.me and not view.proposed:
            if len(view.told) < self._quorum.size or not (self._waited or everyone <= view.told.keys()):
                return False
            view.proposed = True
            held = self._ballots.proposal(view.told, self._pool.items)
            if self._pool.learn(held.items) is None:
                return False
            view.proposal = held
            self._out.append((None, self._bundle(self.view, Role.PROPOSAL, held)))
        spared = self._pool.equivocators
        if view.proposal is None or not self._ballots.acceptable(self.view, view, self._lock, self._first, spared):
            return False
        return self._vote(view, view.proposal.items, now)

    def _vote(self, view: View, items: Mapping[int, Item], now: float) -> bool:
        value = self._pool.learn(items)
        if value is None:
            return False
        view.voted, self._voted = True, dict(items)
        vote = self._cast(view, VOTE, value)
        if self.view == 0:
            self._first, self._first_items = (value, vote.signature), self._voted
            self._hope_until = now + _HOPE * self._deadline_s
        return True

    def _lock_by_votes(self, view: View) -> bool:
        value = supported(view.votes[VOTE], self._quorum.size)
        if value is None:
            return False
        if value not in self._pool.contents:
            self._ask(value, view.votes[VOTE])
            return False
        signatures = self._ballots.signatures(view.votes[VOTE], value)
        if len(signatures) < self._quorum.size:
            return False
        self._lock = Held(self._pool.contents[value], self.view, value, signatures)
        view.committed = True
        self._cast(view, COMMITMENT, value)
        return True

    def _decide_by_votes(self) -> None:
        for number, view in self._views.items():
            ways = [(COMMITMENT, self._quorum.size)]
            if number == 0 and self._quorum.unanimity:
                ways.append((VOTE, self._quorum.members))
            for step, least in ways:
                value = supported(view.votes[step], least)
                if value in self._pool.contents and value is not None:
                    self._decide(Decision(self._pool.contents[value], number, step, value, view.votes[step]))
                    return
                if value is not None:
                    self._ask(value, view.votes[step])

    def _decide(self, decision: Decision) -> None:
        self._decision = decision
        self._views.clear()
        self._pool.close()

    def _enter_view(self, view: int, now: float) -> bool:
        self.view, self._view_since = view, now
        if self.exhausted:
            return False
        if self._first is None:  # view 0 is over for us, so this stays true
            self._first = NIL, self._notary.vote(self.stage, 0, VOTE, NIL).signature
        held = self._lock or Held(self._first_items or dict(self._pool.items), first={self._notary.me: self._first})
        entered = self._at(view)
        entered.known = frozenset(self._pool.items)
        entered.told[self._notary.me] = held
        self._out += [(None, item) for author, item in self._pool.items.items() if author not in held.items]
        self._out.append((None, self._bundle(view, Role.NEW_VIEW, held)))
        return True

    # --- small questions ------------------------------------------------------------------------------------------

    def _in_reach(self, view: int) -> bool:
        """Whether any honest member gets to such a view."""
        return 0 <= view <= self._quorum.faulty + 2

    def _at(self, view: int) -> View:
        return self._views.setdefault(view, View())

    def _leader(self, view: int) -> int:
        return (self._first_leader + view) % self._quorum.members

    def _bundle(self, view: int, role: Role, held: Held) -> Bundle:
        return Bundle(self._notary.number, self.stage, view, role, held.pack())

    def _cast(self, view: View, step: int, value: bytes) -> Vote:
        vote = self._notary.vote(self.stage, self.view, step, value)
        view.votes[step][self._notary.me] = vote
        self._cast_votes.append(vote)
        self._out.append((None, vote))
        return vote

    def _commit(self, decision: Decision) -> Vote:
        """Our commitment to what was decided before it."""
        for vote in self._cast_votes:
            if (vote.view, vote.step) == (decision.view, COMMITMENT):
                return vote
        vote = self._notary.vote(self.stage, decision.view, COMMITMENT, decision.value)
        self._cast_votes.append(vote)
        return vote

    def _ask(self, value: bytes, votes: Mapping[int, Vote]) -> None:
        if not self._waited and self.awaited(()):
            return  # the items themselves may be on their way
        asked = self._asked.setdefault(value, {self._notary.me})
        for author, vote in votes.items():
            if vote.value == value and author not in asked:
                asked.add(author)
                self._out.append((author, Fetch(self._notary.number, self.stage, 0)))
