"""The state folder of a node: its key, its lock and its last checkpoint.

DIR/key          Ed25519 seed, mode 0600, made once
DIR/lock         held while a node runs; contains its process id
DIR/checkpoint   what a restart resumes from, replaced atomically after every round
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgpack

from crypto.identity import Identity, IdentityError, decode_key_file, encode_key_file
from node.errors import StateError
from node.files import create_once, read_bounded, sweep, write_atomically

Value = bytes | int | float | str | None
MAGIC = b"grapevine-checkpoint-1\n"
MAX_KEY_BYTES = 4096
MAX_CHECKPOINT_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a node stands after `round` rounds. `swarm` is the digest of the topology that it belongs to."""

    swarm: bytes
    round: int
    learner: Mapping[str, Value]


class StateFolder:
    """One node's folder. Open it with `locked` to run a node on it; reading needs no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def key_path(self) -> Path:
        """Where the key lies."""
        return self.path / "key"

    @property
    def checkpoint_path(self) -> Path:
        """Where the last checkpoint lies."""
        return self.path / "checkpoint"

    # --- the key --------------------------------------------------------------------------------------------------

    def create_identity(self) -> Identity:
        """Make the key. Raises StateError when there is one: a key is never overwritten."""
        self._make_folder()
        identity = Identity.generate(os.urandom)
        if not create_once(self.key_path, encode_key_file(identity), mode=0o600):
            raise StateError(f"{self.key_path} exists already", "Use it, or name another folder with --state.")
        return identity

    def load_identity(self) -> Identity:
        """Read the key; refused when anybody but its owner can read it."""
        try:
            mode = self.key_path.stat().st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise StateError(
                    f"{self.key_path} can be read by others (mode {stat.S_IMODE(mode):04o})",
                    f"Run: chmod 600 {self.key_path}. If somebody may have copied it, make a new node.",
                )
            return decode_key_file(read_bounded(self.key_path, MAX_KEY_BYTES))
        except FileNotFoundError:
            raise StateError(
                f"{self.path} holds no key", f"Run: grapevine node init --name NAME --state {self.path}"
            ) from None
        except (IdentityError, ValueError) as error:
            raise StateError(
                f"{self.key_path} is damaged: {error}", "Restore it from a copy, or make a new node."
            ) from error
        except PermissionError as error:
            raise StateError(f"{self.key_path} cannot be read: {error}", "Run as the user who made it.") from error

    # --- the lock -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other node off this folder. The kernel lets go of the lock even on kill -9."""
        self._make_folder()
        path = self.path / "lock"
        with path.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read(32).decode("ascii", "replace").strip()
                raise StateError(
                    f"{self.path} is in use by process {owner}", "Stop that node first, or name another folder."
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            file.flush()
            sweep(self.path)
            yield

    # --- the checkpoint -------------------------------------------------------------------------------------------

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, durably."""
        body = msgpack.packb([checkpoint.swarm, checkpoint.round, dict(checkpoint.learner)])
        write_atomically(self.checkpoint_path, MAGIC + hashlib.sha256(body).digest() + body, mode=0o600)

    def load_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, None where there is none; StateError where it is damaged."""
        try:
            return _parse_checkpoint(read_bounded(self.checkpoint_path, MAX_CHECKPOINT_BYTES))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StateError(
                f"{self.checkpoint_path} is damaged: {error}",
                "Move it away to start this node from the beginning; its key and journal stay.",
            ) from error

    def _make_folder(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StateError(f"{self.path} cannot be made: {error}", "Name another folder with --state.") from error


def _parse_checkpoint(data: bytes) -> Checkpoint:
    start = len(MAGIC) + 32
    if not data.startswith(MAGIC) or len(data) < start:
        raise ValueError("not a checkpoint of this version")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(MAGIC) : start]:
        raise ValueError("its checksum does not match")
    swarm, round_, learner = msgpack.unpackb(body)
    if not (isinstance(swarm, bytes) and isinstance(round_, int) and isinstance(learner, dict) and round_ >= 0):
        raise ValueError("its fields have the wrong types")
    return Checkpoint(swarm, round_, learner)
