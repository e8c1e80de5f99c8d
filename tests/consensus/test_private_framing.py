"""t = 2 liars, more than the e = 1 that are corrected, beside an absentee: they have nobody honest convicted."""

import hashlib
from functools import cache, partial

import numpy as np
import pytest

from consensus.conviction import Certainty
from consensus.private_messages import Item, PortionKind, Stage
from consensus.private_runs import CHECK_BYTES
from crypto.field import PRIME, inner
from crypto.shamir import Packing, reconstruct
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import Cell, terms_of
from tests.consensus.test_private_attacks import conspiring, through

EIGHT = Packing(8, 2, 3, 1, 1)
COLLUDERS, ABSENT = (2, 5), 7
HONEST = tuple(member for member in range(8) if member not in (*COLLUDERS, ABSENT))
VICTIM = 3
OTHERS = tuple(member for member in HONEST if member != VICTIM)
"""Four honest holders: on a polynomial of degree 4 with two liars, and without the victim."""


def cell(lie, *, absent=True, direct=True):
    """`lie` makes what a colluder says."""
    run = Cell(terms_of(EIGHT, direct_bytes=32 * 1024 if direct else 0))
    for index in COLLUDERS:
        run.members[index].tamper = lie(run.members[index])
    if absent:
        run.members[ABSENT].tamper = lambda *_: None
    return run.run()


def convicted(run):
    """Whom any honest member convicts, and how surely."""
    return {
        (run.index[culprit.peer], culprit.certainty)
        for member in HONEST
        for culprit in run.members[member].outcome.culprits
        if culprit.certainty > Certainty.SUSPECTED
    }


def in_turn(*lies):
    """Several lies of one member, of different stages."""

    def make(member):
        tampers = [lie(member) for lie in lies]

        def tamper(message, receiver):
            told = [message]
            for one in tampers:
                given = [one(said, receiver) for said in told]
                told = [m for g in given if g is not None for m in (g if isinstance(g, list) else [g])]
            return told

        return tamper

    return make


def shifted_shares(member, to=lambda receiver: True):
    """Moves its share of the sum onto the polynomial that four honest holders and both liars are on."""
    by = through([honest + 1 for honest in OTHERS], member.index + 1)

    def tamper(message, receiver):
        if getattr(message, "kind", None) != PortionKind.SHARE or message.author != member.index or not to(receiver):
            return message
        words = np.frombuffer(message.body, "<u4").copy()
        words[0] = (int(words[0]) + by) % PRIME
        return member.round._opening._notary.portion(message.owner, PortionKind.SHARE, words.tobytes())

    return tamper


@pytest.mark.parametrize(("by", "absent"), [(1, True), (7, False)])
def test_lying_scalars_leave_every_honest_dealer_in_the_sum(by, absent):
    """Two of seven are more than decoding corrects: each dealer has to show who lied about it, and can."""
    run = cell(lambda member: liars.lying_scalars(member, HONEST, by=by), absent=absent)
    (accepted,) = run.check(but=(*COLLUDERS, ABSENT))
    assert set(accepted) >= set(HONEST)
    assert convicted(run) == {(liar, Certainty.PROVED) for liar in COLLUDERS}


def test_an_honest_holder_that_the_decoding_points_to_is_not_convicted():
    run = cell(lambda member: conspiring(member, OTHERS[0], OTHERS))
    (accepted,) = run.check(but=(*COLLUDERS, ABSENT))
    assert set(accepted) >= set(HONEST)
    assert convicted(run) == {(liar, Certainty.PROVED) for liar in COLLUDERS}


@pytest.mark.parametrize("status", [1, 2])
def test_complaints_scalars_and_no_answers_at_once_convict_the_liars_alone(status):
    def silent_in(stage):
        return lambda _: lambda message, to: None if isinstance(message, Item) and message.stage == stage else message

    run = cell(
        in_turn(
            partial(liars.complaining, about=[VICTIM], status=status),
            partial(liars.lying_scalars, about=[VICTIM, OTHERS[0]], by=3),
            silent_in(Stage.DISPUTE),
        )
    )
    assert {liar for liar, _ in convicted(run)} <= set(COLLUDERS)
    (accepted,) = run.check(but=(*COLLUDERS, ABSENT))
    assert set(accepted) >= set(HONEST)


def test_a_dealer_whose_answer_is_kept_from_the_others_is_left_out_and_not_convicted():
    """It may have crashed. That it fails a check is what two liars made of it."""
    run = Cell(terms_of(EIGHT))
    for index in COLLUDERS:
        run.members[index].tamper = liars.lying_scalars(run.members[index], [VICTIM])
    run.members[ABSENT].tamper = lambda *_: None
    run.members[VICTIM].tamper = liars.silent_from(Stage.DISPUTE)
    run.run()
    found = {run.index[c.peer]: c.certainty for m in OTHERS for c in run.members[m].outcome.culprits}
    assert found.get(VICTIM, Certainty.SUSPECTED) is Certainty.SUSPECTED


@pytest.mark.parametrize("direct", [True, False])
def test_an_honest_holder_that_the_opening_points_to_is_suspected_at_most(direct):
    """Of seven shares with one off, either that one is wrong or two others are."""
    run = cell(shifted_shares, direct=direct)
    assert convicted(run) <= {(liar, Certainty.WITNESSED) for liar in COLLUDERS}
    if direct:
        named = {run.index[c.peer] for m in OTHERS for c in run.members[m].outcome.culprits}
        assert VICTIM in named, "or else they did not try"


@pytest.mark.parametrize("direct", [True, False])
def test_one_that_is_told_another_sum_signs_it_and_shows_who_told_it(direct):
    run = cell(lambda member: shifted_shares(member, lambda receiver: receiver == VICTIM), direct=direct)
    assert {liar for liar, _ in convicted(run)} <= set(COLLUDERS)
    if direct:
        sums = [run.members[member].outcome.mean for member in (VICTIM, OTHERS[0])]
        assert not np.array_equal(*sums), "or else they did not try"
        assert convicted(run) == {(liar, Certainty.WITNESSED) for liar in COLLUDERS}


@pytest.mark.parametrize("listed", ["forged", "nobody's"])
def test_a_certificate_over_parts_that_were_not_sent_convicts_whoever_signs_it(listed):
    """The victim's share in another form would clear the liar, were it signed."""

    def certifying(member):
        def tamper(message, receiver):
            if not (isinstance(message, Item) and message.stage == Stage.CERTIFY and message.author == member.index):
                return message
            body = bytearray(message.body)
            body[0] ^= 1
            start = 32 + 96 * VICTIM
            if listed == "forged":
                body[start] ^= 1
            else:
                body[start : start + 96] = bytes(96)
            return member.round._opening._notary.item(Stage.CERTIFY, bytes(body))

        return tamper

    run = cell(certifying)
    assert convicted(run) == {(liar, Certainty.WITNESSED) for liar in COLLUDERS}
    assert run.check(but=(*COLLUDERS, ABSENT)) == {tuple(sorted((*HONEST, *COLLUDERS)))}


def wrong_run(run, owner, other):
    """A run of the sum as four honest holders and both liars are on it, and the combinations of both that bear it out:
    all signed.
    """
    layout, where = run.members[owner].round._opening._layout, run.members[owner].round._opening._runs[owner]
    shares = {member: run.members[member].round._opening._mine[where].copy() for member in (*OTHERS, owner, other)}
    for liar in (owner, other):
        shares[liar][0] = (int(shares[liar][0]) + through([honest + 1 for honest in OTHERS], liar + 1)) % PRIME
    on_it = sorted((*OTHERS, owner))
    body = reconstruct(EIGHT, on_it, [shares[member] for member in on_it]).reshape(-1).astype("<u4").tobytes()
    portion = run.members[owner].round._opening._notary.portion(owner, PortionKind.CHUNK, body)
    said = hashlib.sha256(body).digest()
    checks = {}
    for liar in (owner, other):
        combined = inner(layout.weights(owner, said), shares[liar][None])[:, 0]
        checks[liar] = said + portion.signature + combined.astype("<u4").tobytes()
    return portion, checks


def test_who_opens_the_right_sum_beside_four_that_were_lied_to_does_not_certify_the_wrong_run():
    """The victim alone is not shown the combinations of the liars, so that it fetches the shares of that run; and then
    it is sent the wrong run again.
    """
    run, (owner, other) = Cell(terms_of(EIGHT)), COLLUDERS
    lie = cache(lambda: wrong_run(run, owner, other))

    def lying(member):
        def tamper(message, receiver):
            kind = getattr(message, "kind", None)
            if isinstance(message, Item) and message.author == member.index and message.stage == Stage.CHECK:
                opening, (_, checks) = member.round._opening, lie()
                start = list(opening._runs).index(owner) * CHECK_BYTES
                said = bytes(CHECK_BYTES) if receiver == VICTIM else checks[member.index]
                body = bytes(message.body)
                return opening._notary.item(Stage.CHECK, body[:start] + said + body[start + CHECK_BYTES :])
            if member.index != owner or kind is None or message.owner != owner:
                return None if isinstance(message, Item) and message.stage == Stage.CERTIFY else message
            return lie()[0] if kind == PortionKind.CHUNK else [lie()[0], message]

        return tamper

    for index in COLLUDERS:
        run.members[index].tamper = lying(run.members[index])
    run.members[ABSENT].tamper = lambda *_: None
    run.run()
    means = [run.members[member].outcome.mean for member in (VICTIM, OTHERS[0])]
    assert not np.array_equal(*means), "or else they did not try"
    assert {liar for liar, _ in convicted(run)} <= set(COLLUDERS)
