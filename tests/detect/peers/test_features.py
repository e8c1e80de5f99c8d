import numpy as np
import pytest

from crypto.identity import PeerId
from detect.peers.features import NAMES, Seen, features, rare_shares


def seen(*vectors, lateness=0.1):
    return {PeerId(f"p{i}"): Seen(np.asarray(v, dtype=np.float32), lateness * i) for i, v in enumerate(vectors)}


def test_features_by_hand():
    before = np.array([1.0, 1.0, 1.0, 1.0], np.float32)
    columns = features(
        seen([2, 1, 1, 1], [3, 1, 1, 1], [1, 1, 1, 3]), before, layers=[0, 3], loss=lambda v: float(v.sum())
    )
    assert list(columns) == list(NAMES)
    np.testing.assert_allclose(columns["norm"], [1, 2, 2])
    np.testing.assert_allclose(columns["cosine"], [1, 1, 0], atol=1e-6)  # the middle update is (1, 0, 0, 0)
    np.testing.assert_allclose(columns["distance"], [1, 1, np.sqrt(5)])
    np.testing.assert_allclose(columns["layer"], [1, 1, 100])  # the last layer is 1 % of an update at least
    np.testing.assert_allclose(columns["loss_change"], [1, 2, 2])
    np.testing.assert_allclose(columns["lateness"], [0, 0.1, 0.2])


def test_without_a_holdout_there_is_no_loss():
    columns = features(seen([1, 2], [2, 1]), np.zeros(2, np.float32), layers=[0])
    assert "loss_change" not in columns


def test_a_peer_that_did_nothing_has_numbers_too():
    columns = features(seen([1, 2], [1, 2], [5, 5]), np.array([1, 2], np.float32), layers=[0, 1])
    assert all(np.isfinite(column).all() for column in columns.values())
    assert columns["norm"][0] == 0


def test_nobody_seen():
    assert all(column == [] for column in features({}, np.zeros(2, np.float32), layers=[0]).values())


def test_a_sign_flipper_stands_out_where_it_should():
    rng = np.random.default_rng(3)
    honest = [np.ones(50) + 0.2 * rng.normal(size=50) for _ in range(6)]
    columns = features(seen(*honest, -honest[0]), np.zeros(50, np.float32), layers=[0, 25])
    assert columns["cosine"][-1] < -0.8 < 0.8 < min(columns["cosine"][:-1])
    assert columns["distance"][-1] == pytest.approx(max(columns["distance"]))


def test_energy_where_half_of_the_others_have_none_is_told_and_no_other():
    updates = np.array([[1, 1, 0], [2, 2, 0], [1, 2, 0.01], [1, 1, 2]], np.float32)
    shares = rare_shares(updates)
    assert shares[:2] == [0, 0]
    assert shares[2] < 1e-4
    assert shares[3] == pytest.approx(4 / 6, rel=1e-2)


def test_an_update_of_nothing_has_no_energy_anywhere():
    assert rare_shares(np.zeros((3, 4), np.float32)) == [0, 0, 0]
