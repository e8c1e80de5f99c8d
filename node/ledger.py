"""The privacy ledger: what a node has ever let out, in its store before it is let out.

One row an entry, inserted and never changed: the entry as JSON, and SHA-256 over the row before's hash and that JSON.

`charge` returns once its row is on the disk, and only then may anything leave the node. So a crash at any instant
leaves an ε that is never less than what left: the entry is there although nothing left yet, or nothing left. Nothing is
ever paid back: that a round came to nothing here does not prove that nobody opened it.

The chain shows damage and edits by accident or by hand. Who owns the disk can put an older, whole store in its place:
`Head`, kept somewhere else (the checkpoint, which for that reason is a file of its own), makes that show too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import func, select, text

from crypto.accountant import AccountingError, Release, epsilon
from node.errors import StateError, UserError
from node.store.database import Database, StoreFailed
from node.store.tables import LEDGER

MAX_ENTRY_BYTES = 4096
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
    """One writer: the node that has claimed the store. `open` it, and `charge` before each release."""

    def __init__(self, database: Database, budget: Budget, head: Head, total: _Total) -> None:
        """Use `open`."""
        self._database = database
        self._budget = budget
        self._head = head
        self._total = total
        self._failed = False

    @classmethod
    def open(
        cls, database: Database, budget: Budget, *, at_least: Head | None = None, level: Level | None = None
    ) -> Self:
        """The ledger in `database`.

        Raises StateError where it is damaged, or shorter or other than `at_least`, or where the server is told not to
        wait for its disk; with `level`, also where it holds releases of the other one: ε for records and ε for updates
        cannot be added up.
        """
        return cls(database, budget, *_read(database, at_least, level))

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

    def charge(self, round: int, release: Release, *, level: Level, noise: Noise, mechanism: str = "") -> Entry:  # noqa: A002
        """Put `release` on the disk. Only after this returns may it be made.

        Raises BudgetSpent, and writes nothing, where it would exceed the budget; LedgerFailed where the disk fails.
        """
        if self._failed:
            raise LedgerFailed(
                f"the ledger in {self._database.place} failed before", "Start the node again once the disk is well."
            )
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
        body = entry.model_dump_json()
        digest = _chained(self._head.digest, body)
        self._append(entry.sequence, body, digest)
        self._head = Head(self._head.entries + 1, digest)
        self._total.add(release)
        return entry

    def charging(self, *, level: Level, noise: Noise, mechanism: str = "") -> Charge:
        """`charge` as the function that a private trainer calls before each release."""

        def charge(round: int, release: Release) -> None:  # noqa: A002 - the glossary's word
            self.charge(round, release, level=level, noise=noise, mechanism=mechanism)

        return charge

    def _with(self, release: Release) -> float:
        return epsilon([*self._total.releases(), release], self._budget.delta)

    def _append(self, sequence: int, body: str, digest: bytes) -> None:
        # Of a commit that failed nobody knows whether it is there: no second try.
        self._failed = True
        try:
            with self._database.lasting() as connection:
                # Another writer, if ever there is one, has the same number: the second is refused.
                connection.execute(LEDGER.insert().values(sequence=sequence, body=body, digest=digest))
        except StoreFailed as error:
            raise LedgerFailed(
                f"the ledger took no entry: {error.problem}", "Start the node again once its store is well."
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


def _chained(before: bytes, body: str) -> bytes:
    return hashlib.sha256(before + body.encode()).digest()


def _read(database: Database, at_least: Head | None, level: Level | None) -> tuple[Head, _Total]:
    place = database.place
    digest, total, count = _GENESIS, _Total(), 0
    reached = at_least is None or at_least == Head(0, _GENESIS)
    # Whatever somebody wrote there, no more than an entry of it is read at a time.
    body = func.substr(LEDGER.c.body, 1, MAX_ENTRY_BYTES + 1).label("body")
    hashed = func.substr(LEDGER.c.digest, 1, 33).label("hashed")
    entries = select(LEDGER.c.sequence, body, hashed).order_by(LEDGER.c.sequence)
    with database.reading() as connection:
        if not database.is_file and connection.scalar(text("SHOW fsync")) != "on":
            raise StateError(
                f"{place} runs with fsync = off: an entry of the ledger could be lost after its release left",
                "Turn fsync on there, or leave --store out.",
            )
        for row in connection.execution_options(yield_per=1000).execute(entries):
            digest = _check(row.body, bytes(row.hashed), digest, (row.sequence, count), place, total, level)
            count += 1
            reached = reached or at_least == Head(count, digest)
    if not reached:
        raise StateError(
            f"{place} does not hold the ledger that this node kept: entry {at_least.entries if at_least else 0} is "
            f"missing or another one",
            "Put the newest store back. Without it, what was let out is unknown and the data must not be used again.",
        )
    return Head(count, digest), total


def _check(
    body: str,
    written: bytes,
    before: bytes,
    number: tuple[int, int],
    place: str,
    total: _Total,
    level: Level | None,
) -> bytes:
    sequence, count = number
    digest = _chained(before, body)
    if written != digest:
        raise _damaged(place, f"entry {count + 1} does not follow from the entries before it")
    try:
        entry = Entry.model_validate_json(body)
        total.add(entry.release())
    except (ValidationError, AccountingError) as error:
        raise _damaged(place, f"entry {count + 1} is none: {error}") from error
    if not entry.sequence == sequence == count:
        raise _damaged(place, f"entry {count + 1} has sequence {entry.sequence}")
    if level not in (None, entry.level):
        raise StateError(
            f"{place} holds releases with dp = {entry.level!r}, and this run has dp = {level!r}: their ε do not add up",
            f"Go on with dp = {entry.level!r}; or use data that nothing was let out of, in a new state folder.",
        )
    return digest


def _damaged(place: str, why: str) -> StateError:
    return StateError(
        f"the ledger in {place} is damaged: {why}",
        "Restore it from a copy. Without it, what was let out is unknown and the data must not be used again.",
    )
