"""Public random coordinates: the same on all, as many as announced, fair over rounds."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.coordinates import Coordinates
from consensus.errors import PlanError

SWARM, BEACON = b"s" * 32, b"b" * 32


@given(st.floats(0.001, 1.0), st.integers(1, 3000), st.integers(0, 2**31 - 1))
def test_as_many_as_announced_sorted_and_none_twice(share, size, number):
    drawn = Coordinates(share, size, SWARM)
    places = drawn.of(number, 0, BEACON)
    if places is None:
        assert drawn.count == size
    else:
        assert places.dtype == np.int64
        assert len(places) == drawn.count
        assert (np.diff(places) > 0).all()
        assert places[0] >= 0
        assert places[-1] < size
    assert share * size - 1e-6 <= drawn.count < share * size + 1


def test_shares_that_floats_miss_by_a_hair_are_not_rounded_up():
    assert Coordinates(0.7, 10, SWARM).count == 7
    assert Coordinates(0.1, 30, SWARM).count == 3


def test_every_part_of_the_label_draws_others():
    first = Coordinates(0.5, 400, SWARM).of(3, 1, BEACON)
    assert first is not None
    assert np.array_equal(first, Coordinates(0.5, 400, SWARM).of(3, 1, BEACON))
    for swarm, number, epoch, beacon in [
        (b"t" * 32, 3, 1, BEACON),
        (SWARM, 4, 1, BEACON),
        (SWARM, 3, 2, BEACON),
        (SWARM, 3, 1, b"c" * 32),
    ]:
        assert not np.array_equal(first, Coordinates(0.5, 400, swarm).of(number, epoch, beacon))


def test_each_coordinate_has_its_turn_as_often_as_the_others():
    drawn = Coordinates(0.25, 64, SWARM)
    counts = np.bincount(np.concatenate([drawn.of(n, 0, BEACON) for n in range(4000)]), minlength=64)
    # 1000 expected, deviation √(4000 · ¼ · ¾) = 27: six of them.
    assert abs(counts - 1000).max() < 165


def test_other_versions_and_machines_draw_these():
    """A known answer: members with another library must not draw others."""
    places = Coordinates(0.01, 10_000, SWARM).of(7, 2, BEACON)
    assert places is not None
    assert hashlib.sha256(places.astype("<i8").tobytes()).hexdigest()[:16] == "f569bab9dfacb520"


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0001, float("nan")])
def test_a_share_is_above_0_and_at_most_1(share):
    with pytest.raises(PlanError, match="above 0 and at most 1"):
        Coordinates(share, 10, SWARM)
