"""Bases as they travel and rest: the same back, and nothing else taken for one."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from consensus.base import FARTHEST, Base
from consensus.private_messages import BodyError

near = st.floats(-FARTHEST, FARTHEST).map(np.float32)
finite = arrays(np.float32, 5, elements=near)


@given(finite, st.none() | finite, st.integers(0, 2**31))
def test_a_base_comes_back_as_it_went(vector, velocity, opened):
    base = Base(vector, opened, velocity)
    back = Base.parse(memoryview(base.body), 5, opened, velocity=velocity is not None)
    assert back.body == base.body
    assert back.digest == base.digest
    assert not back.vector.flags.writeable
    assert (back.velocity is None) == (velocity is None)


@given(st.binary(max_size=50), st.booleans())
def test_other_bytes_are_refused_or_are_the_base_they_spell(body, velocity):
    with contextlib.suppress(BodyError):
        base = Base.parse(body, 5, 0, velocity=velocity)
        assert base.body == body
        assert np.isfinite(base.vector).all()


def test_the_digest_tells_vector_velocity_and_their_absence_apart():
    one, two = np.ones(5, np.float32), np.full(5, 2, np.float32)
    bases = [Base(one, 0), Base(two, 0), Base(one, 0, one), Base(one, 0, two), Base(two, 0, one)]
    assert len({base.digest for base in bases}) == 5
    assert Base(one, 7).digest == Base(one, 0).digest  # when it was made is said beside it


@pytest.mark.parametrize("words", [4, 6, 10, 0])
def test_a_base_of_another_size_is_refused(words):
    with pytest.raises(BodyError, match="20 bytes expected"):
        Base.parse(bytes(4 * words), 5, 0, velocity=False)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, -2.1e30])
def test_a_base_from_which_sums_would_overflow_is_refused(value):
    with pytest.raises(BodyError, match="not finite, or beyond"):
        Base.parse(Base(np.array([0, value], np.float32), 0).body, 2, 0, velocity=False)
