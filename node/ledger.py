"""The privacy ledger: what a node has ever let out, on its disk before it is let out.

DIR/ledger   one line an entry, appended and never rewritten: JSON, a tab, SHA-256 over the line before's hash and the
             JSON, a newline

`charge` returns after fsync, and only then may anything leave the node. So a crash at any instant leaves an ε on the
disk that is never less than what left: the entry is there although nothing left yet, or nothing left. A tail without
its newline belongs to a `charge` that never returned, and is cut off. Nothing is ever paid back: that a round came to
nothing here does not prove that nobody opened it.

The chain shows damage and edits by accident or by hand. Who owns the disk can put an older, whole ledger in its place:
`Head`, kept somewhere else (the checkpoint, the audit log), makes that show too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crypto.accountant import AccountingError, Release, epsilon
from node.errors import StateError, UserError

MAX_LEDGER_BYTES = 1 << 30
_GENESIS = hashlib.sha256(b"grapevine-ledger-1").digest()

Level = Literal["record", "update"]
Noise = Literal["local", "distributed"]
Charge = Callable[[int, Release], None]
"""Called with round and release before the release is computed; raises BudgetSpent where it must not be made."""


class BudgetSpent(UserError):  # noqa: N818 - a state of the budget, not an error
    """The next release would exceed the budget. The node goes on averaging and serving, and contributes no more."""


class LedgerFailed(StateError):  # noqa: N818 - it did
    """The disk did not take an entry. Whether it is there is unknown, so nothing may leave until it is read again."""


class Entry(BaseModel):
    """A release that may have been made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    sequence: Annotated[int, Field(ge=0)]
    round: Annotated[int, Field(ge=0)]
    level: Level
    """What a neighbour differs in: one record, or all updates of the node."""
    noise: Noise
    mechanism: str
    multiplier: float
    sampling: float
    steps: int
    failure: float

    def release(self) -> Release:
        """As the accountant takes it; AccountingError where the numbers are none of a release."""
        return Release(self.multiplier, self.sampling, self.steps, self.failure)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be let out over the whole life of the data: (epsilon, delta)."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not (0 < self.epsilon < float("inf") and 0 < self.delta < 1):
            raise ValueError(f"a budget has 0 < epsilon < inf and 0 < delta < 1, got {self}")


@dataclass(frozen=True, slots=True)
class Head:
    """How long a ledger was, and the hash of its last line."""

    entries: int
    digest: bytes


class Ledger:
    """One writer: the node. `open` it, `charge` before each release, `close` it."""

    def __init__(self, descriptor: int, path: Path, budget: Budget, head: Head, total: _Total) -> None:
        """Use `open`."""
        self._descriptor = descriptor
        self._path = path
        self._budget = budget
        self._head = head
        self._total = total
        self._failed = False

    @classmethod
    def open(cls, path: Path, budget: Budget, *, at_least: Head | None = None, level: Level | None = None) -> Self:
        """Open or create `path`, and hold it against every other process until `close`.

        Raises StateError where it is in use, damaged, or shorter or other than `at_least`; with `level`, also where it
        holds releases of the other one: ε for records and ε for updates cannot be added up.
        """
        new = not path.exists()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error}", "Run as the user who made it.") from error
        try:
            _lock(descriptor, path)
            if new:
                _sync_folder(path.parent)
            head, total = _read(descriptor, path, at_least, level)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, path, budget, head, total)

    @property
    def head(self) -> Head:
        """What to keep elsewhere, and to give to `open` next time."""
        return self._head

    @property
    def budget(self) -> Budget:
        """What `charge` refuses to exceed."""
        return self._budget

    def spent(self) -> float:
        """ε at the budget's δ of all that may have left the node; it may exceed a budget that was lowered since."""
        return epsilon(self._total.releases(), self._budget.delta)

    def affords(self, release: Release) -> bool:
        """Whether `charge` would take `release`."""
        return self._with(release) <= self._budget.epsilon

    def charge(self, round: int, release: Release, *, level: Level, noise: Noise, mechanism: str = "") -> Entry:  # noqa: A002
        """Put `release` on the disk. Only after this returns may it be made.

        Raises BudgetSpent, and writes nothing, where it would exceed the budget; LedgerFailed where the disk fails.
        """
        if self._failed:
            raise LedgerFailed(f"{self._path} failed before", "Start the node again once the disk is well.")
        after = self._with(release)
        if after > self._budget.epsilon:
            raise BudgetSpent(
                f"round {round} would bring ε to {after:.4g}, and the budget is {self._budget.epsilon:g} "
                f"at δ = {self._budget.delta:g}",
                "The node averages and serves without contributing; a larger budget is the data owner's decision.",
            )
        entry = Entry(
            sequence=self._head.entries,
            round=round,
            level=level,
            noise=noise,
            mechanism=mechanism,
            multiplier=release.multiplier,
            sampling=release.sampling,
            steps=release.steps,
            failure=release.failure,
        )
        body = entry.model_dump_json().encode()
        digest = _chained(self._head.digest, body)
        self._append(body + b"\t" + digest.hex().encode() + b"\n")
        self._head = Head(self._head.entries + 1, digest)
        self._total.add(release)
        return entry

    def charging(self, *, level: Level, noise: Noise, mechanism: str = "") -> Charge:
        """`charge` as the function that a private trainer calls before each release."""

        def charge(round: int, release: Release) -> None:  # noqa: A002 - the glossary's word
            self.charge(round, release, level=level, noise=noise, mechanism=mechanism)

        return charge

    def close(self) -> None:
        """Let go of the file; every entry is on the disk already."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with(self, release: Release) -> float:
        return epsilon([*self._total.releases(), release], self._budget.delta)

    def _append(self, line: bytes) -> None:
        # After a failed fsync the kernel may drop the pages and call the next one a success: no second try.
        self._failed = True
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise LedgerFailed(
                f"{self._path} did not take an entry: {error}", "Start the node again once the disk is well."
            ) from error
        self._failed = False


class _Total:
    """The releases so far, alike ones merged: a million rounds are one entry to the accountant."""

    def __init__(self) -> None:
        self._steps: dict[tuple[float, float], tuple[int, float]] = {}

    def add(self, release: Release) -> None:
        key = release.multiplier, release.sampling
        steps, failure = self._steps.get(key, (0, 0.0))
        self._steps[key] = steps + release.steps, failure + release.failure

    def releases(self) -> list[Release]:
        return [Release(z, q, steps, min(failure, 1 - 2**-53)) for (z, q), (steps, failure) in self._steps.items()]


def _chained(before: bytes, body: bytes) -> bytes:
    return hashlib.sha256(before + body).digest()


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateError(f"{path} is in use by another process", "Stop that node first.") from None


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path, at_least: Head | None, level: Level | None) -> tuple[Head, _Total]:
    size = os.fstat(descriptor).st_size
    if size > MAX_LEDGER_BYTES:
        raise _damaged(path, f"it has {size} bytes, and {MAX_LEDGER_BYTES} are the most")
    data = b""
    while part := os.pread(descriptor, size - len(data), len(data)):
        data += part
    whole = data.rfind(b"\n") + 1
    digest, total, count = _GENESIS, _Total(), 0
    reached = at_least is None or at_least == Head(0, _GENESIS)
    for line in data[:whole].split(b"\n")[:-1]:
        digest = _check(line, digest, count, path, total, level)
        count += 1
        reached = reached or at_least == Head(count, digest)
    if not reached:
        raise StateError(
            f"{path} is not the ledger that this node kept: entry {at_least.entries if at_least else 0} is missing "
            f"or another one",
            "Put the newest ledger back. Without it, what was let out is unknown and the data must not be used again.",
        )
    if whole < len(data):
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
    return Head(count, digest), total


def _check(line: bytes, before: bytes, count: int, path: Path, total: _Total, level: Level | None) -> bytes:
    body, _, written = line.rpartition(b"\t")
    digest = _chained(before, body)
    if written != digest.hex().encode():
        raise _damaged(path, f"line {count + 1} does not follow from the lines before it")
    try:
        entry = Entry.model_validate_json(body)
        total.add(entry.release())
    except (ValidationError, AccountingError) as error:
        raise _damaged(path, f"line {count + 1} is no entry: {error}") from error
    if entry.sequence != count:
        raise _damaged(path, f"line {count + 1} has sequence {entry.sequence}")
    if level not in (None, entry.level):
        raise StateError(
            f"{path} holds releases with dp = {entry.level!r}, and this run has dp = {level!r}: their ε do not add up",
            f"Go on with dp = {entry.level!r}; or use data that nothing was let out of, in a new state folder.",
        )
    return digest


def _damaged(path: Path, why: str) -> StateError:
    return StateError(
        f"{path} is damaged: {why}",
        "Restore it from a copy. Without it, what was let out is unknown and the data must not be used again.",
    )
