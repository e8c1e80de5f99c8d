"""No more than the rate, whatever the moments are."""

from hypothesis import given
from hypothesis import strategies as st

from node.api.rates import Buckets, Rate

RATE = Rate(per_s=2.0, burst=5)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_in_any_span_no_more_than_burst_and_rate_are_granted(steps):
    buckets, now, granted = Buckets(RATE), 0.0, []
    for step in steps:
        now += step
        if buckets.take("a", now) == 0:
            granted.append(now)
    for i, first in enumerate(granted):
        for j in range(i, len(granted)):
            assert j - i + 1 <= RATE.burst + RATE.per_s * (granted[j] - first) + 1e-6


@given(st.floats(0, 1e6))
def test_who_waits_as_long_as_told_is_granted(now):
    buckets = Buckets(RATE)
    while (wait_s := buckets.take("a", now)) == 0:
        pass
    assert buckets.take("b", now) == 0
    assert buckets.take("a", now + wait_s * 0.9) > 0
    assert buckets.take("a", now + wait_s + 1e-3) == 0


def test_memory_is_bounded_and_the_busiest_are_remembered():
    buckets = Buckets(Rate(1e-9, 1), most=10)
    assert buckets.take("busy", 0) == 0
    for number in range(1000):
        assert buckets.take(f"stranger {number}", 0) == 0
        assert buckets.take("busy", 0) > 0
    assert len(buckets._levels) == 10
