"""The tables of a store.

    from the journal (projection.py)     rounds, evidence, reputation, verdicts, operations, peers
    of the node itself                   models (with the bytes of each champion), ledger
    of the store                         meta, and Alembic's own alembic_version

A row of the journal's tables carries `event`, the id of its event: the byte offset of the end of its line. `life`
counts how often the node began anew from round 0, so that rounds and versions of one life are told from another's.
Times are seconds since 1970. A schema that differs from the one before it needs a step in `migrations/versions`, and
`HEAD` its name.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    types,
)

HEAD = "0001"
"""The step that makes the schema below."""


class Words(types.TypeDecorator[str]):
    """Text of whatever origin: a zero byte, which PostgreSQL refuses, is written as U+FFFD."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """On its way into the database."""
        return None if value is None else value.replace("\x00", "\ufffd")


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only where the type is INTEGER, of 64 bits there."""


def _events(name: str, *columns: Column[Any]) -> Table:
    """A table of events, oldest first by `id`, whatever happens to the journal."""
    return Table(
        name,
        METADATA,
        Column("id", _SERIAL, primary_key=True),
        Column("event", BigInteger, nullable=False),
        Column("life", Integer, nullable=False),
        Column("at", Float(53), nullable=False, index=True),
        Column("round", BigInteger, nullable=False),
        *columns,
    )


META = Table("meta", METADATA, Column("key", String, primary_key=True), Column("value", Words, nullable=False))

ROUNDS = _events(
    "rounds",
    Column("outcome", String, nullable=False),
    Column("void", Words),
    Column("present", JSON, nullable=False),
    Column("absent", JSON, nullable=False),
    Column("train_s", Float(53), nullable=False),
    Column("exchange_s", Float(53), nullable=False),
    Column("round_s", Float(53), nullable=False),
    Column("loss", Float(53)),
    Column("holdout_loss", Float(53)),
    Column("holdout_accuracy", Float(53)),
    Column("test_accuracy", Float(53)),
    Column("consensus_distance", Float(53)),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("bytes_received", BigInteger, nullable=False),
    Column("champion_version", BigInteger, nullable=False),
    Column("epsilon", Float(53)),
)
Index(None, ROUNDS.c.life, ROUNDS.c.round)

EVIDENCE = _events(
    "evidence",
    Column("peer", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("severity", String, nullable=False),
    Column("reason", Words, nullable=False),
)
Index(None, EVIDENCE.c.peer, EVIDENCE.c.id)

REPUTATION = _events("reputation", Column("peer", Words, nullable=False), Column("score", Float(53), nullable=False))
Index(None, REPUTATION.c.peer, REPUTATION.c.id)

VERDICTS = _events(
    "verdicts",
    Column("peer", Words, nullable=False),
    Column("before", String, nullable=False),
    Column("after", String, nullable=False),
    Column("until", Float(53), nullable=False),
    Column("reason", Words, nullable=False),
    Column("reviewed_at", Float(53)),
    Column("reviewed_by", Words),
)
Index(None, VERDICTS.c.peer, VERDICTS.c.id)

OPERATIONS = _events(
    "operations",
    Column("actor", Words, nullable=False),
    Column("action", String, nullable=False),
    Column("target", Words, nullable=False),
    Column("reason", Words, nullable=False),
)

PEERS = Table(
    "peers",
    METADATA,
    Column("name", Words, primary_key=True),
    Column("peer_id", Words, nullable=False),
    Column("up", Boolean, nullable=False),
    Column("heard_at", Float(53)),
    Column("verdict", String, nullable=False),
    Column("until", Float(53), nullable=False),
    Column("reputation", Float(53), nullable=False),
    Column("latency_ms", Float(53)),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("bytes_received", BigInteger, nullable=False),
    Column("deadlines_missed", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("faults", BigInteger, nullable=False),
)

MODELS = Table(
    "models",
    METADATA,
    Column("life", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False, index=True),
    Column("round", BigInteger, nullable=False),
    Column("holdout_loss", Float(53)),
    Column("holdout_accuracy", Float(53)),
    Column("evidence", JSON, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("body", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
