"""The state folder of a node: its key, its lock and its last checkpoint.

DIR/key          Ed25519 seed, mode 0600, made once; and the runs that it has begun (`crypto/key_file.py`)
DIR/channel-key  what boxes of private rounds are sealed to, mode 0600, made once
DIR/lock         held while a node runs; contains its process id
DIR/checkpoint   what a restart resumes from, replaced atomically after every round
DIR/store.db     what the node remembers (`node/store`), where no server has it

The checkpoint is no row of the store: it says how long the ledger in the store was, and who puts an older store in its
place must not thereby put an older word on it there too. It is also a blob that would be written twice a round, into
the database's log and then into the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgpack

from crypto.identity import Identity, IdentityError
from crypto.key_file import MAX_BYTES as MAX_KEY_BYTES
from crypto.key_file import KeyFile, Run
from crypto.sealing import SECRET_BYTES, ChannelKey
from node.errors import BEGIN_ANEW, StateError, room_needed
from node.files import create_once, read_bounded, sweep, write_atomically

Value = bytes | int | float | str | None
MAGIC = b"grapevine-checkpoint-1\n"
CHANNEL_KEY_MAGIC = b"grapevine-channel-key-1\n"
MAX_CHANNEL_KEY_BYTES = 4096
MAX_CHECKPOINT_BYTES = 1 << 31
_NEW_CHANNEL_KEY = (
    "If it is lost or copied, move it away: the node makes another when it starts, and its peers take that."
)


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
        if not create_once(self.key_path, KeyFile(identity).encode(), mode=0o600):
            raise StateError(f"{self.key_path} exists already", "Use it, or name another folder with --state.")
        return identity

    def load_identity(self) -> Identity:
        """Read the key; refused when anybody but its owner can read it."""
        return self.load_key().identity

    def load_key(self) -> KeyFile:
        """As `load_identity`, with the runs that it has begun."""
        try:
            _refuse_readers(self.key_path, "If somebody may have copied it, make a new node.")
            return KeyFile.decode(read_bounded(self.key_path, MAX_KEY_BYTES))
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

    def begin(self, run: Run) -> None:
        """Have the key say, durably, that it has begun `run`; before anything of the run is charged or signed.

        The checkpoint is there already: a crash between the two must leave a node that can go on. Raises StateError.
        """
        try:
            # Behind a link lies the file that would be copied elsewhere.
            path = self.key_path.resolve()
            write_atomically(path, self.load_key().beginning(run).encode(), mode=0o600)
        except (IdentityError, OSError) as error:
            raise StateError(
                f"{self.key_path} cannot take note of the run that it is to begin: {error}",
                "Make it and its folder writable for this user, or make a new node.",
            ) from error

    # --- the channel key ------------------------------------------------------------------------------------------

    def channel_key(self, now: int, randbytes: Callable[[int], bytes]) -> tuple[ChannelKey, int]:
        """The channel key and when it was made, in seconds since 1970; made `now` where there is none. Raises
        StateError where it is damaged, or anybody but its owner can read it.
        """
        path = self.path / "channel-key"
        try:
            if not path.exists():
                self._make_folder()
                create_once(path, encode_channel_key(randbytes(SECRET_BYTES), now), mode=0o600)
            _refuse_readers(path, _NEW_CHANNEL_KEY)
            return decode_channel_key(read_bounded(path, MAX_CHANNEL_KEY_BYTES))
        except ValueError as error:
            raise StateError(f"{path} is damaged: {error}", _NEW_CHANNEL_KEY) from error
        except PermissionError as error:
            raise StateError(f"{path} cannot be read: {error}", "Run as the user who made it.") from error

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
        """Replace the checkpoint, durably. Raises StateError where the disk is full: the one before is left then."""
        body = msgpack.packb([checkpoint.swarm, checkpoint.round, dict(checkpoint.learner)])
        try:
            write_atomically(self.checkpoint_path, MAGIC + hashlib.sha256(body).digest() + body, mode=0o600)
        except OSError as error:
            raise room_needed(self.checkpoint_path, error) from error

    def load_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, None where there is none; StateError where it is damaged."""
        try:
            return _parse_checkpoint(read_bounded(self.checkpoint_path, MAX_CHECKPOINT_BYTES))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StateError(
                f"{self.checkpoint_path} is damaged: {error}",
                BEGIN_ANEW,
            ) from error

    def _make_folder(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StateError(f"{self.path} cannot be made: {error}", "Name another folder with --state.") from error


def _refuse_readers(path: Path, remedy: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise StateError(f"{path} can be read by others (mode {mode:04o})", f"Run: chmod 600 {path}. {remedy}")


def encode_channel_key(secret: bytes, made: int) -> bytes:
    """The content of the file: a header line, a checksum, the second it was made in, the secret."""
    body = made.to_bytes(8, "big") + secret
    return CHANNEL_KEY_MAGIC + hashlib.sha256(body).digest() + body


def decode_channel_key(content: bytes) -> tuple[ChannelKey, int]:
    """The key in a file, and when it was made. Raises `ValueError` for a file that is cut, altered or another."""
    start = len(CHANNEL_KEY_MAGIC) + 32
    if not content.startswith(CHANNEL_KEY_MAGIC) or len(content) != start + 8 + SECRET_BYTES:
        raise ValueError("not a channel key of this version")
    body = content[start:]
    if hashlib.sha256(body).digest() != content[len(CHANNEL_KEY_MAGIC) : start]:
        raise ValueError("its checksum does not match")
    return ChannelKey(body[8:]), int.from_bytes(body[:8], "big")


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
