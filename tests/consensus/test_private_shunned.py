"""Members vote each other's updates out of a private sum: more than half of the cell, or nothing changes."""

import pytest

from consensus.private_messages import Item, Stage
from consensus.private_round import PrivateRound
from tests.consensus.private_cell import SIX, Cell, terms_of

TERMS = terms_of(SIX)


def voting(voters, against):
    """A cell in which `voters` shun the places in `against`."""

    def build(index, arguments):
        shunned = [TERMS.cell[place] for place in against] if index in voters else []
        return PrivateRound(**arguments, shunned=shunned)

    return Cell(TERMS, build=build).run()


def test_whom_more_than_half_shun_is_in_no_members_sum():
    cell = voting((0, 1, 2, 3), (5,))
    assert cell.check() == {(0, 1, 2, 3, 4)}
    assert all(outcome.mean is not None for outcome in cell.outcomes())
    assert cell.named() == [set()] * 6


def test_who_is_left_out_learns_the_mean_and_that_it_is_not_in_it():
    outcome = voting((0, 1, 2, 3), (5,)).members[5].outcome
    assert outcome.mean is not None
    assert not outcome.exposed


@pytest.mark.parametrize("voters", [(), (0,), (0, 1, 2)])
def test_half_of_the_members_or_fewer_leave_nobody_out(voters):
    assert voting(voters, (4, 5)).check() == {(0, 1, 2, 3, 4, 5)}


def test_ones_own_vote_against_oneself_is_none():
    assert voting((2, 3, 4, 5), (5,)).check() == {(0, 1, 2, 3, 4, 5)}  # three others, and not the fourth


def test_a_vote_is_a_yes_or_a_no():
    """What is neither is no item: its author is as one that says nothing."""
    cell = Cell(TERMS)

    def louder(message, receiver):
        if isinstance(message, Item) and message.stage == Stage.COMMIT and message.author == 2:
            body = bytes(message.body[:-6]) + b"\x02" * 6
            return cell.members[2].round._notary.item(Stage.COMMIT, body)
        return message

    cell.members[2].tamper = louder
    cell.run()
    (accepted,) = cell.check(but=(2,)) or {()}
    assert 2 not in accepted


def test_too_many_left_out_make_the_round_void():
    outcomes = voting(range(6), (1, 4, 5)).outcomes()
    assert all(outcome.mean is None and not outcome.exposed for outcome in outcomes)
    assert {outcome.void for outcome in outcomes} == {"3 updates are left, h + t = 4 are needed"}
