import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.mailbox import Mailbox
from consensus.messages import Contribution
from crypto.identity import PeerId

PEERS = [PeerId(name) for name in "abcdefg"]
A, B, C = PEERS[:3]


def said(round_, phase=0):
    return Contribution(round_, phase, np.zeros(1, dtype=np.float32))


def mailbox_with(claims, peers=PEERS, **options):
    box = Mailbox(peers, **options)
    for peer, round_ in claims.items():
        box.offer(peer, said(round_))
    return box


def test_what_came_early_is_there_in_its_round_sorted_by_peer():
    box = Mailbox(PEERS)
    first, second = said(1), said(1)
    box.offer(B, first)
    box.offer(A, second)
    box.offer(A, said(1, phase=1))
    assert box.take(0, 0) == {}
    assert list(box.take(1, 0).items()) == [(A, second), (B, first)]
    assert box.take(1, 0) == {}
    assert set(box.take(1, 1)) == {A}


def test_of_two_for_one_phase_the_first_is_kept():
    box = Mailbox(PEERS)
    first = said(1)
    box.offer(A, first)
    box.offer(A, said(1))
    assert box.take(1, 0)[A] is first


def test_the_past_and_the_present_are_noted_but_not_kept():
    box = mailbox_with({A: 2, B: 3})
    box.take(3, 0)
    box.offer(A, said(3))
    assert box.take(3, 0) == {}
    assert box.latest(A) == 3
    assert box.latest(C) is None


def test_a_peer_has_room_for_its_two_highest_rounds():
    box = Mailbox(PEERS)
    for round_ in (5, 1, 9, 7):
        box.offer(A, said(round_))
    box.offer(B, said(1))
    assert set(box.take(1, 0)) == {B}
    assert set(box.take(5, 0)) == set()
    assert set(box.take(7, 0)) == set(box.take(9, 0)) == {A}


@given(st.lists(st.tuples(st.sampled_from(PEERS), st.integers(0, 50), st.integers(0, 4)), max_size=60))
def test_memory_is_bounded_whatever_comes(offers):
    box = Mailbox(PEERS, rounds=40, phases=3)
    for peer, round_, phase in offers:
        box.offer(peer, said(round_, phase))
    kept = [len(box.take(round_, phase)) for round_ in range(41) for phase in range(5)]
    assert sum(kept) <= 2 * 3 * len({peer for peer, *_ in offers})


def test_what_lies_beyond_the_run_is_no_word_about_it():
    box = mailbox_with({A: 100, B: 99}, rounds=100)
    box.offer(C, said(3, phase=2))
    box = mailbox_with({A: 100, B: 99}, rounds=100, phases=2)
    box.offer(C, said(3, phase=2))
    assert box.latest(A) is None
    assert box.latest(B) == 99
    assert box.latest(C) is None


def test_a_peer_off_the_list_is_our_mistake():
    with pytest.raises(KeyError):
        Mailbox([A]).offer(B, said(1))


def test_who_spoke_of_a_later_round_has_passed():
    box = mailbox_with({A: 4, B: 5, C: 6})
    assert box.passed(4) == {B, C}
    box.offer(C, said(2))  # it lost its state and began anew
    assert box.passed(4) == {B}


# --- where to go ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "target"),
    [
        ([], 3),
        ([3, 3, 3], 3),
        ([4, 4, 4], 3),  # the ordinary case: they closed a moment earlier
        ([5, 5, 5], 5),
        ([50], 50),  # nobody else to ask
        ([10**9, 3], 3),
        ([10**9, 3, 4], 3),
        ([50, 52], 50),
        ([50, 51, 10**9], 51),
        ([50, 51, 0], 50),
        ([50, 50, 3, 3], 3),
        ([1, 1, 1], 3),
    ],
)
def test_the_target_is_where_most_live_peers_are(claims, target):
    peers = PEERS[: len(claims)]
    assert mailbox_with(dict(zip(peers, claims, strict=True)), peers).target_round(3, peers) == target


def test_the_dead_and_the_silent_do_not_pull():
    assert mailbox_with({A: 50, B: 50}).target_round(3, PEERS) == 3
    box = mailbox_with({A: 50, B: 50}, [A, B, C])
    assert box.target_round(3, [A, B, C]) == 50
    assert box.target_round(3, [C]) == 3
    assert box.target_round(3, []) == 3


def test_a_liar_whose_fellow_neighbours_are_cut_off_throws_nobody():
    assert mailbox_with({A: 10**9, B: 4}, [A, B]).target_round(3, [A]) == 3
    assert mailbox_with({A: 10**9}, [A, B, C]).target_round(3, [A]) == 3


def test_where_few_of_many_speak_a_majority_of_those_decides():
    box = mailbox_with({A: 50, B: 51, C: 50}, committee=4)
    assert box.target_round(3, PEERS) == 50
    assert mailbox_with({A: 10**9, B: 10**9}, committee=4).target_round(3, PEERS) == 3
    assert mailbox_with({A: 50}, committee=4).target_round(3, [A]) == 3


@given(
    honest=st.lists(st.integers(0, 1000), min_size=1, max_size=4),
    lies=st.lists(st.integers(0, 2**31 - 1), max_size=3),
    current=st.integers(0, 1000),
)
def test_liars_in_the_minority_neither_throw_nor_hold(honest, lies, current):
    claims = dict(zip(PEERS, honest + lies, strict=False))
    target = mailbox_with(claims, list(claims)).target_round(current, list(claims))
    if len(lies) <= len(honest):
        assert target <= max(current, *honest)
    if len(lies) < len(honest):
        assert target >= min(honest) or min(honest) <= current + 1
    assert target >= current


def test_who_has_passed_by_may_be_asked_while_others_speak():
    """As from the thread in which a round thinks, with the loop hearing somebody new in the middle of the answer."""
    box = Mailbox(["a", "b", "c"])

    class Later(int):
        def __gt__(self, other):
            box.note("c", 7)
            return int(self) > other

    box.note("a", Later(6))
    box.note("b", 6)
    assert box.passed(5) == {"a", "b"}
    assert box.passed(5) == {"a", "b", "c"}
