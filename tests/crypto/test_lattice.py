import numpy as np
import pytest

from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.lattice import lattice_points
from crypto.randomness import Stream

FIXED = FixedPoint(scale=64.0, clip=2.0, members=4, noise=5)


def stream():
    return Stream(bytes(32), "test")


def test_points_are_those_of_the_encoding_and_the_noise():
    update = np.linspace(-0.5, 0.5, 9, dtype=np.float32)
    noise = np.arange(-4, 5, dtype=np.int32)
    plain = FIXED.encode(update, stream())
    assert np.array_equal(lattice_points(FIXED, update, None, stream()), plain)
    assert np.array_equal(lattice_points(FIXED, update, noise, stream()), plain + noise)
    assert np.array_equal(noise, np.arange(-4, 5))


@pytest.mark.parametrize(
    "noise",
    [np.full(3, 6, np.int32), np.full(3, -6, np.int32), np.full(3, -(2**31), np.int32), np.zeros(4, np.int32),
     np.zeros(3, np.int64), np.zeros(3, np.float32)],
)  # fmt: skip
def test_noise_without_room_is_refused(noise):
    with pytest.raises(FixedPointError, match="noise"):
        lattice_points(FIXED, np.zeros(3, np.float32), noise, stream())
