"""Safety whatever liars and the network do, progress while honest messages arrive: by random schedules."""

import heapq
import random
from itertools import count

import pytest

from consensus.agreement import Agreement, Quorum
from consensus.notary import Notary, value_of
from consensus.private_messages import Bundle, Fetch, Held, Item, Role, Stage, Vote
from tests.consensus.private_cell import keys, quick_sign, quick_verify

M, BOUND, FAULTY = 6, 1, 3
QUORUM = Quorum(M, BOUND, FAULTY)


class Table:
    """Members 0 … 4 are honest (some crashed), member 5 lies."""

    def __init__(self, seed, *, latency_s=0.1, loss=0.0, crashed=(), liar=True):
        self.random, self.now, self.order, self.heap = random.Random(seed), 0.0, count(), []
        self.latency_s, self.loss = latency_s, loss
        roster = tuple(one.peer_id for one, _ in keys(M))
        self.notaries = [
            Notary(roster, i, 3, b"c" * 32, quick_sign(one), quick_verify) for i, (one, _) in enumerate(keys(M))
        ]
        self.named = set()
        self.honest = [i for i in range(M - liar) if i not in crashed]
        self.liar = M - 1 if liar else None
        self.agreements = {
            i: Agreement(self.notaries[i], Stage.PROVE, QUORUM, seed, lambda who, *_: self.named.add(who))
            for i in self.honest
        }
        self.items = {i: self.notaries[i].item(Stage.PROVE, bytes([i])) for i in range(M)}
        self.lies = [self.notaries[5].item(Stage.PROVE, bytes([5, k])) for k in range(2)]

    def post(self, sender, out):
        for to, message in out:
            for receiver in range(M) if to is None else [to]:
                if receiver == sender:
                    continue
                if receiver == self.liar:
                    self.lie(message)
                elif receiver in self.agreements and self.random.random() >= self.loss:
                    self.deliver(sender, receiver, message)

    def deliver(self, sender, receiver, message):
        arrival = self.now + self.random.uniform(0, self.latency_s)
        heapq.heappush(self.heap, (arrival, next(self.order), receiver, sender, message))

    def lie(self, message):
        """The liar answers what it hears with whatever could split the others."""
        notary, choice = self.notaries[5], self.random.random()
        held = [dict(self.random.sample(sorted(self.items.items()), self.random.randint(4, 6))) for _ in range(2)]
        for one, lie in zip(held, self.lies, strict=True):
            one[5] = lie
        view = getattr(message, "view", 0) + self.random.randint(0, 1)
        for receiver in self.honest:
            items = self.random.choice(held)
            if isinstance(message, Vote) and choice < 0.5:
                said = notary.vote(Stage.PROVE, message.view, self.random.randint(0, 1), message.value)
            elif choice < 0.7:
                said = notary.vote(Stage.PROVE, view, self.random.randint(0, 1), value_of(Stage.PROVE, items))
            elif choice < 0.8:
                said = self.random.choice([*self.lies, self.items[5]])
            else:
                said = Bundle(3, Stage.PROVE, view, self.random.choice(list(Role)), Held(items).pack())
            if self.random.random() < 0.3:
                self.deliver(5, receiver, said)

    def run(self, until_s=400.0):
        for i in self.honest:
            self.agreements[i].enter(
                0.0, self.items[i], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None
            )
            self.post(i, self.agreements[i].advance(0.0, ()))
        step_s = 0.25
        while self.now < until_s and any(a.decided is None and not a.exhausted for a in self.agreements.values()):
            self.now += step_s
            while self.heap and self.heap[0][0] <= self.now:
                _, _, receiver, sender, message = heapq.heappop(self.heap)
                agreement = self.agreements[receiver]
                match message:
                    case Item():
                        agreement.hear_item(sender, message)
                    case Vote():
                        agreement.hear_vote(sender, message)
                    case Bundle():
                        agreement.hear_bundle(sender, message)
                    case Fetch():
                        self.post(receiver, agreement.answer(sender))
                self.post(receiver, agreement.advance(self.now, ()))
            for i, agreement in self.agreements.items():
                self.post(i, agreement.advance(self.now, ()))
        return self

    def decided(self):
        return [None if a.decided is None else value_of(Stage.PROVE, a.decided) for a in self.agreements.values()]


def test_without_faults_one_view_decides_on_everything():
    table = Table(0, liar=False).run()
    assert len(set(table.decided())) == 1
    assert all(a.decided.keys() == set(range(M)) and a.view == 0 for a in table.agreements.values())
    assert table.now < 1


@pytest.mark.parametrize("seed", range(60))
def test_a_liar_neither_splits_nor_stops_the_others(seed):
    table = Table(seed).run()
    values = table.decided()
    assert None not in values
    assert len(set(values)) == 1
    assert all(a.decided.keys() >= set(table.honest) for a in table.agreements.values())
    assert table.named <= {5}


@pytest.mark.parametrize("seed", range(40))
def test_a_liar_and_a_crashed_member(seed):
    table = Table(seed, crashed=(seed % 5,)).run()
    values = table.decided()
    assert None not in values
    assert len(set(values)) == 1


@pytest.mark.parametrize("seed", range(60))
def test_late_and_lost_messages_never_split_a_decision(seed):
    table = Table(seed, latency_s=15.0, loss=0.2).run()
    assert len(set(table.decided()) - {None}) <= 1
    assert table.named <= {5}


@pytest.mark.parametrize(("m", "b", "size"), [(4, 1, 3), (8, 2, 6), (16, 5, 11), (6, 1, 4)])
def test_two_quorums_share_an_honest_member(m, b, size):
    assert Quorum(m, b, 0).size == size
    assert 2 * size - m > b


class Alone:
    """Member 0 by itself, all items before it, and whoever else the test speaks for."""

    def __init__(self, *, votes=0):
        self.table = Table(0, liar=False)
        self.agreement = self.table.agreements[0]
        self.items, self.notaries, self.now = self.table.items, self.table.notaries, 0.0
        self.agreement.enter(0.0, self.items[0], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None)
        for author in range(1, M):
            self.agreement.hear_item(author, self.items[author])
        self.agreement.advance(0.0, ())
        for author in range(1, 1 + votes):
            self.agreement.hear_vote(author, self.vote(author, 0, self.items))
        self.until(1)

    def vote(self, author, view, items):
        return self.notaries[author].vote(Stage.PROVE, view, 0, value_of(Stage.PROVE, items))

    def until(self, view):
        while self.agreement.view < view:
            self.now += 5.0
            self.agreement.advance(self.now, ())

    def propose(self, items, lock=-1, voters=()):
        """What member 0 votes for when the leader of its view proposes this; skips views that member 0 leads."""
        while (leader := self.agreement._leader(self.agreement.view)) == 0:
            self.until(self.agreement.view + 1)
        signatures = {a: self.vote(a, lock, items).signature for a in voters}
        held = Held(items, lock, value_of(Stage.PROVE, items), signatures)
        bundle = Bundle(3, Stage.PROVE, self.agreement.view, Role.PROPOSAL, held.pack())
        self.agreement.hear_bundle(leader, bundle)
        out = self.agreement.advance(self.now, ())
        return [message.value for _, message in out if isinstance(message, Vote) and message.step == 0]


def some_of(items, *left_out):
    return {author: item for author, item in items.items() if author not in left_out}


def test_a_leader_cannot_leave_out_who_was_heard():
    alone = Alone()
    assert alone.propose(some_of(alone.items, 4)) == []
    alone.until(alone.agreement.view + 1)
    assert alone.propose(alone.items) == [value_of(Stage.PROVE, alone.items)]


def test_who_is_locked_votes_for_nothing_else():
    alone = Alone(votes=3)
    others = some_of(alone.items, 4)
    assert alone.propose(others) == []
    alone.until(alone.agreement.view + 1)
    assert alone.propose(others, lock=0, voters=(1, 2, 3, 4)) == []  # not after its own lock
    alone.until(alone.agreement.view + 1)
    assert alone.propose(others, lock=1, voters=(1, 2, 3)) == []  # no quorum
    assert not alone.agreement.exhausted


def test_a_later_quorum_releases_a_lock():
    alone = Alone(votes=3)
    others = some_of(alone.items, 4)
    alone.until(2)
    assert alone.propose(others, lock=1, voters=(1, 2, 3, 4)) == [value_of(Stage.PROVE, others)]


def test_the_lock_itself_may_be_proposed_again():
    alone = Alone(votes=3)
    assert alone.propose(alone.items) == [value_of(Stage.PROVE, alone.items)]
