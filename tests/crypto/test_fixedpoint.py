import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import field
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.randomness import Stream

SEED = bytes(range(32))
floats = st.floats(-1e6, 1e6, width=32)


def stream(label="rounding"):
    return Stream(SEED, label)


@settings(max_examples=60, deadline=None)
@given(st.lists(floats, min_size=1, max_size=50), st.sampled_from([0.5, 1.0, 1000.0]))
def test_a_coordinate_moves_to_one_of_its_two_neighbours(values, scale):
    update = np.array(values, dtype=np.float32)
    encoding = FixedPoint(scale=scale, clip=1000.0, members=4)
    norm = float(np.linalg.norm(update.astype(np.float64)))
    exact = update.astype(np.float64) * (scale * min(1.0, 1000.0 / norm if norm else 1.0))
    encoded = encoding.encode(update, stream())
    assert encoded.dtype == np.int32
    assert (np.abs(encoded - exact) < 1 + 1e-6).all()
    assert np.abs(encoded).max() <= encoding.bound


def test_rounding_is_unbiased_at_every_fraction():
    count = 40_000
    encoding = FixedPoint(scale=1.0, clip=1e6, members=2)
    for value in (0.0, 0.01, 0.25, 0.5, 0.9, -0.3, 7.75, -1000.125):
        encoded = encoding.encode(np.full(count, value, dtype=np.float32), stream(str(value)))
        assert set(np.unique(encoded)) <= {math.floor(value), math.ceil(value)}
        fraction = float(np.float32(value)) - math.floor(value)
        assert abs(encoded.mean() - value) <= 6 * math.sqrt(fraction * (1 - fraction) / count) + 1e-6


def test_the_stream_decides_the_rounding():
    update = np.full(200, 0.5, dtype=np.float32)
    encoding = FixedPoint(scale=1.0, clip=100.0, members=2)
    assert encoding.encode(update, stream("a")).tolist() == encoding.encode(update, stream("a")).tolist()
    assert encoding.encode(update, stream("a")).tolist() != encoding.encode(update, stream("b")).tolist()


def test_a_long_update_is_shortened_to_the_clip_and_keeps_its_direction():
    update = np.random.default_rng(1).standard_normal(5000).astype(np.float32) * 50
    encoded = FixedPoint(scale=1000.0, clip=2.0, members=8).encode(update, stream()).astype(np.float64)
    assert abs(np.linalg.norm(encoded) / 2000 - 1) < 1e-3
    assert np.dot(encoded, update) / np.linalg.norm(encoded) / np.linalg.norm(update) > 0.999


def test_a_short_update_is_left_alone():
    update = np.array([0.5, -0.25], dtype=np.float32)
    encoding = FixedPoint(scale=4.0, clip=1.0, members=2)
    assert encoding.encode(update, stream()).tolist() == [2, -1]
    assert encoding.decode(encoding.encode(update, stream())).tolist() == [0.5, -0.25]


def test_sums_of_all_members_at_the_bound_do_not_wrap():
    encoding = FixedPoint(scale=1.0, clip=(field.PRIME // 2) // 8 - 2.0, members=8)
    worst = np.array([-encoding.clip], dtype=np.float64).astype(np.float32)
    encodings = [field.from_signed(encoding.encode(worst, stream(str(i)))) for i in range(8)]
    total = field.to_signed(field.total(encodings))
    assert abs(total[0] / (8 * -encoding.clip) - 1) < 1e-6
    assert abs(encoding.decode(total, 8)[0] / -encoding.clip - 1) < 1e-6


def test_an_encoding_whose_sum_could_wrap_is_refused_with_the_bound_and_a_scale_that_fits():
    with pytest.raises(
        FixedPointError, match=r"members \* \(clip \* scale \+ 1 \+ noise\) <= \(p - 1\) / 2.*scale of at most"
    ) as refused:
        FixedPoint(scale=1e6, clip=1000.0, members=8)
    suggested = float(str(refused.value).rsplit(" ", 1)[1])
    FixedPoint(scale=suggested * 0.999, clip=1000.0, members=8)
    with pytest.raises(FixedPointError):
        FixedPoint(scale=1.0, clip=10.0, members=8, noise=field.PRIME // 16)


@pytest.mark.parametrize(
    ("scale", "clip", "members"), [(0, 1, 1), (1, 0, 1), (math.nan, 1, 1), (1, math.inf, 1), (1, 1, 0)]
)
def test_senseless_encodings_are_refused(scale, clip, members):
    with pytest.raises(FixedPointError):
        FixedPoint(scale=scale, clip=clip, members=members)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_an_update_that_is_not_finite_is_refused(poison):
    with pytest.raises(FixedPointError, match="not finite"):
        FixedPoint(1.0, 1.0, 2).encode(np.array([1.0, poison], dtype=np.float32), stream())


def test_a_mean_is_of_as_many_as_there_can_be():
    with pytest.raises(FixedPointError, match="1 to 2"):
        FixedPoint(1.0, 1.0, 2).decode(np.zeros(1, dtype=np.int32), 3)
