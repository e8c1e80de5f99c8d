"""What a member brings, what moves, and what it keeps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consensus.base import FARTHEST, Base
from consensus.sharing import Update
from consensus.stake import Stake

D = 6
Y, X = np.arange(D, dtype=np.float32), np.arange(D, dtype=np.float32) + np.float32(0.3)
NOISE = np.arange(D, dtype=np.int32)
places = st.none() | st.sets(st.integers(0, D - 1), min_size=1).map(lambda found: np.array(sorted(found), np.int64))


def stake(where, noise=None, update=True) -> Stake:
    return Stake(X, Base(Y, 3), Update(X - Y, noise) if update else None, where)


@given(places)
def test_what_is_shared_and_what_is_kept_make_the_whole(where):
    """With the own update as the mean, nothing of the model changes: shared parts come back, the others stayed."""
    one = stake(where)
    moved = one.moved(one.base, one.brought.vector, 0.0)
    np.testing.assert_allclose(one.after(moved), X, atol=1e-6)
    assert one.brought.vector.size == one.size == (D if where is None else len(where))


@given(places)
def test_noise_goes_with_its_coordinates_and_nothing_of_it_stays(where):
    one = stake(where, NOISE)
    chosen = slice(None) if where is None else where
    assert np.array_equal(one.brought.noise, NOISE[chosen])
    assert np.array_equal(one.after(Y), Y)


def test_who_brings_nothing_keeps_nothing():
    one = stake(np.array([1]), update=False)
    assert one.brought is None
    assert np.array_equal(one.after(Y + 1), Y + 1)


def test_where_the_public_vector_stands_still_the_model_does_to_the_bit():
    one = stake(np.array([2]))
    public = Y.copy()
    public[2] = 9
    model = one.after(public)
    assert model[2] == 9
    assert np.array_equal(np.delete(model, 2), np.delete(X, 2))


def test_momentum_moves_all_coordinates_the_mean_those_that_are_shared():
    one = stake(np.array([0, 5]))
    velocity = np.full(D, 2, np.float32)
    moved = one.moved(Base(Y, 3, velocity), np.array([10, 20], np.float32), 0.5)
    assert moved.tolist() == [0 + 1 + 10, 2, 3, 4, 5, 5 + 1 + 20]
    assert Y.tolist() == list(range(D))


def test_a_base_that_a_liar_put_far_out_does_not_run_away_by_its_momentum():
    far = np.array([1e30, -1e30, 1, 0, 0, 0], np.float32)
    base = Base(Y, 3)
    for _ in range(300):
        one = Stake(base.vector, base, None, None)
        moved = one.moved(base, far, 0.99)
        base = Base.parse(Base(moved, 3, moved - base.vector).body, D, 3, velocity=True)
    assert np.abs(base.vector[:2]).max() <= FARTHEST * (1 + 1e-6)
    back = Stake(base.vector, base, None, None).moved(base, -far, 0.0)
    assert np.isfinite(back).all()
    assert abs(back[0]) < 1e24
