"""Which base a mean is added to, decided by what members say: one meeting, fed by hand."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.base import Base
from consensus.effects import Send
from consensus.meeting import Meeting
from consensus.meeting_messages import BaseCopy, BaseWanted, Standing
from consensus.rules import mean

CELL = ("a", "b", "c", "d", "e")
OTHERS = CELL[1:]
ROUND = 7
DEADLINE_S = 8.0


def base(value: float, opened: int = 7, velocity: float | None = None) -> Base:
    def full(number: float) -> np.ndarray:
        return np.full(3, number, np.float32)

    return Base(full(value), opened, None if velocity is None else full(velocity))


def meeting(mine: Base, vouching: int = 2) -> Meeting:
    return Meeting("a", ROUND, CELL, mine, vouching=vouching, rule=mean, deadline_s=DEADLINE_S)


def say(one: Meeting, **bases: Base) -> None:
    for peer, theirs in bases.items():
        assert one.hear(peer, Standing(ROUND, theirs.digest, theirs.opened)) == []


def wanted(effects: list[Send]) -> list[tuple[str, bytes]]:
    return [(effect.peer, effect.message.base) for effect in effects if isinstance(effect.message, BaseWanted)]


def test_all_on_one_base_is_settled_at_once():
    one, mine = meeting(base(1)), base(1)
    one.start(0.0)
    say(one, b=mine, c=mine, d=mine, e=mine)
    common, effects = one.conclude(CELL, (), 1.0)
    assert (common.base.digest, common.vouched, effects) == (mine.digest, True, [])


def test_the_latest_base_with_enough_voices_wins_however_many_have_an_older_one():
    one, new = meeting(base(1, opened=6)), base(2)
    say(one, b=base(1, opened=6), c=base(1, opened=6), d=new, e=new)
    common, effects = one.conclude(CELL, (), 1.0)
    assert common is None
    ((holder, digest),) = wanted(effects)
    assert holder in "de"
    assert digest == new.digest
    one.hear(holder, BaseCopy(ROUND, new.body))
    common, effects = one.conclude(CELL, (), 1.1)
    assert np.array_equal(common.base.vector, new.vector)
    assert common.base.opened == 7
    assert common.vouched
    assert effects == []


@given(st.permutations(OTHERS), st.sampled_from([0, 1, 2, 3]))
def test_everybody_chooses_the_same_in_whatever_order_they_hear(order, mine):
    bases = {"a": base(mine), "b": base(1), "c": base(1), "d": base(2), "e": base(2)}
    one = meeting(bases["a"])
    say(one, **{peer: bases[peer] for peer in order})
    effects = one.prepare((), 0.0)
    winner = max(base(1).digest, base(2).digest)
    assert {digest for _, digest in wanted(effects)} <= {winner}
    assert bool(wanted(effects)) == (bases["a"].digest != winner)


def test_an_early_majority_is_not_taken_while_the_missing_could_outvote_it():
    one = meeting(base(1))
    say(one, b=base(1), c=base(2), d=base(1))
    # e is missing: with c it would vouch for another base of the same round.
    first, _ = one.conclude(CELL, (), 1.0)
    rival = base(2).digest > base(1).digest
    assert (first is None) == rival
    last, _ = one.conclude(CELL, (), 1.0 + DEADLINE_S)
    assert last.base.digest == base(1).digest
    assert last.vouched


def test_who_is_away_is_not_waited_for():
    one = meeting(base(1))
    say(one, b=base(1), c=base(2), d=base(1))
    common, _ = one.conclude(("a", "b", "c", "d"), ("e",), 1.0)
    assert common.vouched


def test_the_lost_is_said_and_asked_again_to_twice_as_many_each_time():
    one, new = meeting(base(1, opened=3)), base(2)
    one.start(0.0)
    say(one, b=new, c=new, d=new, e=new)
    asked = [wanted(one.prepare((), time))[:9] for time in (0.1, 0.2, 2.0, 2.1, 4.0, 6.0)]
    assert [len(times) for times in asked] == [1, 0, 2, 0, 4, 4]
    assert {peer for times in asked for peer, _ in times} == set(OTHERS)


def test_standings_that_are_missing_are_asked_for_by_telling_ours_again():
    one = meeting(base(1))
    assert [effect.peer for effect in one.start(0.0)] == list(OTHERS)
    say(one, b=base(1))
    assert one.prepare((), 1.0) == []
    assert [effect.peer for effect in one.prepare(("e",), 2.0)] == ["c", "d"]
    assert one.wake_at == pytest.approx(4.0)


def test_where_nobody_vouches_the_bases_of_the_accepted_become_one():
    one = meeting(base(1, velocity=1))
    theirs = {"b": base(2, velocity=2), "c": base(6, opened=5, velocity=3), "d": base(100, velocity=9)}
    say(one, **theirs, e=base(50, velocity=9))
    accepted = ("a", "b", "c")
    common, effects = one.conclude(accepted, (), 1.0)
    assert common is None
    assert sorted(peer for peer, _ in wanted(effects)) == ["b", "c"]
    one.hear("b", BaseCopy(ROUND, theirs["b"].body))
    one.hear("d", BaseCopy(ROUND, theirs["d"].body))  # was not asked for
    assert one.conclude(accepted, (), 1.1)[0] is None
    one.hear("c", BaseCopy(ROUND, theirs["c"].body))
    common, _ = one.conclude(accepted, (), 1.2)
    assert np.array_equal(common.base.vector, np.full(3, 3, np.float32))
    assert np.array_equal(common.base.velocity, np.full(3, 2, np.float32))
    assert not common.vouched


def test_what_has_not_come_by_the_deadline_does_not_count():
    one = meeting(base(1))
    say(one, b=base(2), c=base(6), d=base(7), e=base(8))
    one.conclude(CELL, (), 1.0)
    one.hear("c", BaseCopy(ROUND, base(6).body))
    common, _ = one.conclude(CELL, (), 1.0 + DEADLINE_S)
    assert np.array_equal(common.base.vector, np.full(3, 3.5, np.float32))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        np.full(4, 2, "<f4").tobytes(),
        np.array([1, np.nan, 2], "<f4").tobytes(),
        np.array([1, np.inf, 2], "<f4").tobytes(),
    ],
)
def test_a_vouched_digest_of_what_is_no_base_leaves_us_with_our_own(body):
    one = meeting(base(1))
    false = hashlib.sha256(body).digest()
    for peer in OTHERS:
        one.hear(peer, Standing(ROUND, false, 7))
    one.conclude(CELL, (), 0.0)
    one.hear("b", BaseCopy(ROUND, body))
    assert one.conclude(CELL, (), 0.1)[0] is None
    common, _ = one.conclude(CELL, (), DEADLINE_S)
    assert common.base.digest == base(1).digest
    assert not common.vouched


def test_bases_are_lent_a_few_times_and_only_those_that_are_public():
    one, mine = meeting(base(1)), base(1)
    assert one.hear("b", BaseWanted(ROUND, b"?" * 32)) == []
    copies = [one.hear("b", BaseWanted(ROUND, mine.digest)) for _ in range(20)]
    assert [bytes(effect.message.body) for effects in copies for effect in effects] == [mine.body] * 6
    assert one.hear("c", BaseWanted(ROUND, mine.digest))[0].peer == "c"


def test_a_meeting_that_is_over_tells_those_behind_what_the_round_made():
    one, made = meeting(base(1)), base(9, opened=8)
    one.close(made)
    (told,) = one.hear("b", Standing(ROUND, base(1).digest, 7))
    assert (told.message.base, told.message.opened) == (made.digest, 8)
    assert len([one.hear("b", Standing(ROUND, base(1).digest, 7)) for _ in range(20) if True]) == 20
    assert one.hear("b", Standing(ROUND, base(1).digest, 7)) == []  # often enough
    (copy,) = one.hear("b", BaseWanted(ROUND, made.digest))
    assert bytes(copy.message.body) == made.body


def test_a_result_needs_as_many_voices():
    one, made = meeting(base(1)), base(9, opened=8)
    one.hear("b", Standing(ROUND, made.digest, 8))
    common, effects = one.result(0.0)
    assert not common.vouched
    assert effects == []
    one.hear("c", Standing(ROUND, made.digest, 8))
    common, effects = one.result(0.0)
    assert common is None
    assert len(wanted(effects)) == 1
    one.hear("b", BaseCopy(ROUND, made.body))
    common, _ = one.result(0.1)
    assert common.vouched
    assert common.base.opened == 8


def test_what_the_round_made_is_no_base_of_the_round():
    """Members that closed before us must not make us add the mean to what it is in already."""
    one, made = meeting(base(1)), base(9, opened=8)
    say(one, b=base(1), c=base(1), d=base(1), e=base(1))
    for peer in OTHERS:
        one.hear(peer, Standing(ROUND, made.digest, 8))
    common, _ = one.conclude(CELL, (), 0.0)
    assert common.base.digest == base(1).digest


def test_who_speaks_of_rounds_to_come_is_not_heard():
    one = meeting(base(1))
    for peer in OTHERS:
        one.hear(peer, Standing(ROUND, b"?" * 32, 9))
    assert one.result(0.0)[0].base.digest == base(1).digest
    assert one.conclude(("a",), (), 0.0)[0].base.digest == base(1).digest


def test_who_stands_elsewhere_with_every_word_does_not_fill_the_memory():
    one, kept = meeting(base(0)), []
    say(one, b=base(1), c=base(2), d=base(3))  # b to d lend nothing, so that all is waited for
    for number in range(20):
        elsewhere = base(100.0 + number)
        one.hear("e", Standing(ROUND, elsewhere.digest, elsewhere.opened))
        _, effects = one.conclude(CELL, (), 1.0)
        kept += [digest for peer, digest in wanted(effects) if peer == "e"]
        one.hear("e", BaseCopy(ROUND, elsewhere.body))
    assert 1 <= len(kept) <= 4
