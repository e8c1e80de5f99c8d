import pytest
from sqlalchemy import func, select

from node.store.database import StoreFailed
from node.store.store import open_store
from node.store.tables import EVIDENCE, ROUNDS
from node.store.tail import Tail
from tests.node.store.events import closed, evidence, started, write
from tests.node.store.kills import killed


def count(store, table=ROUNDS):
    with store.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def test_what_is_in_the_journal_is_projected_once(store, path):
    ids = write(path, [started(), *(closed(number) for number in range(5))])
    tail = Tail(store.database, path)
    assert tail.projected == 0
    tail.catch_up()
    assert (tail.projected, count(store)) == (ids[-1], 5)
    ids = write(path, [closed(5)])
    tail.catch_up()
    tail.catch_up()
    Tail(store.database, path).catch_up()
    assert (tail.projected, count(store)) == (ids[-1], 6)
    assert [row["event"] for row in store.rounds(since=5)] == ids


def test_a_batch_given_twice_is_projected_once(store, path):
    tail = Tail(store.database, path)
    tail.project([(100, closed(0)), (200, closed(1))])
    tail.project([(100, closed(0)), (200, closed(1)), (300, closed(2))])
    tail.project([(300, closed(2))], upto=350)
    tail.project([])
    assert (count(store), tail.projected) == (3, 350)


def test_bad_lines_are_passed_over_and_a_torn_one_waited_for(store, path):
    write(path, [started()])
    with path.open("ab") as file:
        file.write(b'{"type": "round"}\nnonsense\n' + b"\xff" * 3_000_000 + b'\n\n{"type": "fin')
    tail = Tail(store.database, path)
    tail.catch_up()
    assert tail.projected == path.stat().st_size - len(b'{"type": "fin')
    with path.open("ab") as file:
        file.write(b'ished", "at": 1.0, "rounds": 1}\n')
    write(path, [closed(1)])
    tail.catch_up()
    assert tail.projected == path.stat().st_size
    assert count(store) == 1


@pytest.mark.parametrize("torn", [None, b"", b'{"type": "star'])
def test_a_journal_that_begins_after_the_store_is_the_same_one_at_the_next_start(store, path, torn):
    if torn is not None:
        path.write_bytes(torn)
    tail = Tail(store.database, path)
    tail.catch_up()
    write(path, [started(), closed(0)])
    tail.catch_up()
    assert Tail(store.database, path).projected == tail.projected == path.stat().st_size
    assert count(store) == 1


def test_another_journal_is_read_from_its_beginning(store, path):
    write(path, [started(at=1.0), closed(0)])
    Tail(store.database, path).catch_up()
    path.unlink()
    write(path, [started(at=2.0), closed(0), closed(1)])
    tail = Tail(store.database, path)
    assert tail.projected == 0
    tail.catch_up()
    assert count(store) == 3


def test_a_journal_that_a_power_cut_has_shortened_goes_on_from_its_end(store, path):
    write(path, [started(), closed(0), closed(1), closed(2)])
    Tail(store.database, path).catch_up()
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n", whole.index(b'"round":1')) + 1])
    tail = Tail(store.database, path)
    assert tail.projected == path.stat().st_size
    write(path, [closed(1), closed(2), closed(3)])
    tail.catch_up()
    assert sorted(row["round"] for row in store.rounds()) == [0, 1, 1, 2, 2, 3]


def test_an_offset_within_a_line_goes_on_with_the_next(store, path):
    write(path, [started(), closed(0)])
    tail = Tail(store.database, path)
    tail.catch_up()
    tail.project([], upto=tail.projected + 5)
    write(path, [closed(1), closed(2)])
    again = Tail(store.database, path)
    again.catch_up()
    assert [row["round"] for row in store.rounds()] == [0, 2]


def test_a_missing_journal_is_an_empty_one(store, path):
    Tail(store.database, path).catch_up()
    assert count(store) == 0


def test_a_batch_that_fails_leaves_no_row_and_no_offset(store, path, monkeypatch):
    write(path, [started(), evidence(1), closed(1)])
    tail = Tail(store.database, path)

    def fail(*_, **__):
        raise StoreFailed("full", "make room")

    monkeypatch.setattr("node.store.tail.write_meta", fail)  # the last statement of a batch
    with pytest.raises(StoreFailed):
        tail.catch_up()
    monkeypatch.undo()
    assert (tail.projected, count(store), count(store, EVIDENCE)) == (0, 0, 0)
    tail.catch_up()
    assert (count(store), count(store, EVIDENCE)) == (1, 1)


@pytest.mark.processes
def test_kill_9_in_the_middle_of_batches_loses_and_doubles_no_row(url, tmp_path, path):
    """What was reported as projected is there; every event up to the offset has exactly one row."""
    ids = write(path, [started(), *(closed(number) for number in range(600))])[1:]
    reported = 0

    def work(report):
        with open_store(url, tmp_path) as store:
            tail = Tail(store.database, path)
            done = next((place for place, id_ in enumerate(ids) if id_ > tail.projected), len(ids))
            for place in range(done, len(ids), 3):
                chunk = range(place, min(place + 3, len(ids)))
                tail.project([(ids[number], closed(number)) for number in chunk])
                report()
            while True:
                pass

    for kill in range(6):
        before = reported
        reported += 3 * killed(work, reports=5 * kill, more_s=0.0005 * kill)
        with open_store(url, tmp_path) as store:
            tail = Tail(store.database, path)
            done = [row["round"] for row in store.rounds(limit=1000)]
            assert done == list(range(len(done)))
            assert tail.projected == ([0, *ids][len(done)])
            assert reported <= len(done) <= reported + 3 * (kill + 1)
            assert before <= reported
    with open_store(url, tmp_path) as store:
        Tail(store.database, path).catch_up()
        assert [row["round"] for row in store.rounds(limit=1000)] == list(range(600))
