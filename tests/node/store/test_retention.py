import pytest
from sqlalchemy import func, select

from node.store.projection import project
from node.store.retention import DAY_S, Keep, prune
from node.store.store import open_store
from node.store.tables import LEDGER
from tests.node.store.events import closed, evidence, known_peers, operated, started, verdict

NOW = 1000 * DAY_S


def days_ago(days):
    return NOW - days * DAY_S


def fold(store, *events):
    with store.database.folding() as connection:
        project(connection, 0, list(enumerate(events, 1)))


def test_what_is_too_old_goes(store):
    old, new = days_ago(11), days_ago(9)
    fold(
        store,
        started(),
        *(closed(number, at=at, reputation={"press-2": 9.0 + number}) for number, at in enumerate((old, new))),
        *(evidence(number, at=at) for number, at in enumerate((old, new))),
        *(operated("pause", at=at) for at in (old, new)),
    )
    prune(store.database, Keep(days=10), NOW)
    for rows in (store.rounds(), store.evidence(), store.reputation(), store.operations()):
        assert [row["at"] for row in rows] == [new]
    assert len(known_peers(store)) == 2


def test_of_too_many_the_oldest_go(store):
    fold(store, started(), *(closed(number, at=NOW) for number in range(9)), evidence(1, at=NOW))
    prune(store.database, Keep(rows=4), NOW)
    assert [row["round"] for row in store.rounds()] == [5, 6, 7, 8]
    assert len(store.evidence()) == 1
    prune(store.database, Keep(rows=4), NOW)
    assert len(store.rounds()) == 4


@pytest.mark.parametrize("keep", [Keep(days=10), Keep(rows=0)])
def test_who_was_put_out_stays_until_an_operator_has_seen_it(store, keep):
    old = days_ago(500)
    fold(store, verdict(1, "suspect", at=old), verdict(2, "quarantined", at=old), verdict(3, "evicted", at=old))
    prune(store.database, keep, NOW)
    assert [row["after"] for row in store.verdicts()] == ["evicted", "quarantined"]
    fold(store, operated("release", at=old))
    prune(store.database, keep, NOW)
    assert store.verdicts() == []


def test_the_newest_champion_and_the_one_in_use_stay_and_so_does_the_ledger(store):
    for version in range(4):
        store.models.save(version, b"x", at=days_ago(500), round=version)
    with store.database.lasting() as connection:
        connection.execute(LEDGER.insert().values(sequence=0, body="{}", digest=b""))
    fold(store, closed(9, at=NOW, champion_version=1))  # an operator went back to it
    prune(store.database, Keep(days=10, rows=1), NOW)
    assert [row["version"] for row in store.models.versions()] == [3, 1]
    with store.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(LEDGER)) == 1


def pages(store):
    with store.database.reading() as connection:
        return connection.exec_driver_sql("PRAGMA page_count").scalar()


def test_a_file_gives_its_room_back(tmp_path):
    with open_store(None, tmp_path) as store:
        fold(store, *(closed(number, at=days_ago(20), void="x" * 500) for number in range(1500)))
        before = pages(store)
        prune(store.database, Keep(days=10), NOW)
        assert store.rounds() == []
        assert pages(store) < before / 2


def test_nothing_is_dropped_of_an_ordinary_year(store):
    fold(store, closed(1, at=days_ago(366)), evidence(1, at=days_ago(366)))
    prune(store.database, Keep(), NOW)
    assert (len(store.rounds()), len(store.evidence())) == (1, 1)
