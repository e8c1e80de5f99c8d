import contextlib
import shutil
import sqlite3

import pytest

from node.errors import StateError
from node.store.database import StoreFailed
from node.store.store import open_store
from tests.node.store.events import closed, evidence, operated, started, write
from tests.node.store.kills import killed

SWARM = b"s" * 32


def claim(store, path, *, node="12D3one", swarm=SWARM, resumed=False):
    return store.claimed(node, swarm, path / "journal.jsonl", resumed=resumed)


def refused(url, folder):
    with pytest.raises(StateError) as caught, open_store(url, folder):
        pass
    assert len(str(caught.value).splitlines()) == 2
    return caught.value


def test_a_file_is_its_owners_alone(tmp_path):
    with open_store(None, tmp_path) as store, claim(store, tmp_path):
        store.models.save(1, b"x", at=0.0, round=0)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("store.db*")}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_garbage_is_refused_and_left_as_it_is(tmp_path):
    for garbage in (b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000):
        (tmp_path / "store.db").write_bytes(garbage)
        error = refused(None, tmp_path)
        assert "is damaged" in error.problem
        assert "ledger" in error.remedy
        assert (tmp_path / "store.db").read_bytes() == garbage


def test_a_folder_that_cannot_be_made_is_an_error_of_the_user(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "--state" in refused(None, tmp_path / "file" / "state").remedy


def test_it_belongs_to_one_node(store, tmp_path):
    with claim(store, tmp_path):
        pass
    other = pytest.raises(StateError, match="is the store of 12D3one, and this node is 12D3two")
    with other, claim(store, tmp_path, node="12D3two"):
        pass
    with claim(store, tmp_path, resumed=True):
        pass


def test_in_the_middle_of_a_run_it_belongs_to_one_swarm(store, tmp_path):
    with claim(store, tmp_path):
        pass
    with pytest.raises(StateError, match="another topology"), claim(store, tmp_path, swarm=b"o" * 32, resumed=True):
        pass
    with claim(store, tmp_path, swarm=b"o" * 32):  # who begins anew goes on with the ledger of before
        pass
    with pytest.raises(StateError, match="another topology"), claim(store, tmp_path, resumed=True):
        pass


def test_one_process_at_a_time(url, tmp_path):
    def hold(report):
        with open_store(url, tmp_path) as store, claim(store, tmp_path):
            with pytest.raises(StateError, match="in use"), open_store(url, tmp_path) as other, claim(other, tmp_path):
                pass
            report()
            while True:
                pass

    assert killed(hold, reports=1) == 1
    with open_store(url, tmp_path) as store:
        for _ in range(2):  # neither a kill -9 nor an orderly end keeps it
            with claim(store, tmp_path, resumed=True):
                assert store.rounds() == []


def test_a_new_life_has_rounds_and_versions_of_its_own(store, tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, [started(), closed(0), closed(1)])
    with claim(store, tmp_path):
        store.models.save(1, b"first", at=0.0, round=1)
    assert [row["round"] for row in store.rounds()] == []  # they were in the journal before this life began
    write(path, [closed(5)])
    with claim(store, tmp_path, resumed=True):
        pass
    assert [row["round"] for row in store.rounds()] == [5]
    write(path, [closed(6)])  # not projected yet when the next life begins, and of the one before all the same
    with claim(store, tmp_path):
        write(path, [started(), closed(0)])
    assert [(row["round"], row["life"]) for row in store.rounds()] == [(0, 2)]
    assert store.models.versions() == []
    with pytest.raises(StateError, match="no champion of version 1"):
        store.models.load(1)


def test_what_is_written_until_the_end_is_projected(store, tmp_path):
    with claim(store, tmp_path):
        write(tmp_path / "journal.jsonl", [started(), closed(3)])
    assert [row["round"] for row in store.rounds()] == [3]


def test_reads_are_bounded_and_ordered(store, tmp_path):
    events = [closed(number) for number in range(5)] + [evidence(number, peer=f"p{number % 2}") for number in range(6)]
    with claim(store, tmp_path):
        write(tmp_path / "journal.jsonl", [started(), *events, operated("pause", ""), operated("resume", "")])
    assert [row["round"] for row in store.rounds(since=2, limit=2)] == [2, 3]
    assert [row["round"] for row in store.evidence("p1", limit=2)] == [5, 3]
    assert [row["round"] for row in store.evidence(limit=2)] == [5, 4]
    assert [row["action"] for row in store.operations()] == ["resume", "pause"]
    assert store.rounds(limit=-1) == []
    assert len(store.rounds(limit=10**9)) == 5


def test_a_copy_of_a_store_opens(tmp_path):
    with open_store(None, tmp_path / "a") as store, claim(store, tmp_path):
        store.models.save(1, b"x", at=0.0, round=0)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with open_store(None, tmp_path / "b") as store:
        assert store.models.load(1) == b"x"


def test_damage_in_the_middle_is_an_error_in_two_lines(tmp_path):
    with open_store(None, tmp_path) as store, claim(store, tmp_path):
        for version in range(20):
            store.models.save(version, bytes([version]) * 9000, at=0.0, round=0)
    content = bytearray((tmp_path / "store.db").read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    (tmp_path / "store.db").write_bytes(content)
    with (
        pytest.raises(StoreFailed) as caught,
        open_store(None, tmp_path) as store,
        claim(store, tmp_path, resumed=True),
    ):
        store.models.load(3)
    assert "is damaged" in caught.value.problem


@pytest.mark.parametrize("value", ["twelve", "-1", "1e3", "9" * 19, "\N{ARABIC-INDIC DIGIT THREE}", b"12"])
@pytest.mark.parametrize("key", ["life", "projected"])
def test_what_a_store_knows_of_itself_is_a_number_or_damaged(tmp_path, key, value):
    write(tmp_path / "journal.jsonl", [started(), closed(3)])
    with open_store(None, tmp_path) as store, claim(store, tmp_path, resumed=True):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as file:
        file.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        file.commit()
    with (
        pytest.raises(StoreFailed) as caught,
        open_store(None, tmp_path) as store,
        claim(store, tmp_path, resumed=True),
    ):
        pass
    assert "is damaged" in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "damage",
    ["UPDATE peers SET bytes_sent = 'many'", "UPDATE models SET content = 4", "UPDATE models SET sha256 = 'none'"],
)
def test_a_value_of_another_type_is_damage(tmp_path, damage):
    write(tmp_path / "journal.jsonl", [started(), closed(3)])
    with open_store(None, tmp_path) as store, claim(store, tmp_path, resumed=True):
        store.models.save(1, b"bytes", at=1.0, round=0)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as file:
        file.execute(damage)
        file.commit()
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(closed(4, peer_bytes={"press-2": (1, 2)}).model_dump_json().encode() + b"\n")

    def use():
        with open_store(None, tmp_path) as store, claim(store, tmp_path, resumed=True) as tail:
            tail.catch_up()
            store.models.load(1)

    with pytest.raises(StateError, match="is damaged"):
        use()


@pytest.mark.parametrize(
    "damage",
    [
        {b"evidenceevidence": b"evi\x83enceevidence", b"CREATE TABLE evidence": b"CREAXE TABLE evidence"},
        {b'["press-2"]': b'"press-2"]]'},
    ],
    ids=["no text", "no JSON"],
)
def test_text_that_is_damaged_is_an_error_in_two_lines(tmp_path, damage):
    write(tmp_path / "journal.jsonl", [started(), closed(3)])
    with open_store(None, tmp_path) as store, claim(store, tmp_path, resumed=True):
        pass
    content = (tmp_path / "store.db").read_bytes()
    for whole, damaged in damage.items():
        assert whole in content
        content = content.replace(whole, damaged)
    (tmp_path / "store.db").write_bytes(content)
    with pytest.raises(StoreFailed) as caught, open_store(None, tmp_path) as store:
        store.rounds()
    assert "is damaged" in caught.value.problem
