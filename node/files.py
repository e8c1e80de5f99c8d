"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace `path` by `data`: after a crash at any instant the old or the new content is there, never a mixture.

    With `durable` the content and the rename are flushed to the disk, so that this also holds for a power cut.
    """
    # A random suffix: a predictable name in a folder that others may write to could be a link placed there.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def create_once(path: Path, data: bytes, *, mode: int) -> bool:
    """Make `path` with `data`, whole and durable; False, and nothing done, where it exists. Of two at once one wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    write_atomically(draft, data, mode=mode)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return True


def sweep(folder: Path) -> None:
    """Remove the drafts that a kill -9 left. Only for the one process that writes to `folder`."""
    for pattern in (".*.tmp", f"*.{'[0-9a-f]' * 8}.new"):
        for draft in folder.glob(pattern):
            draft.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """The content of `path`, or ValueError when it is larger than `limit_bytes`."""
    with path.open("rb") as file:
        # By its size first: a read of the limit would reserve that much, however short the file is.
        data = file.read(min(os.fstat(file.fileno()).st_size, limit_bytes) + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"{path} is larger than {limit_bytes} bytes")
    return data
