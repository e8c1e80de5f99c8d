import json
import os

import pytest

from node.console.sources.log_file import MOST_LINE_BYTES, LogFollower, beside


def told(number, **more):
    return (json.dumps({"event": f"e{number}", "level": "info", **more}, sort_keys=True) + "\n").encode()


def numbers(follower):
    return [int(record["event"][1:]) for record in follower.poll()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.jsonl"


def rotate(path):
    for number in (3, 2, 1):
        older = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number}"))


def append(path, *lines):
    with path.open("ab") as file:
        file.write(b"".join(lines))


def test_what_is_written_comes_once_and_only_when_it_is_complete(path):
    follower = LogFollower(path)
    assert numbers(follower) == []
    append(path, told(1), told(2)[:-5])
    assert numbers(follower) == [1]
    append(path, told(2)[-5:], told(3))
    assert numbers(follower) == [2, 3]
    assert numbers(follower) == []


def test_rotation_loses_nothing_and_tells_nothing_twice(path):
    follower = LogFollower(path)
    append(path, told(1))
    rotate(path)
    append(path, told(2))
    assert numbers(follower) == [1, 2]
    append(path, told(3))
    rotate(path)
    append(path, told(4))
    rotate(path)
    append(path, told(5))
    assert numbers(follower) == [3, 4, 5]


def test_who_comes_late_reads_the_oldest_that_is_there(path):
    follower = LogFollower(path)
    append(path, told(1))
    assert numbers(follower) == [1]
    for number in range(2, 9):
        rotate(path)
        append(path, told(number))
    assert numbers(follower) == [5, 6, 7, 8]


def test_a_reader_that_stops_in_the_middle_goes_on_there(path):
    append(path, *(told(number) for number in range(5)))
    follower = LogFollower(path)
    coming = follower.poll()
    assert [next(coming)["event"] for _ in range(2)] == ["e0", "e1"]
    coming.close()
    assert numbers(follower) == [2, 3, 4]


def test_torn_foreign_endless_and_repeated_lines_are_passed_over(path):
    append(path, b'{"event": "e\n', b"\xff\xfe\n", b"[" * 5000 + b"\n", b"x" * (2 * MOST_LINE_BYTES + 5) + b"\n",
           told(1, kind="round", id=7), told(2, note='"kind": "'))  # fmt: skip
    assert numbers(LogFollower(path)) == [2]


def test_a_file_that_was_cut_is_read_from_its_beginning(path):
    follower = LogFollower(path)
    append(path, told(1), told(2))
    assert numbers(follower) == [1, 2]
    os.truncate(path, 0)
    append(path, told(3))
    assert numbers(follower) == [3]


def test_the_log_lies_beside_the_journal_or_in_the_state_folder_below(tmp_path):
    assert beside(tmp_path / "journal.jsonl") == tmp_path / "state" / "log.jsonl"
    append(tmp_path / "log.jsonl", told(1))
    assert beside(tmp_path / "journal.jsonl") == tmp_path / "log.jsonl"
