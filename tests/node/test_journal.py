import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import journal
from tests.node.test_status import closed

READY = journal.Ready(at=1.5, up=3, expected=4)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "journal.jsonl"
    events = [
        READY,
        journal.Disconnected(at=2.0, peer="press-1", reason="gone", up=2),
        journal.Finished(at=3, rounds=5),
    ]
    with journal.Journal.open(path) as book:
        for event in events:
            book.write(event)
    assert journal.read(path) == events
    assert json.loads(path.read_text().splitlines()[0]) == {"at": 1.5, "type": "ready", "up": 3, "expected": 4}


def test_a_torn_line_is_passed_over_and_stays_one_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(READY.model_dump_json().encode() + b'\n{"type": "rea')
    with journal.Journal.open(path) as book:
        book.write(READY)
    assert journal.read(path) == [READY, READY]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("free", [0, 10, 200])
def test_the_first_event_that_a_full_disk_does_not_take_is_an_error_and_one_torn_line(tmp_path, full_after, free):
    path, fit = tmp_path / "journal.jsonl", free // len(READY.model_dump_json() + "\n")
    with journal.Journal.open(path) as book, full_after(free):
        for _ in range(fit):
            book.write(READY)
        with pytest.raises(OSError, match="large"):
            book.write(READY)
    with journal.Journal.open(path) as book:
        book.write(READY)
    assert journal.read(path) == [READY] * (fit + 1)


def test_a_follower_sees_each_complete_line_once(tmp_path):
    path = tmp_path / "journal.jsonl"
    follower = journal.Follower(path)
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


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["ready", "round", "x"])
    | st.lists(st.none())
)
OBJECTS = st.dictionaries(st.sampled_from(["type", "at", "up", "expected", "round"]), VALUES).map(
    lambda fields: json.dumps(fields).encode()
)


@given(st.binary(max_size=300) | OBJECTS)
def test_any_line_is_an_event_or_none(line):
    event = journal.parse(line)
    assert event is None or isinstance(event, journal.Ready)


def test_a_huge_file_without_a_line_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "journal.jsonl"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    assert journal.read(path) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_figures_that_no_run_has_are_not_read():
    for field, value in (("bytes_sent", 10**400), ("test_accuracy", 5.0), ("round_s", 1e308), ("round", -1)):
        fields = json.loads(closed(0).model_dump_json()) | {field: value}
        assert journal.parse(json.dumps(fields).encode()) is None


def test_a_giant_line_is_not_parsed():
    assert journal.parse(b'{"type":"ready","at":1,"up":1,"expected":1' + b" " * journal.MAX_LINE_BYTES + b"}") is None


def test_what_is_not_known_is_read_back_as_such(tmp_path):
    path = tmp_path / "journal.jsonl"
    refused = journal.Refused(at=1, peer=None, address="10.0.0.9", reason="no handshake", count=3)
    with journal.Journal.open(path) as book:
        book.write(refused)
    assert journal.read(path) == [refused]
