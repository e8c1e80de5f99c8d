"""What the network does costs time or the round, never the sum; and liars together with absentees, at every pair of
waves."""

import pytest

from consensus.private_messages import Stage
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX, SIZE, Cell, terms_of
from tests.consensus.private_liars import silent_from

LIAR, ABSENTEE = 2, 4
HONEST = (0, 1, 3, 5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("loss", [0.02, 0.1])
def test_lost_repeated_and_reordered_messages(seed, loss):
    run = Cell(terms_of(SIX), seed=seed, loss=loss, repeat=0.2, reorder=True, latency_s=0.5).run()
    assert run.check() == {tuple(range(6))}
    assert run.named() == [set()] * 6


@pytest.mark.parametrize("seed", range(8))
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
    "scalars": lambda member: liars.lying_scalars(member, [0, 1, 3, 5]),
    "complaints": lambda member: liars.complaining(member, [0, 1]),
    "opening": liars.wrong_share_of_the_sum,
    "part": liars.wrong_part,
    "checks": liars.wrong_checks,
    "certificate": liars.wrong_certificate,
    "two openings": liars.two_openings,
    "no boxes": lambda member: liars.without_boxes(member, [0]),
    "equivocation": lambda member: liars.equivocating(member, Stage.PROVE),
    "few": lambda member: liars.selective(member, Stage.NONCE_2, 1),
    "votes": liars.voting_twice,
}
BUILT = {
    "wraps": liars.forger(liars.wrapping(SIZE)),
    "long": liars.forger(liars.tripled(SIZE, 3600)),
    "inconsistent": liars.inconsistent([0]),
    "rubbish": liars.rubbish([5]),
}


@pytest.mark.parametrize("stage", [0, Stage.NONCE_1, Stage.PROVE, Stage.NONCE_2, Stage.SCALARS, 7, 8])
@pytest.mark.parametrize("liar", [*LIARS, *BUILT])
def test_a_liar_and_an_absentee_together(liar, stage):
    build = BUILT.get(liar)
    run = Cell(terms_of(SIX), build=lambda i, arguments: build(arguments) if build and i == LIAR else None)
    if build is None:
        run.members[LIAR].tamper = LIARS[liar](run.members[LIAR])
    run.members[ABSENTEE].tamper = silent_from(stage)
    run.run()
    (accepted,) = run.check(but=(LIAR, ABSENTEE))
    assert set(accepted) >= set(HONEST)
    assert all(outcome.mean is not None for outcome in run.outcomes(but=(LIAR, ABSENTEE)))
    for named in run.named(but=(LIAR, ABSENTEE)):
        assert named <= {LIAR}


@pytest.mark.parametrize("liar", ["scalars", "opening", "part", "checks"])
@pytest.mark.parametrize("second", [0, 4])
def test_one_liar_too_many_gives_no_wrong_sum(liar, second):
    run = Cell(terms_of(SIX))
    for index in (LIAR, second):
        run.members[index].tamper = LIARS[liar](run.members[index])
    run.run().check(but=(LIAR, second))


@pytest.mark.parametrize("liar", ["scalars", "opening", "part", "checks"])
def test_one_absentee_too_many_beside_a_liar_gives_no_wrong_sum(liar):
    run = Cell(terms_of(SIX))
    run.members[LIAR].tamper = LIARS[liar](run.members[LIAR])
    run.members[0].tamper = run.members[4].tamper = silent_from(Stage.SCALARS)
    run.run().check(but=(0, LIAR, 4))
    for named in run.named(but=(0, LIAR, 4)):
        assert named <= {LIAR}
