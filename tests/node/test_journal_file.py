import json
import tracemalloc

import pytest

from node import journal, journal_file

READY = journal.Ready(at=1.5, up=3, expected=4)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "journal.jsonl"
    events = [
        READY,
        journal.Disconnected(at=2.0, peer="press-1", reason="gone", up=2),
        journal.Finished(at=3, rounds=5),
    ]
    with journal_file.Journal.open(path) as book:
        for event in events:
            book.write(event)
    assert journal_file.read(path) == events
    assert json.loads(path.read_text().splitlines()[0]) == {"at": 1.5, "type": "ready", "up": 3, "expected": 4}


def test_a_torn_line_is_passed_over_and_stays_one_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(READY.model_dump_json().encode() + b'\n{"type": "rea')
    with journal_file.Journal.open(path) as book:
        book.write(READY)
    assert journal_file.read(path) == [READY, READY]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("free", [0, 10, 200])
def test_the_first_event_that_a_full_disk_does_not_take_is_an_error_and_one_torn_line(tmp_path, full_after, free):
    path, fit = tmp_path / "journal.jsonl", free // len(READY.model_dump_json() + "\n")
    with journal_file.Journal.open(path) as book, full_after(free):
        for _ in range(fit):
            book.write(READY)
        with pytest.raises(OSError, match="large"):
            book.write(READY)
    with journal_file.Journal.open(path) as book:
        book.write(READY)
    assert journal_file.read(path) == [READY] * (fit + 1)


def test_a_follower_sees_each_complete_line_once(tmp_path):
    path = tmp_path / "journal.jsonl"
    follower = journal_file.Follower(path)
    assert list(follower.poll()) == []
    line = READY.model_dump_json().encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        file.write(line[:10])
        assert list(follower.poll()) == []
        file.write(line[10:] + line[:5])
        assert list(follower.poll()) == [READY]
        file.write(line[5:])
        assert list(follower.poll()) == [READY]
    assert list(follower.poll()) == []


def test_a_huge_file_without_a_line_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "journal.jsonl"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    assert journal_file.read(path) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
