import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.identity import PeerId
from overlay.liveness import Liveness, State

A, B = PeerId("a"), PeerId("b")
MOVES = {
    ("DOWN", "up"): "EXPECTED",
    ("EXPECTED", "heard"): "LIVE",
    ("EXPECTED", "missed"): "SUSPECTED",
    ("EXPECTED", "down"): "MUTE",
    ("LIVE", "down"): "DOWN",
    ("LIVE", "missed"): "SUSPECTED",
    ("SUSPECTED", "heard"): "LIVE",
    ("SUSPECTED", "down"): "MUTE",
    ("MUTE", "up"): "SUSPECTED",
}
PATHS = {
    "DOWN": [],
    "EXPECTED": ["up"],
    "LIVE": ["up", "heard"],
    "SUSPECTED": ["up", "missed"],
    "MUTE": ["up", "down"],
}
SIGNS = ("up", "heard", "down", "missed")


def after(*signs):
    liveness = Liveness([A, B])
    for now, sign in enumerate(signs):
        getattr(liveness, sign)(A, float(now))
    return liveness


@pytest.mark.parametrize(("state", "sign"), list(itertools.product(PATHS, SIGNS)))
def test_every_sign_in_every_state(state, sign):
    standing = after(*PATHS[state], sign).standing(A)
    expected = MOVES.get((state, sign), state)
    assert standing.state is State[expected]
    if expected != state:
        assert standing.since == len(PATHS[state])


def test_all_begin_as_down_and_nobody_waits_for_them():
    liveness = Liveness([A, B])
    assert liveness.waited_for() == frozenset()
    assert liveness.standing(A).since is None


def test_a_hung_peer_is_waited_for_once():
    liveness = after("up", "missed")
    liveness.up(B, 0.0)
    assert liveness.waited_for() == {B}
    liveness.heard(A, 5.0)
    assert liveness.waited_for() == {A, B}


def test_a_word_from_a_dead_connection_does_not_raise_it():
    assert after("up", "down", "heard").waited_for() == frozenset()


def test_a_stranger_is_our_mistake():
    with pytest.raises(KeyError):
        Liveness([A]).up(B, 0.0)


def test_a_peer_that_crashes_in_a_loop_without_a_word_is_waited_for_once():
    liveness = after("up", "down", "up")
    assert liveness.waited_for() == frozenset()
    liveness.heard(A, 5.0)
    assert liveness.waited_for() == {A}
    liveness.down(A, 6.0)
    liveness.up(A, 7.0)
    assert liveness.waited_for() == {A}


@given(st.lists(st.sampled_from(SIGNS), max_size=30))
def test_between_two_times_that_it_is_waited_for_in_vain_the_peer_spoke(signs):
    liveness = Liveness([A])
    in_vain, spoke = 0, False
    for now, sign in enumerate(signs):
        before = liveness.standing(A).state
        waited_for = A in liveness.waited_for()
        getattr(liveness, sign)(A, float(now))
        if sign == "up" and before in (State.DOWN, State.MUTE):
            spoke = False
        elif sign == "heard" and before not in (State.DOWN, State.MUTE):
            in_vain, spoke = 0, True
        elif waited_for and (sign == "missed" or (sign == "down" and not spoke)):
            in_vain += 1
        assert in_vain <= 1
