import dataclasses
import multiprocessing
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import StateError
from node.state import Checkpoint, StateFolder

CHECKPOINT = Checkpoint(b"s" * 32, 7, {"vector": b"\x00" * 40, "version": 3, "loss": 0.25, "none": None})


def test_the_key_is_made_once_and_private(tmp_path):
    folder = StateFolder(tmp_path / "state")
    made = folder.create_identity()
    assert folder.load_identity() == made
    assert folder.key_path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StateError, match="exists already"):
        folder.create_identity()


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    folder = StateFolder(tmp_path)
    folder.create_identity()
    folder.key_path.chmod(mode)
    with pytest.raises(StateError, match="can be read by others") as caught:
        folder.load_identity()
    assert "chmod 600" in caught.value.remedy


def test_a_missing_key_says_how_to_make_one(tmp_path):
    with pytest.raises(StateError) as caught:
        StateFolder(tmp_path).load_identity()
    assert "grapevine node init" in caught.value.remedy


@given(st.binary(max_size=200))
def test_a_damaged_key_is_an_error_and_nothing_else(tmp_path_factory, garbage):
    folder = StateFolder(tmp_path_factory.mktemp("state"))
    folder.key_path.write_bytes(garbage)
    folder.key_path.chmod(0o600)
    with pytest.raises(StateError):
        folder.load_identity()


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    folder = StateFolder(tmp_path)
    assert folder.load_checkpoint() is None
    folder.save_checkpoint(CHECKPOINT)
    assert folder.load_checkpoint() == CHECKPOINT


def test_on_a_full_disk_the_checkpoint_before_is_left(tmp_path, full_after):
    folder = StateFolder(tmp_path)
    folder.save_checkpoint(CHECKPOINT)
    with full_after(100), pytest.raises(StateError, match="checkpoint cannot be written: File too large"):
        folder.save_checkpoint(dataclasses.replace(CHECKPOINT, round=8))
    assert folder.load_checkpoint() == CHECKPOINT
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


@given(st.data())
def test_a_damaged_checkpoint_is_noticed(tmp_path_factory, data):
    folder = StateFolder(tmp_path_factory.mktemp("state"))
    folder.save_checkpoint(CHECKPOINT)
    raw = bytearray(folder.checkpoint_path.read_bytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    folder.checkpoint_path.write_bytes(raw[: data.draw(st.sampled_from([len(raw), position]))])
    with pytest.raises(StateError, match="damaged"):
        folder.load_checkpoint()


def _hold(path, ready):
    with StateFolder(path).locked():
        ready.send(os.getpid())
        signal.pause()


def test_two_processes_cannot_share_a_folder_and_kill_9_frees_it(tmp_path):
    folder = StateFolder(tmp_path)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(tmp_path, there))
    process.start()
    owner = here.recv()
    with pytest.raises(StateError, match=f"in use by process {owner}"), folder.locked():
        pass
    process.kill()
    process.join()
    with folder.locked():
        pass


def test_the_channel_key_is_made_once_and_for_its_owner_alone(tmp_path):
    folder = StateFolder(tmp_path / "node")
    key, made = folder.channel_key(1_700_000_000, os.urandom)
    path = folder.path / "channel-key"
    assert path.stat().st_mode & 0o777 == 0o600
    again, still = folder.channel_key(1_800_000_000, os.urandom)
    assert (again.public, still) == (key.public, made) == (key.public, 1_700_000_000)
    assert [entry.name for entry in folder.path.iterdir()] == ["channel-key"]


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_channel_key_is_said_to_be_and_not_replaced(tmp_path, damage):
    folder = StateFolder(tmp_path / "node")
    folder.channel_key(1, os.urandom)
    path = folder.path / "channel-key"
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes({"cut": content[:-1], "flip": flipped, "other": b"something else"}[damage])
    left = path.read_bytes()
    with pytest.raises(StateError, match="channel-key is damaged") as caught:
        folder.channel_key(2, os.urandom)
    assert "makes another" in caught.value.remedy
    assert path.read_bytes() == left


def test_a_channel_key_that_others_can_read_is_refused(tmp_path):
    folder = StateFolder(tmp_path / "node")
    folder.channel_key(1, os.urandom)
    (folder.path / "channel-key").chmod(0o640)
    with pytest.raises(StateError, match="can be read by others"):
        folder.channel_key(2, os.urandom)
