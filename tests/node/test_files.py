import os
import stat
import tracemalloc

import pytest

from node.files import create_once, read_bounded, sweep, write_atomically


def test_replaces_content_and_keeps_the_mode(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old", mode=0o600)
    write_atomically(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(_descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_of_two_that_create_a_file_the_first_wins(tmp_path):
    path = tmp_path / "key"
    assert create_once(path, b"first", mode=0o600)
    assert not create_once(path, b"second", mode=0o600)
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_small_file_costs_a_small_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    tracemalloc.start()
    read_bounded(path, 1 << 31)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_drafts_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".checkpoint.abcd.tmp").write_bytes(b"half")
    (tmp_path / "checkpoint").write_bytes(b"whole")
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_reading_stops_at_the_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)
    assert read_bounded(path, 11) == b"x" * 11
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        read_bounded(path, 10)


def test_a_sweep_takes_the_drafts_of_a_killed_process_and_nothing_else(tmp_path):
    kept = {"key", "notes.new", "key.0123456g.new", "a.tmp"}
    for name in kept | {".checkpoint.00ff00ff.tmp", "key.00ff00ff.new"}:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
