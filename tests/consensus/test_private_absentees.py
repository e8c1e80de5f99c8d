import itertools

import pytest

from consensus.private_messages import Portion, Stage
from crypto.shamir import Packing
from tests.consensus.private_cell import SIX, Cell, terms_of
from tests.consensus.private_liars import silent_from

STAGES = [0, Stage.NONCE_1, Stage.PROVE, Stage.NONCE_2, Stage.SCALARS, 7, 8]


def with_silent(packing, silent, **others):
    run = Cell(terms_of(packing, **others))
    for index, stage in silent.items():
        run.members[index].tamper = silent_from(stage)
    return run.run()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("cell", [(4, 1, 2, 0, 1), (6, 1, 2, 1, 1)])
def test_one_absentee_at_any_stage_costs_nothing_but_its_own_update(cell, stage):
    packing = Packing(*cell)
    run = with_silent(packing, {1: stage})
    rest = tuple(i for i in range(packing.members) if i != 1)
    everyone = tuple(range(packing.members))
    assert run.check(but=(1,)) == {everyone if stage >= Stage.NONCE_2 else rest}
    assert run.named(but=(1,)) == [set()] * (packing.members - 1)
    for outcome in run.outcomes(but=(1,)):
        assert outcome.certified


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations_with_replacement(STAGES, 2)))
def test_an_absentee_and_a_silent_liar_at_any_two_stages(first, second):
    """m − f − e members are left, with least_accepted = m − f − e."""
    run = with_silent(SIX, {0: first, 4: second})
    found = run.check(but=(0, 4))
    assert len(found) == 1
    assert set(found.pop()) >= {1, 2, 3, 5}
    assert run.named(but=(0, 4)) == [set()] * 4


@pytest.mark.parametrize("stage", STAGES)
def test_beyond_the_bound_the_round_is_void_or_exact(stage):
    run = with_silent(SIX, {0: stage, 4: stage, 5: stage})
    for outcome in run.outcomes(but=(0, 4, 5)):
        assert outcome.void is not None or stage > Stage.SCALARS
    run.check(but=(0, 4, 5))
    assert run.named(but=(0, 4, 5)) == [set()] * 3


def test_who_is_known_to_be_away_is_not_waited_for():
    run = Cell(terms_of(SIX), build=lambda index, arguments: None)
    run.members[2].alive = False
    for member in run.members:
        member.round._away.add(2)
    assert run.run().check(but=(2,)) == {(0, 1, 3, 4, 5)}
    assert max(m.closed_at for m in run.members) < 2


@pytest.mark.parametrize("stage", [Stage.NONCE_1, Stage.PROVE, Stage.NONCE_2, Stage.SCALARS])
def test_who_comes_too_late_for_a_stage_has_not_lied(stage):
    """The others have decided without it and ask it for nothing any more; but it spoke when it was asked."""
    run, late = Cell(terms_of(SIX)), 1

    def hold_back(message, receiver):
        agreement = run.members[receiver].round._agreements[stage]

        def arrive():
            if agreement.decided is None:
                run.at(run.now + 0.1, arrive)
            else:
                run.send(late, receiver, message)

        if isinstance(message, Portion) or message.stage < stage:
            return message
        return arrive()

    run.members[late].tamper = hold_back
    run.run()
    assert all(late not in m.round._agreements[stage].decided for m in run.members if m.index != late)
    assert run.named(but=(late,)) == [set()] * 5
