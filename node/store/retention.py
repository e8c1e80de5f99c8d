"""What a store lets go of, by age and by size.

Never dropped: the ledger, peers, the newest champion and the one in use, and
verdicts that put a peer out of the average while no operator has reviewed them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, not_, select, true

from node.store.database import Database
from node.store.projection import SHUNNED
from node.store.tables import EVIDENCE, MODELS, OPERATIONS, REPUTATION, ROUNDS, VERDICTS

DAY_S = 86_400.0
PAGES = 10_000
"""That a file is made shorter by at a time: 40 MB, so that nobody waits long."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept: by default a bit more than a year. Champions have a bound of bytes too, in `models.py`."""

    days: float = 400.0
    rows: int = 1_000_000
    """Of each table of events: rounds take the most room, about 0.5 KB each."""


def prune(database: Database, keep: Keep, now: float) -> None:
    """Drop what is older than `keep.days` at `now` (seconds since 1970), then the oldest of what is too much."""
    since = now - keep.days * DAY_S
    with database.folding() as connection:
        for table in (ROUNDS, EVIDENCE, REPUTATION, OPERATIONS, VERDICTS):
            spare = _spare(table)
            connection.execute(delete(table).where(table.c.at < since, spare))
            last = select(table.c.id).order_by(table.c.id.desc()).offset(keep.rows).limit(1).scalar_subquery()
            connection.execute(delete(table).where(table.c.id <= last, spare))
        _prune_models(connection, since)
    if database.is_file:
        with database.failing(), database.engine.connect() as connection:
            # As a script, which is run to its end: `execute` would take one step, and a step is one page.
            connection.connection.cursor().executescript(f"PRAGMA incremental_vacuum({PAGES})")


def _spare(table: Table) -> ColumnElement[bool]:
    """Which rows may go at all."""
    if table is VERDICTS:
        return not_(and_(VERDICTS.c.after.in_(SHUNNED), VERDICTS.c.reviewed_at.is_(None)))
    return true()


def _prune_models(connection: Connection, since: float) -> None:
    newest = select(MODELS.c.life, MODELS.c.version).order_by(MODELS.c.life.desc(), MODELS.c.version.desc()).limit(1)
    # An operator may have gone back to an older one.
    in_use = select(ROUNDS.c.life, ROUNDS.c.champion_version).order_by(ROUNDS.c.id.desc()).limit(1)
    spared = {(row[0], row[1]) for chosen in (newest, in_use) for row in connection.execute(chosen)}
    old = select(MODELS.c.life, MODELS.c.version).where(MODELS.c.at < since)
    for life, version in connection.execute(old).all():
        if (life, version) not in spared:
            connection.execute(delete(MODELS).where(MODELS.c.life == life, MODELS.c.version == version))
