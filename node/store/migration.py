"""From whatever schema a store has to the one that `tables.py` describes, in one transaction, at opening.

An empty database gets the whole schema at once; an older one Alembic's steps, which a test holds to the same result.
A kill -9 in the middle leaves the schema that was there before: both databases take back a half-made table.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from node.errors import StateError
from node.store.database import Database
from node.store.tables import HEAD, METADATA

STEPS = Path(__file__).parent / "migrations"
_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_LOCK = "SELECT pg_advisory_xact_lock(1735549296)"  # of this project's migrations; whoever comes second finds all done


def migrate(database: Database, *, steps: Path = STEPS, head: str = HEAD) -> None:
    """Bring the schema to `head`. Raises StateError for a schema that is newer, or is no store's."""
    with database.reading() as connection:
        found = _revision(connection)
    if found == head:
        return
    with database.lasting() as connection:
        if not database.is_file:
            connection.execute(text(_LOCK))
        found = _revision(connection)
        if found is None:
            _create(database, connection)
        elif found != head:
            _upgrade(database, connection, found, steps)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _create(database: Database, connection: Connection) -> None:
    found = set(inspect(connection).get_table_names())
    foreign = found if database.is_file else found & set(METADATA.tables)
    if foreign:
        raise StateError(
            f"{database.place} holds the tables of something else: {', '.join(sorted(foreign)[:3])}",
            "Give the node a database, or a schema of one, of its own.",
        )
    METADATA.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(_VERSION.insert().values(version_num=HEAD))


def _upgrade(database: Database, connection: Connection, found: str, steps: Path) -> None:
    # Alembic takes a third of a second to import, and is wanted once in the life of a release.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(steps).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError:
        raise StateError(
            f"{database.place} has schema {found!r}, which this release does not know: it was made by a newer one",
            "Install the release that wrote it last, or give the node another store.",
        ) from None
    command.upgrade(config, "head")
