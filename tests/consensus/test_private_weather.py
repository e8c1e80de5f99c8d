"""What the network does costs time or the round, never the sum; and liars together with absentees, at every pair of
waves."""

import itertools

import pytest

from consensus.private_messages import Stage
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX, SIZE, Cell, terms_of
from tests.consensus.private_liars import silent_from

LIAR = 2
HONEST = (0, 1, 3, 5)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("loss", [0.02, 0.1])
def test_lost_repeated_and_reordered_messages(seed, loss):
    run = Cell(terms_of(SIX), seed=seed, loss=loss, repeat=0.2, reorder=True, latency_s=0.5).run()
    assert run.check() == {tuple(range(6))}
    assert run.named() == [set()] * 6


@pytest.mark.parametrize("seed", range(4))
def test_in_a_storm_nobody_is_named_and_no_sum_is_wrong(seed):
    run = Cell(terms_of(SIX), seed=seed, loss=0.45, repeat=0.3, reorder=True, latency_s=8.0).run(20000)
    run.check()
    assert run.named() == [set()] * 6


def test_repeated_and_reordered_messages_alone_change_nothing():
    run = Cell(terms_of(SIX), repeat=1.0, reorder=True, latency_s=0.2).run()
    assert run.check() == {tuple(range(6))}
    assert run.took_s < 10


def test_a_member_that_is_cut_off_for_a_while_catches_up():
    run = Cell(terms_of(SIX))
    send = run.send

    def cut(sender, receiver, message):
        if not (0.3 < run.now < 12 and 1 in (sender, receiver)):
            send(sender, receiver, message)

    run.send = cut
    run.run()
    assert len(run.check()) == 1
    assert run.members[1].outcome.mean is not None


LIARS = {
    "scalars": lambda member, others: liars.lying_scalars(member, others),
    "complaints": lambda member, others: liars.complaining(member, others[:2]),
    "opening": lambda member, _: liars.wrong_share_of_the_sum(member),
    "part": lambda member, _: liars.wrong_part(member),
    "checks": lambda member, _: liars.wrong_checks(member),
    "certificate": lambda member, _: liars.wrong_certificate(member),
    "two openings": lambda member, _: liars.two_openings(member),
    "no boxes": lambda member, others: liars.without_boxes(member, others[:1]),
    "equivocation": lambda member, _: liars.equivocating(member, Stage.PROVE),
    "few": lambda member, _: liars.selective(member, Stage.NONCE_2, 1),
    "votes": lambda member, _: liars.voting_twice(member),
}
BUILT = {
    "wraps": lambda _: liars.forger(liars.wrapping(SIZE)),
    "long": lambda _: liars.forger(liars.tripled(SIZE, 3600)),
    "inconsistent": lambda others: liars.inconsistent(others[:1]),
    "rubbish": lambda others: liars.rubbish(others[-1:]),
}
DENIABLE = {"complaints", "no boxes", "few"}
"""A box that did not come, and an item that only some heard, may be the network's fault."""
STAGES = [0, Stage.NONCE_1, Stage.PROVE, Stage.NONCE_2, Stage.SCALARS, 7, 8]
PAIRS = list(itertools.permutations(range(6), 2))
TOGETHER = [
    (lie, STAGES[number % len(STAGES)], *PAIRS[(7 * number) % len(PAIRS)])
    for number, (lie, _) in enumerate(itertools.product([*LIARS, *BUILT], range(3)))
]
"""Every lie with an absentee from three stages on, every stage with six lies or more; every pair of places is met."""


@pytest.mark.parametrize(("lie", "stage", "liar", "absentee"), TOGETHER)
def test_a_liar_and_an_absentee_together(lie, stage, liar, absentee):
    others = [i for i in range(6) if i not in (liar, absentee)]
    build = BUILT[lie](others) if lie in BUILT else None
    run = Cell(terms_of(SIX), build=lambda i, arguments: build(arguments) if build and i == liar else None)
    if build is None:
        run.members[liar].tamper = LIARS[lie](run.members[liar], others)
    run.members[absentee].tamper = silent_from(stage)
    run.run()
    (accepted,) = run.check(but=(liar, absentee))
    assert set(accepted) >= set(others)
    assert all(outcome.mean is not None for outcome in run.outcomes(but=(liar, absentee)))
    for named in run.named(but=(liar, absentee)):
        assert named == {liar} or (lie in DENIABLE and not named)


def test_every_pair_of_places_and_every_stage_is_met():
    assert {(liar, absentee) for _, _, liar, absentee in TOGETHER} == set(PAIRS)
    assert {stage for _, stage, _, _ in TOGETHER} == set(STAGES)
    assert all(len({stage for lie, stage, _, _ in TOGETHER if lie == one}) == 3 for one in (*LIARS, *BUILT))


@pytest.mark.parametrize("liar", ["scalars", "opening", "part", "checks"])
@pytest.mark.parametrize("second", [0, 4])
def test_one_liar_too_many_gives_no_wrong_sum(liar, second):
    run = Cell(terms_of(SIX))
    for index in (LIAR, second):
        run.members[index].tamper = LIARS[liar](run.members[index], HONEST[-3:])
    run.run().check(but=(LIAR, second))


@pytest.mark.parametrize("liar", ["scalars", "opening", "part", "checks"])
def test_one_absentee_too_many_beside_a_liar_gives_no_wrong_sum(liar):
    run = Cell(terms_of(SIX))
    run.members[LIAR].tamper = LIARS[liar](run.members[LIAR], HONEST)
    run.members[0].tamper = run.members[4].tamper = silent_from(Stage.SCALARS)
    run.run().check(but=(0, LIAR, 4))
    for named in run.named(but=(0, LIAR, 4)):
        assert named <= {LIAR}
