"""The seam to SQLAlchemy: where a store lies, how a transaction begins, and what its errors become.

SQLite writes ahead (WAL); PostgreSQL is reached with psycopg. A transaction is one of three kinds:

    reading     sees one state of the store and holds up nobody
    folding     what the journal or the checkpoint can give again: after a power cut, not after a kill -9, its last
                rows may be missing, and then the offset is as old as they are
    lasting     on the disk when it returns, whatever happens next
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.engine import URL, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from node.errors import StateError
from node.files import create_once

FILE = "store.db"
BUSY_S = 20
"""How long SQLite waits for another process that writes: `grapevine token` holds its lock for milliseconds."""
CONNECT_S = 10
_SERVER = {
    "connect_timeout": CONNECT_S,
    # A machine that is gone says nothing: by default it is waited for two hours, and a round may wait with it. One that
    # is there and slow is not cut off.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_SQLITE = {
    "reading": ("BEGIN",),
    # IMMEDIATE: a transaction that reads first and writes then could be refused in the middle.
    "folding": ("PRAGMA synchronous=NORMAL", "BEGIN IMMEDIATE"),
    "lasting": ("PRAGMA synchronous=FULL", "BEGIN IMMEDIATE"),
}
_POSTGRESQL = {
    "reading": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",),
    "folding": ("SET LOCAL synchronous_commit = off",),
    "lasting": ("SET LOCAL synchronous_commit = on",),
}
_KEEP = "It holds the privacy ledger: do without it only where the node claims no epsilon."

Kind = Literal["reading", "folding", "lasting"]


class Damaged(ValueError):  # noqa: N818 - it is
    """What is in the store is nothing that was ever written there. Raise it where errors become StoreFailed."""


class StoreFailed(StateError):  # noqa: N818 - it did
    """The database does not do what it is asked."""


class Database:
    """A SQLite file or a PostgreSQL database, opened and not yet looked into."""

    def __init__(self, engine: Engine, place: str) -> None:
        """Use `open_database`. `place` is what errors call it, without a password."""
        self.engine = engine
        self.place = place

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._transaction("reading") as connection:
            yield connection

    @contextmanager
    def folding(self) -> Iterator[Connection]:
        """A transaction whose rows the journal or the checkpoint can give again."""
        with self._transaction("folding") as connection:
            yield connection

    @contextmanager
    def lasting(self) -> Iterator[Connection]:
        """A transaction that is on the disk when the block ends. If it raises, whether it is there is unknown."""
        with self._transaction("lasting") as connection:
            yield connection

    @contextmanager
    def _transaction(self, kind: Kind) -> Iterator[Connection]:
        with self.failing(), self.engine.connect() as connection, connection.execution_options(kind=kind).begin():
            yield connection

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Errors of the database as StoreFailed."""
        try:
            yield
        # Two of what was text or JSON, and is damaged: sqlite3 itself cannot put some of it into its messages.
        except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, JSONDecodeError, Damaged) as error:
            raise self.failed(error) from error

    def failed(
        self, error: SQLAlchemyError | sqlite3.Error | UnicodeDecodeError | JSONDecodeError | Damaged
    ) -> StoreFailed:
        """`error` in two lines, without the values that were to be written."""
        cause = getattr(error, "orig", None) or error
        why = " ".join(str(cause).split()) or type(cause).__name__
        if isinstance(cause, ValueError) or "not a database" in why or "malformed" in why or "not authorized" in why:
            return StoreFailed(f"{self.place} is damaged: {why}", f"Restore it from a copy. {_KEEP}")
        if self.is_file:
            return StoreFailed(f"{self.place} failed: {why}", "See to its disk and to who may write there.")
        return StoreFailed(
            f"{self.place} failed: {why}", "See that it runs, and to user, password and name in its URL."
        )

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()


def open_database(url: str | None, folder: Path) -> Database:
    """The database at `url`, or `store.db` in `folder`, which is made where it is missing. Raises StateError."""
    return _open_file(folder / FILE) if url is None else _open_server(url)


def _open_file(path: Path) -> Database:
    try:
        if not path.exists():  # SQLite would make it for everybody to read
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            create_once(path, b"", mode=0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be made: {error}", "Name another folder with --state.") from error
    engine = create_engine(
        URL.create("sqlite", database=os.fspath(path)), connect_args={"timeout": BUSY_S}, hide_parameters=True
    )
    event.listen(engine, "connect", _as_we_begin)
    event.listen(engine, "begin", _begin)
    return Database(engine, str(path))


def _open_server(text: str) -> Database:
    try:
        url = _as_psycopg(make_url(text))
        # A server that was started again leaves dead connections in the pool.
        engine = create_engine(url, connect_args=_SERVER, hide_parameters=True, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StateError(
            f"--store is no URL of a database: {type(error).__name__}",  # its text could hold the password
            "Write postgresql://USER@HOST/NAME, the password in GRAPEVINE_STORE or ~/.pgpass; or leave it out.",
        ) from error
    event.listen(engine, "begin", _begin)
    return Database(engine, f"postgresql://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}")


def _as_psycopg(url: URL) -> URL:
    if url.get_backend_name() != "postgresql":
        raise ArgumentError("another database")
    return url.set(drivername="postgresql+psycopg")


def _as_we_begin(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Without it Python's sqlite3 begins and commits on its own around a CREATE TABLE.
    connection.isolation_level = None
    cursor = connection.cursor()
    if cursor.execute("PRAGMA page_count").fetchone() == (0,):  # before the first table, or never
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    statements = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
    kind: Kind = connection.get_execution_options().get("kind", "reading")
    for statement in statements[kind]:
        connection.exec_driver_sql(statement)
