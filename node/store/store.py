"""The store of one node. Reading it needs nothing; whoever writes the node's own rows has claimed it first.

Open it with `open_store`. Every method may be called from any thread, one at a time or several; all of them block, and
raise StoreFailed where the database fails.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, Table, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from node.errors import StateError
from node.store.database import Database, StoreFailed, open_database
from node.store.meta import life_of, number_of, read_meta, write_meta
from node.store.migration import migrate
from node.store.models import Models
from node.store.tables import EVIDENCE, OPERATIONS, REPUTATION, ROUNDS, VERDICTS
from node.store.tail import Tail

Row = dict[str, Any]
"""Column → value, as in `node.store.tables`."""
MOST_ROWS = 10_000
"""That one read gives."""
_CLAIM = (
    # A server notices at once that a process was killed, and by keepalives that its machine was.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET lock_timeout = '2s'",
    "SELECT pg_advisory_lock(1735549296, hashtext(current_schema()))",
)
_IN_USE = "55P03"
"""PostgreSQL's lock_not_available."""


@contextmanager
def open_store(url: str | None, folder: Path) -> Iterator[Store]:
    """The store at `url`, or `store.db` in the state folder `folder`; made, or brought to this release's schema.

    Raises StateError where it cannot be reached, is damaged, of something else, or of a newer release.
    """
    database = open_database(url, folder)
    try:
        migrate(database)
        yield Store(database)
    finally:
        database.close()


class Store:
    """Reads, and what the node writes into it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.models = Models(database)

    # --- whose it is ----------------------------------------------------------------------------------------------

    @contextmanager
    def claimed(self, node: str, swarm: bytes, journal: Path, *, resumed: bool) -> Iterator[Tail]:
        """Hold the store for the node with PeerId `node` in the swarm with digest `swarm`, against every other process;
        what is given is the end of its `journal` that is not here yet.

        `resumed` is false where the node begins anew from round 0. Raises StateError for the store of another node, of
        another swarm in the middle of a run, and for one that is in use.
        """
        with self._alone():
            with self.database.reading() as connection:
                known = read_meta(connection)
            self._recognise(known, node, swarm, resumed)
            tail = Tail(self.database, journal)
            if not resumed:
                tail.catch_up()  # what is left of the life before is of that life
            with self.database.lasting() as connection:
                known = read_meta(connection)
                life = number_of(known, "life") + (not resumed or "life" not in known)
                write_meta(connection, known, node=node, swarm=swarm.hex(), life=str(life))
            yield tail
            with contextlib.suppress(StoreFailed):  # what is missing comes with the next start
                tail.catch_up()

    def _recognise(self, known: dict[str, str], node: str, swarm: bytes, resumed: bool) -> None:
        if known.get("node", node) != node:
            raise StateError(
                f"{self.database.place} is the store of {known['node']}, and this node is {node}",
                "Give every node a store of its own, or put this node's own back.",
            )
        if resumed and known.get("swarm", swarm.hex()) != swarm.hex():
            raise StateError(
                f"{self.database.place} belongs to another topology (or to this one before it was edited)",
                "Put back the store that lay beside this checkpoint, or start from the topology file of both.",
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        database = self.database
        busy = StateError(f"{database.place} is in use by another process", "Stop that node first.")
        if not database.is_file:
            with self._session(busy):
                yield
            return
        # Beside the database: to close it would take SQLite's own locks from this process.
        with Path(database.place).with_suffix(".lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy from None
            yield

    @contextmanager
    def _session(self, busy: StateError) -> Iterator[None]:
        """A connection that holds the lock: it ends with the process, however that ends."""
        with contextlib.ExitStack() as stack:
            with self.database.failing():
                session = stack.enter_context(self.database.engine.connect())
                session = session.execution_options(isolation_level="AUTOCOMMIT")
                try:
                    for statement in _CLAIM:
                        session.exec_driver_sql(statement)
                except OperationalError as error:
                    if getattr(error.orig, "sqlstate", None) == _IN_USE:
                        raise busy from None
                    raise
            stack.callback(self._unlock, session)
            yield

    def _unlock(self, session: Connection) -> None:
        with contextlib.suppress(SQLAlchemyError):  # a server that is gone has let go of it
            session.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            session.detach()  # for it is not like the others of the pool any more

    # --- reads ----------------------------------------------------------------------------------------------------

    def rounds(self, since: int = 0, limit: int = 1000) -> list[Row]:
        """The rounds of this life from number `since` on, oldest first."""
        with self.database.reading() as connection:
            life = life_of(connection)
            return _rows(
                connection,
                select(ROUNDS)
                .where(ROUNDS.c.life == life, ROUNDS.c.round >= since)
                .order_by(ROUNDS.c.round, ROUNDS.c.id)
                .limit(_bounded(limit)),
            )

    def evidence(self, peer: str | None = None, limit: int = 1000, before: int | None = None) -> list[Row]:
        """What is held against `peer` (or anybody), newest first; older than the row with the id `before`."""
        return self._newest(EVIDENCE, peer, limit, before)

    def reputation(self, peer: str | None = None, limit: int = 1000, before: int | None = None) -> list[Row]:
        """The changes of a peer's reputation, as `evidence`."""
        return self._newest(REPUTATION, peer, limit, before)

    def verdicts(self, peer: str | None = None, limit: int = 1000, before: int | None = None) -> list[Row]:
        """The changes of a peer's verdict, quarantines among them, as `evidence`."""
        return self._newest(VERDICTS, peer, limit, before)

    def operations(self, limit: int = 1000, before: int | None = None) -> list[Row]:
        """What operators did, as `evidence`."""
        return self._newest(OPERATIONS, None, limit, before)

    def _newest(self, table: Table, peer: str | None, limit: int, before: int | None) -> list[Row]:
        chosen = select(table).order_by(table.c.id.desc()).limit(_bounded(limit))
        if peer is not None:
            chosen = chosen.where(table.c.peer == peer)
        if before is not None:
            chosen = chosen.where(table.c.id < before)
        with self.database.reading() as connection:
            return _rows(connection, chosen)


def _bounded(limit: int) -> int:
    return max(0, min(limit, MOST_ROWS))


def _rows(connection: Connection, chosen: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(chosen).mappings()]
