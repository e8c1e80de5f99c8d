import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.peers.outliers import outliers, robust_z


def test_z_scores_are_those_of_a_normal_sample():
    values = np.random.default_rng(1).normal(10.0, 2.0, size=20_001)
    scores = robust_z(values)
    assert scores.mean() == pytest.approx(0, abs=0.03)
    assert scores.std() == pytest.approx(1, abs=0.03)


def test_the_formula_by_hand():
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0])  # median 3, deviations 2 1 0 1 97: MAD 1
    np.testing.assert_allclose(robust_z(values), 0.6745 * (values - 3.0))


def test_liars_that_are_fewer_than_half_do_not_move_the_yardstick():
    honest = np.array([1.0, 1.1, 0.9, 1.05, 0.95])
    scores = robust_z(np.array([*honest, 1e30, -1e30]))
    assert (np.abs(scores[:5]) < 3).all()
    assert (np.abs(scores[5:]) > 1e6).all()


def test_what_is_not_finite_is_infinitely_far_out_and_spoils_nothing():
    scores = robust_z(np.array([1.0, 1.1, 0.9, 1.05, np.nan, np.inf]))
    assert np.isinf(scores[4:]).all()
    assert np.isfinite(scores[:4]).all()


def test_a_few_peers_are_too_few_to_say_who_is_odd():
    assert (robust_z(np.array([1.0, 1.0, 1e9])) == 0).all()
    assert robust_z(np.array([])).size == 0


def test_all_alike_but_for_a_hair_is_all_alike():
    scores = robust_z(np.array([5.0, 5.0, 5.0, 5.0, 5.01]))
    assert abs(scores[4]) < 1


@given(st.lists(st.integers(-1000, 1000), min_size=4, max_size=30), st.floats(0.01, 100))
def test_a_yardstick_has_no_unit(values, scale):
    np.testing.assert_allclose(robust_z(np.array(values) * scale), robust_z(np.array(values) * 1.0), rtol=1e-6)


def test_peers_are_out_in_the_features_where_they_are_and_only_in_the_harmful_direction():
    columns = {
        "norm": [1.0, 1.1, 0.9, 1.05, 0.01],
        "cosine": [0.9, 0.92, 0.91, 0.89, -0.95],
        "distance": [1.0, 1.1, 0.9, 1.05, 0.0],
        "loss_change": [0.0, 0.01, -0.01, 0.02, 3.0],
    }
    found = outliers(columns, 3.0)
    assert found[:4] == [{}] * 4
    assert set(found[4]) == {"norm", "cosine", "loss_change"}
    assert found[4]["cosine"] < -3


def test_nothing_seen_is_nothing_found():
    assert outliers({}, 3.0) == []
