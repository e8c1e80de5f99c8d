from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.identity import PeerId
from overlay.libp2p_door import TOO_FAST, TOO_MANY, Door, RefusalLog
from overlay.libp2p_limits import TransportLimits

LIMITS = TransportLimits(
    half_open=4, half_open_per_address=3, half_open_grace_s=1.0, upgrades_per_s=10.0, upgrades_burst=100
)


def test_a_place_is_free_again_once_the_identity_is_proved():
    door = Door(LIMITS)
    for _ in range(20):
        place, victim, _ = door.knock("a", now=0.0)
        assert place is not None
        assert victim is None
        door.leave(place)
        door.leave(place)  # twice does no harm


def test_a_crowd_within_its_grace_keeps_newcomers_out():
    door = Door(LIMITS)
    for _ in range(3):
        assert door.knock("a", now=0.0)[0] is not None
    assert door.knock("a", now=0.9) == (None, None, TOO_MANY)


def test_after_its_grace_the_oldest_of_the_address_gives_way():
    door = Door(LIMITS)
    oldest = [door.knock("a", now=t)[0] for t in (0.0, 0.1, 0.2)]
    place, victim, _ = door.knock("a", now=1.0)
    assert place is not None
    assert victim is oldest[0]


def test_one_address_cannot_use_up_the_places_of_another():
    door = Door(LIMITS)
    crowd = [door.knock("attacker", now=0.0)[0] for _ in range(3)]
    alone = door.knock("honest", now=0.0)[0]
    for now in (2.0, 4.0, 6.0):
        _, victim, _ = door.knock(f"newcomer-{now}", now)
        assert victim is not alone
        if now == 2.0:
            assert victim in crowd


def test_the_long_run_rate_is_bounded_and_tokens_come_back():
    limits = TransportLimits(upgrades_per_s=2.0, upgrades_burst=3)
    door = Door(limits)

    def knocks(now: float) -> int:
        taken = 0
        for _ in range(10):
            place, _, reason = door.knock("a", now)
            if place is None:
                assert reason == TOO_FAST
            else:
                taken += 1
                door.leave(place)
        return taken

    assert knocks(0.0) == 3
    assert knocks(1.0) == 2
    assert knocks(100.0) == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.5), st.booleans()), max_size=60))
def test_never_more_inside_than_the_limits_allow(steps):
    door, now, inside = Door(LIMITS), 0.0, []
    for host, wait, leaves in steps:
        now += wait
        place, victim, _ = door.knock(host, now)
        if victim is not None:
            inside.remove(victim)
        if place is not None:
            inside.append(place)
        if leaves and inside:
            door.leave(inside.pop(0))
        assert len(inside) <= LIMITS.half_open
        assert max(Counter(place.host for place in inside).values(), default=0) <= LIMITS.half_open_per_address


@pytest.fixture
def log():
    told, clock = [], [0.0]
    log = RefusalLog(told.append, lambda: clock[0], every_s=1.0)
    return log, told, clock


def test_the_first_refusal_is_told_at_once_and_the_flood_after_it_in_one_sum(log):
    log, told, clock = log
    for port in range(500):
        log.refuse(None, f"port {port}", "noise")
    assert [(r.count, r.reason) for r in told] == [(1, "noise")]
    clock[0] = 1.0
    log.flush()
    assert [(r.count, r.address) for r in told[1:]] == [(499, "port 499")]
    log.flush()
    assert len(told) == 2


def test_peers_and_reasons_are_summed_apart(log):
    log, told, clock = log
    for peer in (PeerId("x"), PeerId("y"), PeerId("x")):
        log.refuse(peer, "here", "stranger")
        log.refuse(peer, "here", "noise")
    clock[0] = 1.0
    log.flush()
    assert sum(r.count for r in told) == 6
    assert {(r.peer, r.reason) for r in told} == {(p, r) for p in ("x", "y") for r in ("stranger", "noise")}


def test_fresh_keys_and_fresh_reasons_fill_no_memory(log):
    log, told, clock = log
    for number in range(10_000):
        log.refuse(PeerId(str(number)), "here", f"reason {number}")
    clock[0] = 1.0
    log.flush()
    assert len(told) < 200
    assert sum(r.count for r in told) == 10_000


def test_a_flood_that_goes_on_is_told_once_in_the_interval(log):
    log, told, clock = log
    for tenth in range(50):
        clock[0] = tenth / 10
        log.refuse(None, "here", "noise")
        if tenth % 10 == 9:
            log.flush()
    assert len(told) <= 7
    assert sum(r.count for r in told) == 50


def test_a_flood_in_which_each_has_a_reason_of_its_own_does_not_fill_the_disk(log):
    log, told, clock = log
    for number in range(30 * 600):
        clock[0] = number / 30
        log.refuse(PeerId("x"), "here", f"kind {number}")
        if number % 30 == 29:
            log.flush()
    assert len(told) < 1500
    clock[0] += 60.0
    log.flush()
    assert sum(r.count for r in told) == 30 * 600


def test_a_few_reasons_are_told_at_once(log):
    log, told, clock = log
    for second in range(100):
        for number in range(5):
            log.refuse(None, "here", f"kind {second} {number}")
        assert len(told) == 5 * (second + 1)
        clock[0] = second + 1.0
        log.flush()


def test_a_flood_from_one_host_leaves_the_others_their_turn():
    door, now = Door(LIMITS), 0.0
    for step in range(3000):
        now = step / 1000
        place, _, _ = door.knock("10.0.0.1", now)
        if place is not None:
            door.leave(place)
    assert door.knock("10.0.0.1", now)[0] is None
    assert door.knock("10.0.0.2", now)[0] is not None


def test_many_hosts_fill_no_memory():
    door = Door(LIMITS)
    for number in range(5000):
        place, _, _ = door.knock(f"10.0.{number // 256}.{number % 256}", 0.0)
        if place is not None:
            door.leave(place)
    assert len(door._buckets) <= 1024
