"""Sums opened by everybody for themselves: one wave, the same sums, and the same liars named."""

from dataclasses import replace

import numpy as np
import pytest

from consensus.direct_opening import DirectOpening
from consensus.notary import Notary
from consensus.private_messages import Item, Portion, PortionKind, Stage
from crypto.field import PRIME
from crypto.shamir import Packing
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX, Cell, keys, quick_sign, quick_verify, terms_of

LIAR, ALL = 2, (0, 1, 2, 3, 4, 5)
DIRECT = 1 << 20


def run_with(liar=None, absent=None, packing=SIX, **others):
    run = Cell(terms_of(packing, direct_bytes=DIRECT), **others)
    if liar is not None:
        run.members[LIAR].tamper = liar(run.members[LIAR])
    if absent is not None:
        run.members[4].tamper = absent
    return run.run()


def off(member, to=lambda receiver: True, *, signed=True):
    """A share of the sum that is off by one, for some."""

    def tamper(message, receiver):
        if not isinstance(message, Portion) or message.author != member.index or not to(receiver):
            return message
        words = np.frombuffer(message.body, "<u4").copy()
        words[0] = (int(words[0]) + 1) % PRIME
        other = member.round._opening._notary.portion(message.owner, message.kind, words.tobytes())
        return other if signed else replace(message, body=words.tobytes())

    return tamper


@pytest.mark.parametrize("packing", [SIX, Packing(8, 2, 3, 1, 1), Packing(4, 1, 2, 0, 1)])
def test_both_openings_give_the_same_sum_and_this_one_fewer_messages(packing):
    sums, sends = [], []
    for direct in (0, DIRECT):
        run = Cell(terms_of(packing, direct_bytes=direct)).run()
        (accepted,) = run.check()
        sums.append(run.exact_mean(tuple(run.terms.cell[member] for member in accepted)))
        sends.append(run.sends)
        assert isinstance(run.members[0].round._opening, DirectOpening) == bool(direct)
        assert all(len(outcome.certificate) == packing.members for outcome in run.outcomes())
    assert np.array_equal(*sums)
    assert sends[0] - sends[1] == 2 * packing.members * (packing.members - 1)


@pytest.mark.parametrize(
    "liar",
    [
        off,
        lambda member: off(member, lambda receiver: receiver == 0),
        lambda member: off(member, lambda receiver: receiver < 4),
        liars.two_openings,
        liars.wrong_certificate,
    ],
)
@pytest.mark.parametrize("absent", [None, liars.silent_from(7), liars.silent_from(8)])
def test_a_liar_is_corrected_and_named_by_all(liar, absent):
    run = run_with(liar, absent)
    but = (LIAR,) if absent is None else (LIAR, 4)
    assert run.check(but=but) == {ALL}
    assert run.named(but=but) == [{LIAR}] * (6 - len(but))
    assert all(outcome.certified for outcome in run.outcomes(but=but))


def test_a_share_that_its_holder_did_not_sign_counts_as_none():
    run = run_with(lambda member: off(member, signed=False))
    assert run.check(but=(LIAR,)) == {ALL}
    assert run.named(but=(LIAR,)) == [{LIAR}] * 5


def test_two_liars_give_no_wrong_sum():
    run = Cell(terms_of(SIX, direct_bytes=DIRECT))
    for index in (LIAR, 5):
        run.members[index].tamper = off(run.members[index])
    assert run.run().check(but=(LIAR, 5)) <= {ALL}


@pytest.mark.parametrize("seed", range(6))
def test_lost_and_repeated_messages_change_no_sum(seed):
    run = run_with(seed=seed, loss=0.1, repeat=0.2, reorder=True)
    assert run.check() <= {ALL}
    assert run.named() == [set()] * 6


class Alone:
    """The opening of member 0, and whoever else the test speaks for."""

    def __init__(self):
        self.terms = terms_of(SIX, direct_bytes=DIRECT)
        self.notaries = [
            Notary(self.terms.cell, i, 3, b"d" * 32, quick_sign(one), quick_verify)
            for i, (one, _) in enumerate(keys(6))
        ]
        self.named = {}
        self.width = SIX.columns(self.terms.size)
        mine = np.zeros(self.width, np.uint32)
        self.opening = DirectOpening(
            self.terms,
            self.notaries[0],
            range(6),
            mine,
            bytes,
            lambda who, why, *_: self.named.setdefault(who, why),
            0.0,
        )
        self.opening.advance(0.0, ())

    def share(self, author, fill=0):
        body = np.full(self.width, fill, "<u4").tobytes()
        return self.notaries[author].portion(author, PortionKind.SHARE, body)


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"kind": PortionKind.CHUNK}, 1),
        ({"owner": 3}, 1),
        ({"author": 9, "owner": 9}, 1),
        ({"author": 3, "owner": 3}, 1),
        ({"signature": bytes(64)}, 1),
        ({"body": b""}, 1),
    ],
)
def test_what_is_not_a_share_of_its_author_is_refused(changes, culprit):
    alone = Alone()
    alone.opening.hear_portion(1, replace(alone.share(1), **changes))
    assert alone.named.keys() == {culprit}
    assert alone.opening._shares.keys() == {0}


def test_a_signed_share_of_the_wrong_form_names_its_author_whoever_passes_it_on():
    alone = Alone()
    for body in (b"", bytes(4 * alone.width + 4), b"\xff" * (4 * alone.width)):
        alone.opening.hear_portion(1, alone.notaries[3].portion(3, PortionKind.SHARE, body))
    assert alone.named.keys() == {3}


def test_two_shares_of_one_holder_are_passed_on_once():
    alone = Alone()
    for fill in (1, 2, 3):
        alone.opening.hear_portion(1, alone.share(1, fill))
    told = [message for _, message in alone.opening.advance(0.0, ()) if isinstance(message, Portion)]
    assert [int(np.frombuffer(portion.body, "<u4")[0]) for portion in told] == [1, 2]
    assert "two different" in alone.named[1]


def test_a_wrong_share_that_comes_after_the_sum_is_named_all_the_same():
    alone = Alone()
    for author in range(1, 5):
        alone.opening.hear_portion(author, alone.share(author))
    out = alone.opening.advance(0.0, {5})
    assert [m.stage for _, m in out if isinstance(m, Item)] == [Stage.CERTIFY]
    alone.opening.hear_portion(1, alone.share(5, 7))
    out = alone.opening.advance(0.0, {5})
    assert "wrong share" in alone.named[5]
    assert [m.author for _, m in out if isinstance(m, Portion)] == [5]


def test_fewer_shares_than_notice_a_lie_open_nothing():
    alone = Alone()
    for author in range(1, SIX.degree + SIX.liars):
        alone.opening.hear_portion(author, alone.share(author))
    alone.opening.advance(alone.terms.deadline_s, ())
    assert alone.opening.total is None
    alone.opening.hear_portion(5, alone.share(5))
    alone.opening.advance(alone.terms.deadline_s, ())
    assert alone.opening.total is not None
