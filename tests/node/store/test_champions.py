import numpy as np
import pytest

from node.store.champions import Champions, unpack_champion
from node.store.database import StoreFailed


class Learner:
    """One whose champion the test sets."""

    def __init__(self):
        self.champion_version = 0
        self.champion_holdout_accuracy = 0.5
        self.asked = 0

    def champion(self):
        self.asked += 1
        return np.full(3, self.champion_version, dtype=np.float32)


@pytest.fixture
def learner():
    return Learner()


def test_every_champion_is_kept_once(store, learner):
    champions = Champions(store.models, learner, pytest.fail, lambda: 7.0)
    champions.keep(0)
    champions.keep(1)
    learner.champion_version, learner.champion_holdout_accuracy = 2, 0.75
    champions.keep(4)
    champions.keep(5)
    assert learner.asked == 2
    newest, first = store.models.versions()
    assert (newest["version"], newest["round"], newest["at"], newest["holdout_accuracy"]) == (2, 3, 7.0, 0.75)
    assert (first["version"], first["round"]) == (0, 0)
    vector = unpack_champion(store.models.load(2))
    assert vector.dtype == np.float32
    assert vector.tolist() == [2.0, 2.0, 2.0]
    vector += 1  # it is the caller's own


def test_after_a_restart_only_what_is_missing_is_kept(store, learner):
    Champions(store.models, learner, pytest.fail, lambda: 7.0).keep(1)
    again = Champions(store.models, learner, pytest.fail, lambda: 8.0)
    again.keep(1)
    assert learner.asked == 1
    learner.champion_version = 1
    again.keep(2)
    assert learner.asked == 2


def test_a_store_that_fails_is_told_of_and_asked_again(store, learner, monkeypatch):
    told = []
    champions = Champions(store.models, learner, told.append, lambda: 7.0)

    def fail(*_, **__):
        raise StoreFailed("the disk is full", "make room")

    monkeypatch.setattr(store.models, "save", fail)
    champions.keep(1)
    assert (told[0].module, told[0].status, told[0].reason) == ("store", "degraded", "the disk is full")
    monkeypatch.undo()
    champions.keep(2)
    assert [row["version"] for row in store.models.versions()] == [0]
    assert len(told) == 1


def test_bytes_that_are_no_vector_are_refused():
    with pytest.raises(ValueError, match="multiple"):
        unpack_champion(b"12345")
