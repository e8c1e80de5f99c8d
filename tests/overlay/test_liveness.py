import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.identity import PeerId
from overlay.liveness import Liveness, State

A, B = PeerId("a"), PeerId("b")
DEAF = {
    ("DOWN", "down"),
    ("DOWN", "heard"),
    ("DOWN", "missed"),
    ("LIVE", "up"),
    ("LIVE", "heard"),
    ("SUSPECTED", "missed"),
}
PATHS = {"DOWN": [], "LIVE": ["up"], "SUSPECTED": ["up", "missed"]}
AFTER = {"up": "LIVE", "heard": "LIVE", "down": "DOWN", "missed": "SUSPECTED"}


def after(*signs):
    liveness = Liveness([A, B])
    for now, sign in enumerate(signs):
        getattr(liveness, sign)(A, float(now))
    return liveness


@pytest.mark.parametrize(("state", "sign"), list(itertools.product(PATHS, AFTER)))
def test_every_sign_in_every_state(state, sign):
    standing = after(*PATHS[state], sign).standing(A)
    expected = state if (state, sign) in DEAF else AFTER[sign]
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


@given(st.lists(st.sampled_from(["up", "down", "heard", "missed"]), max_size=30))
def test_between_two_misses_that_count_the_peer_gave_a_sign_of_life(signs):
    liveness = Liveness([A])
    waited, alive = 0, True
    for now, sign in enumerate(signs):
        if sign == "missed" and A in liveness.waited_for():
            assert alive, "waited for twice in vain, and nothing was heard of it in between"
            waited, alive = waited + 1, False
        getattr(liveness, sign)(A, float(now))
        alive |= sign in ("up", "heard")
