import math
import weakref

import numpy as np
import pytest

from consensus.effects import Close, Down, Heard, Send, Tick, Up, WakeAt
from consensus.errors import RemoteFault
from consensus.messages import Contribution
from consensus.round import Round
from consensus.rules import mean
from crypto.identity import PeerId

ME, A, B, C = (PeerId(name) for name in ("m", "a", "b", "z"))
QUARTERS = dict.fromkeys((ME, A, B, C), 0.25)
NUMBER = 4


def vec(*values):
    return np.array(values, dtype=np.float32)


def open_round(*phases, quorum=0.5, **options):
    return Round(
        ME, NUMBER, phases or (QUARTERS,), vec(0, 4), rule=mean, quorum=quorum, deadline_s=10.0, **options
    )  # fmt: skip


def started(*phases, **options):
    round_ = open_round(*phases, **options)
    round_.start(100.0)
    return round_


def says(peer, *values, phase=0, number=NUMBER):
    return Heard(peer, Contribution(number, phase, vec(*values)))


def hear_all(round_, *events, now=101.0):
    return [effect for event in events for effect in round_.receive(event, now)]


# --- the ordinary round -----------------------------------------------------------------------------------------------


def test_start_sends_to_each_member_and_sets_the_alarm():
    *sends, wake = open_round().start(100.0)
    assert [send.peer for send in sends] == [A, B, C]
    assert all((send.message.round, send.message.phase) == (NUMBER, 0) for send in sends)
    assert all(np.array_equal(send.message.vector, vec(0, 4)) for send in sends)
    assert wake == WakeAt(110.0)


def test_it_closes_when_all_are_heard():
    round_ = started()
    assert hear_all(round_, says(A, 4, 0), says(C, 4, 0)) == []
    assert round_.awaited == (B,)
    (close,) = round_.receive(says(B, 0, 0), 102.0)
    assert close == Close(round_.outcome)
    out = round_.outcome
    assert out.vector.tolist() == [2.0, 1.0]
    assert (out.averaged, out.present, out.absent, out.deadline_missed) == (True, (A, B, C), (), ())
    assert out.consensus_distance == pytest.approx(math.sqrt(0.25 * (32 + 16 + 32)))
    assert round_.awaited == ()


def test_the_order_of_arrival_does_not_show_in_the_bits():
    rng = np.random.default_rng(0)
    thirds = dict.fromkeys((ME, A, B), 1 / 3)
    ours, a, b = rng.normal(size=(3, 500)).astype(np.float32)
    results = set()
    for me, mine, others in ((ME, ours, [(A, a), (B, b)]), (ME, ours, [(B, b), (A, a)]), (A, a, [(B, b), (ME, ours)])):
        round_ = Round(me, 0, [thirds], mine, rule=mean, quorum=1.0, deadline_s=1.0)
        round_.start(0.0)
        for peer, vector in others:
            round_.receive(Heard(peer, Contribution(0, 0, vector)), 0.5)
        results.add(round_.outcome.vector.tobytes())
    assert len(results) == 1


def test_what_was_sent_and_what_comes_out_cannot_be_changed():
    mine = vec(0, 4)
    round_ = Round(ME, 0, [{ME: 0.5, A: 0.5}], mine, rule=mean, quorum=1.0, deadline_s=1.0)
    send, _ = round_.start(0.0)
    mine[:] = 9
    assert send.message.vector.tolist() == [0, 4]
    round_.receive(says(A, 2, 2, number=0), 0.1)
    for vector in (send.message.vector, round_.outcome.vector):
        assert not vector.flags.writeable


def test_a_node_alone_closes_at_once():
    *_, close = open_round({ME: 1.0}, quorum=1.0).start(0.0)
    assert close.outcome.averaged
    assert close.outcome.vector.tolist() == [0, 4]
    assert close.outcome.consensus_distance == 0.0


# --- deadline, quorum, absence ----------------------------------------------------------------------------------------


def test_the_deadline_closes_with_whoever_is_there_and_their_weight_stays_here():
    round_ = started()
    hear_all(round_, says(A, 4, 4))
    assert round_.receive(Tick(), 109.999) == []
    (close,) = round_.receive(Tick(), 110.0)
    assert close.outcome.vector.tolist() == [1.0, 4.0]  # 1/4 a + 3/4 own
    assert (close.outcome.present, close.outcome.absent) == ((A,), (B, C))
    assert close.outcome.deadline_missed == (B, C)


def test_any_event_after_the_deadline_will_do():
    round_ = started()
    hear_all(round_, says(A, 4, 4))
    assert isinstance(round_.receive(Down(B), 110.5)[-1], Close)


def test_below_the_quorum_the_node_keeps_its_vector():
    round_ = started(quorum=0.75)
    hear_all(round_, says(A, 4, 4))
    (close,) = round_.receive(Tick(), 110.0)
    out = close.outcome
    assert out.vector.tolist() == [0, 4]
    assert (out.averaged, out.present, out.absent, out.consensus_distance) == (False, (), (B, C), None)


@pytest.mark.parametrize(
    ("quorum", "heard"), [(0.0, 0), (0.25, 0), (0.26, 1), (0.5, 1), (0.75, 2), (0.76, 3), (1.0, 3)]
)
def test_the_quorum_counts_the_node_itself(quorum, heard):
    round_ = open_round(quorum=quorum, absent=[A, B, C])
    round_.start(100.0)
    for number, peer in enumerate((A, B, C)):
        assert (round_.outcome is not None) == (number >= heard)
        round_.receive(says(peer, 1, 1), 101.0)


def test_a_share_that_rounding_lifts_asks_for_nobody_more():
    tenths = {ME: 0.1, **{PeerId(f"p{i}"): 0.1 for i in range(9)}}
    round_ = Round(ME, 0, [tenths], vec(0), rule=mean, quorum=0.1 * 3, deadline_s=1.0, absent=list(tenths))
    round_.start(0.0)  # 0.1 * 3 is 0.30000000000000004
    hear_all(round_, says(PeerId("p1"), 1, number=0), says(PeerId("p2"), 1, number=0), now=0.5)
    assert round_.outcome is not None


def test_who_is_down_is_not_waited_for_and_counts_if_heard():
    round_ = started(absent=[C])
    assert round_.awaited == (A, B)
    hear_all(round_, says(C, 4, 4), Down(B))
    assert round_.awaited == (A,)
    (close,) = round_.receive(says(A, 4, 4), 101.0)
    assert (close.outcome.present, close.outcome.absent, close.outcome.deadline_missed) == ((A, C), (B,), ())


def test_going_down_can_settle_the_round():
    round_ = started()
    assert hear_all(round_, says(A, 1, 1), says(B, 1, 1)) == []
    assert isinstance(round_.receive(Down(C), 101.0)[-1], Close)


def test_with_nobody_left_to_wait_for_the_quorum_is_still_waited_for():
    round_ = started(absent=[A, B, C])
    assert round_.outcome is None
    (close,) = round_.receive(Tick(), 110.0)
    assert not close.outcome.averaged
    assert close.outcome.deadline_missed == ()


def test_who_comes_up_gets_what_it_missed_and_is_waited_for():
    round_ = started(absent=[B])
    (send,) = round_.receive(Up(B), 101.0)
    assert (send.peer, send.message.phase) == (B, 0)
    assert B in round_.awaited
    assert round_.receive(Up(PeerId("stranger")), 101.0) == []


def test_a_closed_round_still_answers_who_comes_up():
    round_ = started({ME: 0.5, A: 0.5}, {ME: 0.5, B: 0.5})
    hear_all(round_, says(A, 2, 2), says(B, 2, 2, phase=1))
    assert round_.outcome is not None
    assert [(s.peer, s.message.phase) for s in round_.receive(Up(B), 500.0)] == [(B, 1)]


def test_nothing_is_said_before_the_start():
    round_ = open_round({ME: 0.5, A: 0.5}, absent=[A])
    assert hear_all(round_, Up(A), says(A, 2, 2), Tick(), now=1e9) == []
    assert isinstance(round_.start(1e9)[-1], Close)
    with pytest.raises(RuntimeError, match="round 4 was started before"):
        round_.start(1e9)


# --- late, repeated, foreign ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        says(A, 1, 1),
        says(B, 1, 1, number=NUMBER - 1),
        says(B, 1, phase=1),
        says(B, math.nan, phase=31),
        says(PeerId("stranger"), math.nan),
        says(ME, 7, 7),
    ],
    ids=["repeated", "late", "no such phase", "no such phase either", "no member", "ourselves"],
)
def test_it_changes_nothing(event):
    round_ = started()
    hear_all(round_, says(A, 1, 1))
    assert round_.receive(event, 102.0) == []
    assert round_.awaited == (B, C)


def test_after_the_end_nothing_matters():
    round_ = started({ME: 0.5, A: 0.5})
    (close,) = hear_all(round_, says(A, 2, 2))
    assert hear_all(round_, says(A, 9, 9), says(A, math.nan), Down(A), Tick(), now=1e6) == []
    assert round_.outcome is close.outcome


def test_who_speaks_of_a_later_round_is_not_waited_for():
    round_ = started()
    hear_all(round_, says(A, 4, 4), says(B, 4, 4))
    (close,) = round_.receive(says(C, 9, 9, number=NUMBER + 1), 101.0)
    assert (close.outcome.present, close.outcome.absent, close.outcome.deadline_missed) == ((A, B), (C,), ())


def test_the_word_of_who_passed_counts_if_it_comes_after_all():
    round_ = started()
    hear_all(round_, says(C, 9, 9, number=NUMBER + 1), says(C, 4, 4), says(A, 4, 4))
    (close,) = round_.receive(says(B, 4, 4), 101.0)
    assert close.outcome.present == (A, B, C)


def test_a_quorum_that_moved_on_is_not_waited_for():
    assert isinstance(open_round(passed=[A, B, C]).start(0.0)[-1], Close)
    round_ = started(quorum=0.75)
    assert hear_all(round_, says(A, 9, 9, number=9)) == []
    (close,) = hear_all(round_, says(B, 9, 9, number=9))
    assert not close.outcome.averaged
    assert close.outcome.deadline_missed == ()


# --- liars ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (vec(1), r"round 4 phase 0: a vector of shape \(1,\) float32, expected \(2,\) float32"),
        (vec(1, 2).reshape(1, 2), r"shape \(1, 2\)"),
        (np.zeros(2), "float64"),
        (vec(1, math.inf), "1 of 2 values are not finite"),
        (vec(math.nan, -math.inf), "2 of 2 values are not finite"),
    ],
)
def test_what_no_honest_peer_sends_names_the_culprit(vector, reason):
    round_ = started()
    with pytest.raises(RemoteFault, match=reason) as caught:
        round_.receive(Heard(A, Contribution(NUMBER, 0, vector)), 101.0)
    assert caught.value.culprit == A
    assert round_.awaited == (B, C)
    (close,) = hear_all(round_, says(B, 4, 4), says(C, 4, 4))
    assert (close.outcome.present, close.outcome.absent) == ((B, C), (A,))


def test_two_words_for_one_phase_and_neither_counts():
    round_ = started()
    hear_all(round_, says(A, 4, 4))
    with pytest.raises(RemoteFault, match="a second vector that differs"):
        round_.receive(says(A, 4, 5), 101.0)
    assert hear_all(round_, says(A, 4, 4), says(A, math.nan)) == []  # evidence once, not a flood of it
    (close,) = hear_all(round_, says(B, 0, 4), says(C, 0, 4))
    assert close.outcome.present == (B, C)
    assert close.outcome.vector.tolist() == [0, 4]


@pytest.mark.parametrize("early", [False, True])
def test_who_was_started_again_may_say_another_thing_and_the_first_counts(early):
    round_ = open_round(quorum=1.0)
    if early:  # kept from before the round; that the peer came up anew was told to the round before this one
        hear_all(round_, says(A, 4, 4))
    round_.start(100.0)
    if not early:
        hear_all(round_, says(A, 4, 4), Down(A), Up(A))
    hear_all(round_, says(A, 4, 5), says(B, 0, 4))
    with pytest.raises(RemoteFault, match="not finite"):
        round_.receive(says(C, math.nan, 0), 101.0)
    assert round_.receive(Tick(), 101.0)[-1].outcome.averaged is False  # C is the one that lacks
    assert round_.outcome.absent == (C,)


def test_coming_up_excuses_nobody_for_what_it_says_from_then_on():
    round_ = started()
    hear_all(round_, Up(A), says(A, 4, 4))
    with pytest.raises(RemoteFault, match="a second vector that differs"):
        round_.receive(says(A, 4, 5), 101.0)


def test_a_tick_shows_that_a_culprit_was_the_last_one_awaited():
    round_ = started()
    hear_all(round_, says(A, 4, 4), says(B, 4, 4))
    with pytest.raises(RemoteFault):
        round_.receive(says(C, math.nan, 0), 101.0)
    assert isinstance(round_.receive(Tick(), 101.0)[-1], Close)


# --- several phases ---------------------------------------------------------------------------------------------------

TWO = ({ME: 0.5, A: 0.5}, {ME: 0.5, B: 0.5})


def test_a_phase_begins_with_the_average_of_the_one_before():
    round_ = started(*TWO)
    send, wake = round_.receive(says(A, 2, 0), 101.0)
    assert (send.peer, send.message.phase, send.message.vector.tolist()) == (B, 1, [1.0, 2.0])
    assert wake == WakeAt(120.0)
    (close,) = round_.receive(says(B, 3, 0, phase=1), 102.0)
    assert close.outcome.vector.tolist() == [2.0, 1.0]
    assert close.outcome.present == (A, B)
    assert close.outcome.consensus_distance == pytest.approx(math.sqrt(0.5 * 20 + 0.5 * 8))


def test_a_later_phase_may_be_heard_first():
    round_ = started(*TWO)
    assert hear_all(round_, says(B, 3, 0, phase=1)) == []
    *_, close = hear_all(round_, says(A, 2, 0))
    assert close.outcome.vector.tolist() == [2.0, 1.0]


def test_one_void_phase_does_not_void_the_round():
    round_ = started(*TWO, quorum=1.0)
    hear_all(round_, says(B, 2, 2, phase=1))
    *_, close = round_.receive(Tick(), 110.0)
    assert close.outcome.averaged
    assert close.outcome.vector.tolist() == [1.0, 3.0]
    assert (close.outcome.present, close.outcome.absent) == ((B,), (A,))
    assert close.outcome.consensus_distance == pytest.approx(math.sqrt(0.5 * 8))


def test_a_phase_alone_does_not_make_a_void_round_an_average():
    round_ = started(TWO[0], {ME: 1.0}, quorum=1.0)
    *_, close = round_.receive(Tick(), 110.0)
    assert not close.outcome.averaged
    assert close.outcome.consensus_distance is None


def test_a_silent_peer_costs_one_deadline_a_round():
    round_ = started(*[QUARTERS] * 3, quorum=0.5)
    hear_all(round_, *(says(peer, 0, 0, phase=phase) for phase in range(3) for peer in (B, C)))
    assert round_.awaited == (A,)
    *_, close = round_.receive(Tick(), 110.0)
    assert close.outcome.deadline_missed == (A,)


def test_a_peer_heard_in_a_later_phase_did_send_the_one_before():
    round_ = started(QUARTERS, QUARTERS)
    hear_all(round_, says(A, 0, 0), says(B, 0, 0))
    assert round_.awaited == (C,)
    *_, wake = hear_all(round_, says(C, 0, 0, phase=1))
    assert wake == WakeAt(120.0)
    assert round_.awaited == (A, B)


def test_a_closed_phase_lets_go_of_what_it_heard():
    round_ = started(*TWO)
    vector = vec(2, 0)
    held = weakref.ref(vector)
    hear_all(round_, Heard(A, Contribution(NUMBER, 0, vector)))
    del vector
    assert held() is None


def test_waking_up_after_all_deadlines_closes_all_phases():
    round_ = started(*TWO, quorum=1.0)
    effects = round_.receive(Tick(), 1000.0)
    assert [type(effect) for effect in effects] == [Send, WakeAt, Close]


# --- our own mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": -1}, "round -1"),
        ({"phases": []}, "0 phases"),
        ({"phases": [{A: 1.0}]}, "m has no weight"),
        ({"phases": [{ME: 0.5, A: 0.4}]}, "sum to 1"),
        ({"phases": [{ME: 1.5, A: -0.5}]}, "weights are >= 0"),
        ({"phases": [{ME: math.nan}]}, "weights are >= 0"),
        ({"vector": vec(math.nan)}, "not finite"),
        ({"vector": np.zeros(2)}, "not finite float32"),
        ({"quorum": 1.01}, "quorum=1.01"),
        ({"quorum": math.nan}, "quorum=nan"),
        ({"deadline_s": 0.0}, "deadline_s=0.0"),
    ],
)
def test_what_no_plan_gives_is_refused(change, message):
    given = dict(number=0, phases=[{ME: 1.0}], vector=vec(1), quorum=0.5, deadline_s=1.0) | change
    with pytest.raises(ValueError, match=message):
        Round(ME, given.pop("number"), given.pop("phases"), given.pop("vector"), rule=mean, **given)
