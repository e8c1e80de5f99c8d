"""Two votes of one member in one step of a view: what convicts, and what does not."""

from dataclasses import replace

import pytest

from consensus.agreement import Agreement
from consensus.double_votes import DoubleVotes
from consensus.notary import Notary, value_of
from consensus.private_messages import Stage
from consensus.quorum import Quorum
from tests.consensus.private_cell import keys, quick_sign, quick_verify

M = 6
ROSTER = tuple(one.peer_id for one, _ in keys(M))
ONE, OTHER = b"1" * 32, b"2" * 32


def notary(member, **changes):
    made = Notary(ROSTER, member, 3, b"c" * 32, quick_sign(keys(M)[member][0]), quick_verify, frozenset(range(M)))
    return replace(made, **changes)


def vote(value, view=0, step=0, *, by=1, **changes):
    return notary(by, **changes).vote(Stage.PROVE, view, step, value)


class Ear:
    def __init__(self):
        self.named = []
        self.votes = DoubleVotes(notary(0), Stage.PROVE, lambda who, why, proof, *_: self.named.append((who, proof)))

    def hear(self, *votes):
        for one in votes:
            self.votes.hear(1, one)
        return self


def test_two_signed_votes_convict_by_both_signatures():
    one, other = vote(ONE), vote(OTHER)
    ear = Ear().hear(one, other, other, vote(b"3" * 32))
    assert ear.named == [(1, (one, other))]
    for said in ear.named[0][1]:
        assert notary(2).voted(1, Stage.PROVE, said.view, said.step, said.value, said.signature), "whoever looks"


@pytest.mark.parametrize(
    "second",
    [vote(ONE), vote(OTHER, view=1), vote(OTHER, step=1)],
    ids=["the same again", "another view", "the commitment"],
)
def test_votes_that_an_honest_member_may_sign_convict_nobody(second):
    assert Ear().hear(vote(ONE), second).named == []


@pytest.mark.parametrize("first", [True, False])
def test_a_vote_that_it_did_not_sign_is_no_proof(first):
    """What comes over its channel is held against it, and shown to nobody."""
    false = replace(vote(OTHER), signature=bytes(64))
    ear = Ear().hear(*((false, vote(ONE)) if first else (vote(ONE), false)))
    assert ear.named == [(1, ())]


def test_a_false_first_vote_does_not_hide_two_true_ones():
    one, other = vote(ONE), vote(OTHER)
    ear = Ear().hear(replace(vote(b"0" * 32), signature=bytes(64)), one, other)
    assert ear.named == [(1, ()), (1, (one, other))]


def test_contradictions_of_one_member_cost_a_few_signatures_and_no_more():
    checked = []
    counting = notary(0, verify=lambda *said: bool(checked.append(said)))
    votes = DoubleVotes(counting, Stage.PROVE, lambda *_: None)
    for number in range(100):
        votes.hear(1, vote(number.to_bytes(32, "big")))
    assert len(checked) <= 8


def test_the_second_vote_is_heard_after_the_stage_is_decided():
    named = []
    agreement = Agreement(notary(0), Stage.PROVE, Quorum(M, 1, 2), 0, lambda who, *_: named.append(who))
    items = {author: notary(author).item(Stage.PROVE, bytes([author])) for author in range(M)}
    agreement.enter(0.0, items[0], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None)
    for author in range(1, M):
        agreement.hear_item(author, items[author])
    agreement.advance(0.0, ())
    for author in range(1, M):
        agreement.hear_vote(author, vote(value_of(Stage.PROVE, items), by=author))
    agreement.advance(0.0, ())
    assert agreement.decided is not None
    agreement.hear_vote(4, vote(OTHER, by=4))
    assert named == [4]
