import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.view.history import History


@given(st.integers(4, 40), st.integers(0, 400))
def test_a_history_keeps_its_limit_its_ends_and_its_order(limit, count):
    history = History(limit)
    for number in range(count):
        history.append(number)
    points = list(history)
    assert len(points) <= limit
    assert points == sorted(set(points))
    assert len(points) + history.dropped == count
    if count:
        assert points[0] == 0
        newest = min(count, limit // 2)
        assert points[-newest:] == list(range(count - newest, count))
        assert history.last == count - 1


def test_a_history_too_short_to_be_thinned_is_refused():
    with pytest.raises(ValueError, match="at least 4"):
        History(3)
