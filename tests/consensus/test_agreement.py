"""Safety whatever liars and the network do, progress while honest messages arrive: by random schedules."""

import heapq
import random
from dataclasses import replace
from itertools import count

import pytest

from consensus.agreement import Agreement
from consensus.notary import Notary, value_of
from consensus.private_messages import NIL, Bundle, Fetch, Held, Item, Role, Stage, Vote
from consensus.quorum import Quorum
from tests.consensus.private_cell import keys, quick_sign, quick_verify

M, BOUND, FAULTY = 6, 1, 3
QUORUM = Quorum(M, BOUND, FAULTY)


class Table:
    """Members 0 … 4 are honest (some crashed), member 5 lies."""

    def __init__(self, seed, *, latency_s=0.1, loss=0.0, crashed=(), liar=True, direct=False):
        self.random, self.now, self.order, self.heap = random.Random(seed), 0.0, count(), []
        self.latency_s, self.loss = latency_s, loss
        roster = tuple(one.peer_id for one, _ in keys(M))
        self.notaries = [
            Notary(roster, i, 3, b"c" * 32, quick_sign(one), quick_verify, frozenset(range(M) if direct else ()))
            for i, (one, _) in enumerate(keys(M))
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
                        self.post(receiver, agreement.hear_vote(sender, message))
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

    def __init__(self, *, votes=0, items=M, seed=0):
        self.table = Table(seed, liar=False)
        self.agreement = self.table.agreements[0]
        self.items, self.notaries, self.now = self.table.items, self.table.notaries, 0.0
        self.agreement.enter(0.0, self.items[0], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None)
        for author in range(1, items):
            self.agreement.hear_item(author, self.items[author])
        self.agreement.advance(0.0, ())
        self.agreement.advance(5.0, ())
        for author in range(1, 1 + votes):
            self.agreement.hear_vote(author, self.vote(author, 0, self.items))
        self.until(1)

    def vote(self, author, view, items):
        return self.notaries[author].vote(Stage.PROVE, view, 0, value_of(Stage.PROVE, items))

    def until(self, view):
        while self.agreement.view < view:
            self.now += 5.0
            self.agreement.advance(self.now, ())

    def propose(self, items, lock=-1, voters=(), first=(), forged=False):
        """What member 0 votes for when the leader of its view proposes this; skips views that member 0 leads."""
        while (leader := self.agreement._leader(self.agreement.view)) == 0:
            self.until(self.agreement.view + 1)
        signatures = {a: self.vote(a, lock, items).signature for a in voters}
        votes = {a: self.notaries[a].vote(Stage.PROVE, 0, 0, value) for a, value in dict(first).items()}
        first = {a: (vote.value, bytes(64) if forged else vote.signature) for a, vote in votes.items()}
        held = Held(items, lock, value_of(Stage.PROVE, items), signatures, first)
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


# --- all votes of view 0 ----------------------------------------------------------------------------------------------


def test_the_votes_of_all_spare_everybody_the_commitments():
    table, sent = Table(0, liar=False), []
    table.post = lambda sender, out, post=table.post: (sent.extend(out), post(sender, out))
    table.run()
    assert len(set(table.decided())) == 1
    assert not [message for _, message in sent if isinstance(message, Vote) and message.step]


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("forged", [False, True])
def test_who_alone_sees_the_votes_of_all_decides_what_the_others_do(seed, forged):
    """The liar votes with the others, for one or two of them to see; its signature may be good for nothing."""
    table = Table(seed, latency_s=2.0, crashed=() if seed % 3 else (seed % 5,), direct=forged)
    table.items[5] = table.lies[0]
    favoured = set(table.random.sample(table.honest, 1 + seed % 2))

    def lie(message):
        if not isinstance(message, Vote) or message.view or message.step:
            return
        vote = table.notaries[5].vote(Stage.PROVE, 0, 0, message.value)
        vote = replace(vote, signature=bytes(64)) if forged else vote
        for receiver in favoured:
            table.deliver(5, receiver, vote)

    table.lie = lie
    for receiver in table.honest:
        table.deliver(5, receiver, table.items[5])
    table.run()
    assert len(set(table.decided())) == 1
    assert None not in table.decided()
    assert table.named <= {5}


def test_who_voted_first_is_released_by_more_signed_votes_against_than_there_are_liars():
    for voices in ({}, {1: b"y" * 32}, {1: b"y" * 32, 2: NIL}):
        alone = Alone()
        fewer = some_of(alone.items, 4)
        alone.agreement._at(1).known = frozenset(fewer)  # it never heard of 4 otherwise
        expected = [value_of(Stage.PROVE, fewer)] if len(voices) > BOUND else []
        assert alone.propose(fewer, first=voices) == expected


def test_first_votes_that_are_not_signed_release_nobody():
    alone = Alone()
    fewer = some_of(alone.items, 4)
    alone.agreement._at(1).known = frozenset(fewer)
    assert alone.propose(fewer, first={1: b"y" * 32, 2: NIL, 3: NIL}, forged=True) == []


def test_what_all_may_have_voted_for_may_be_proposed_although_it_leaves_somebody_out():
    alone = Alone(items=5)
    fewer = some_of(alone.items, 5)
    assert alone.agreement._first[0] == value_of(Stage.PROVE, fewer)
    alone.agreement.hear_item(5, alone.items[5])
    alone.until(alone.agreement.view + 1)
    value = value_of(Stage.PROVE, fewer)
    assert alone.propose(fewer, first=dict.fromkeys((1, 2), value)) == []
    alone.until(alone.agreement.view + 1)
    assert alone.propose(fewer, first=dict.fromkeys((1, 2, 3), value)) == [value]


def test_a_leader_proposes_what_all_may_have_voted_for():
    alone = Alone(items=5, seed=5)
    value, view = alone.agreement._first[0], alone.agreement.view
    assert alone.agreement._leader(view) == 0
    for author in range(1, M):
        voted = value if author != 5 else NIL
        items = some_of(alone.items, 5) if author != 5 else alone.items
        first = {author: (voted, alone.notaries[author].vote(Stage.PROVE, 0, 0, voted).signature)}
        bundle = Bundle(3, Stage.PROVE, view, Role.NEW_VIEW, Held(items, first=first).pack())
        alone.agreement.hear_bundle(author, bundle)
    out = [message for _, message in alone.agreement.advance(alone.now, ())]
    assert [m.value for m in out if isinstance(m, Vote)] == [value]
    assert [len(Held.unpack(m).first) for m in out if isinstance(m, Bundle)] == [M]


def test_who_enters_a_view_without_its_word_on_the_first_is_not_counted():
    alone = Alone()
    for author, signer in ((1, 1), (2, 3)):
        first = {author: (NIL, alone.notaries[signer].vote(Stage.PROVE, 0, 0, NIL).signature)}
        bundle = Bundle(3, Stage.PROVE, 1, Role.NEW_VIEW, Held(alone.items, first=first).pack())
        alone.agreement.hear_bundle(author, bundle)
    assert alone.agreement._at(1).told.keys() == {0, 1}


def test_all_votes_convince_who_comes_late_and_one_less_does_not():
    items = Table(0).items
    for voters, decided in ((M, True), (M - 1, False)):
        late = Table(0, liar=False).agreements[0]
        late.enter(0.0, items[0], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None)
        notaries, value = Table(0).notaries, value_of(Stage.PROVE, items)
        signatures = {a: notaries[a].vote(Stage.PROVE, 0, 0, value).signature for a in range(voters)}
        late.hear_bundle(1, Bundle(3, Stage.PROVE, 0, Role.DECISION, Held(items, 0, value, signatures).pack()))
        assert (late.decided is not None) == decided


def test_five_of_whom_two_may_lie_are_too_few_for_the_votes_of_all_to_decide():
    assert not Quorum(5, 2, 0).unanimity
    assert Quorum(8, 2, 2).unanimity


def test_votes_that_fail_to_come_are_waited_for_once_in_a_round():
    alone = Alone()
    assert alone.agreement._tardy == set(range(1, M))


def test_who_decided_on_a_vote_that_is_not_signed_gives_its_own_word_for_it():
    table = Table(0, liar=False, direct=True)
    agreement, value = table.agreements[0], value_of(Stage.PROVE, table.items)
    agreement.enter(0.0, table.items[0], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None)
    for author in range(1, M):
        agreement.hear_item(author, table.items[author])
        vote = table.notaries[author].vote(Stage.PROVE, 0, 0, value)
        agreement.hear_vote(author, replace(vote, signature=bytes(64)) if author == 5 else vote)
    agreement.advance(0.0, ())
    assert agreement.decided is not None
    assert not table.named
    said = [message for _, message in agreement.answer(1)]
    assert [message.role for message in said if isinstance(message, Bundle)] == [Role.CONTENTS]
    assert [(m.step, m.value) for m in said if isinstance(m, Vote)] == [(0, value), (1, value)]
    assert table.named == {5}
