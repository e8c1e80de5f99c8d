import pytest
from sqlalchemy import update

from node.errors import StateError
from node.store.models import Models
from node.store.projection import project
from node.store.store import open_store
from node.store.tables import MODELS
from tests.node.store.events import evidence, started, verdict
from tests.node.store.kills import killed


def save(store, version, content=b"weights", **more):
    store.models.save(version, content, at=float(version), round=version, **more)


def test_a_champion_comes_back_byte_for_byte(store):
    content = bytes(range(256)) * 50
    save(store, 1, b"")
    save(store, 2, content, holdout_accuracy=0.9, holdout_loss=0.1)
    assert store.models.load(2) == content
    assert store.models.load(1) == b""
    newest, _ = store.models.versions()
    assert {key: newest[key] for key in ("version", "round", "at", "size_bytes")} == dict(
        version=2, round=2, at=2.0, size_bytes=12_800
    )
    assert (newest["holdout_accuracy"], newest["holdout_loss"]) == (0.9, 0.1)
    assert "content" not in newest


def test_what_was_held_against_peers_then_stands_beside_it(store):
    with store.database.folding() as connection:
        project(connection, 0, [(1, started()), (2, evidence(1)), (3, evidence(2)), (4, verdict(2, "suspect"))])
    save(store, 1)
    with store.database.folding() as connection:
        project(connection, 0, [(5, verdict(3, "trusted")), (6, evidence(4))])
    save(store, 2)
    later, then = store.models.versions()
    assert then["evidence"] == {"press-2": {"reputation": 100.0, "verdict": "suspect", "evidence": 2}}
    assert later["evidence"] == {"press-2": {"reputation": 100.0, "verdict": "trusted", "evidence": 3}}


def test_a_version_made_again_replaces_the_first(store):
    save(store, 1, b"of a round that a kill undid")
    save(store, 1, b"again")
    assert store.models.load(1) == b"again"
    assert len(store.models.versions()) == 1


def test_what_is_missing_or_damaged_is_told_from_the_rest(store):
    save(store, 1)
    with pytest.raises(StateError, match="no champion of version 2") as caught:
        store.models.load(2)
    assert caught.value.remedy
    with store.database.lasting() as connection:
        connection.execute(update(MODELS).values(content=b"Weights"))
    with pytest.raises(StateError, match="champion 1 is damaged"):
        store.models.load(1)


def test_the_oldest_make_room_and_the_newest_stays(store):
    models = Models(store.database, most_bytes=250)
    for version in range(5):
        models.save(version, bytes(100), at=0.0, round=0)
    assert [row["version"] for row in models.versions()] == [4, 3]
    models.save(5, bytes(1000), at=0.0, round=0)
    assert [row["version"] for row in models.versions()] == [5]
    assert models.load(5) == bytes(1000)


@pytest.mark.processes
def test_kill_9_loses_no_champion_that_was_saved(url, tmp_path):
    def work(report):
        with open_store(url, tmp_path) as store:
            for version in range(len(store.models.versions()), 10_000):
                save(store, version, bytes([version % 256]) * 20_000)
                report()

    saved = 0
    for kill in range(4):
        saved += killed(work, reports=4 * kill, more_s=0.0008 * kill)
        with open_store(url, tmp_path) as store:
            versions = [row["version"] for row in store.models.versions()][::-1]
            assert versions == list(range(len(versions)))
            assert saved <= len(versions) <= saved + kill + 1
            assert all(store.models.load(one) == bytes([one % 256]) * 20_000 for one in versions[-3:])
