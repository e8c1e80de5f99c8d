"""Champions by version, with their bytes: what an operator can bring back.

A champion is written as its float32 vector, little-endian, shape (d,).
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, delete, func, select

from node.errors import StateError
from node.store.database import Database
from node.store.meta import life_of
from node.store.tables import EVIDENCE, MODELS, PEERS

_SIZE = select(func.sum(MODELS.c.size_bytes))
_LISTED = [column for column in MODELS.columns if column.name != "content"]


MOST_BYTES = 1 << 30
"""Of all champions of a store together."""


class Models:
    """The champions of the node's present life."""

    def __init__(self, database: Database, most_bytes: int = MOST_BYTES) -> None:
        self._database = database
        self._most_bytes = most_bytes

    def save(
        self,
        version: int,
        content: bytes,
        *,
        at: float,
        round: int,  # noqa: A002 - the glossary's word
        holdout_loss: float | None = None,
        holdout_accuracy: float | None = None,
    ) -> None:
        """Keep champion `version` as `content`, beside what was held against peers then. A power cut may take the last
        ones, but for the one in use, which is in the checkpoint.

        A version that is there already (the node was killed before its checkpoint, and made it again) is replaced. The
        oldest go where all together, of every life, have more than `most_bytes`.
        """
        with self._database.folding() as connection:
            life = life_of(connection)
            _drop(connection, life, version)
            row = {
                "life": life,
                "version": version,
                "at": at,
                "round": round,
                "holdout_loss": holdout_loss,
                "holdout_accuracy": holdout_accuracy,
                "evidence": _held_against(connection, life),
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).digest(),
                "content": content,
            }
            connection.execute(MODELS.insert(), row)
            if (connection.scalar(_SIZE) or 0) > self._most_bytes:
                self._drop_oldest(connection, life, version)

    def load(self, version: int) -> bytes:
        """The bytes of champion `version`. Raises StateError where it is not kept, or damaged."""
        with self._database.reading() as connection:
            found = connection.execute(
                select(MODELS.c.content, MODELS.c.sha256).where(
                    MODELS.c.life == life_of(connection), MODELS.c.version == version
                )
            ).one_or_none()
        if found is None:
            raise StateError(
                f"{self._database.place} keeps no champion of version {version}", "Choose one of those that are listed."
            )
        # SQLite keeps whatever it is given, a number too, of which `bytes` would make that many.
        kept = isinstance(found.content, bytes | memoryview) and isinstance(found.sha256, bytes | memoryview)
        content = bytes(found.content) if kept else b""
        if not kept or hashlib.sha256(content).digest() != bytes(found.sha256):
            raise StateError(
                f"{self._database.place}: champion {version} is damaged", "Choose another version, or restore a copy."
            )
        return content

    def versions(self) -> list[dict[str, Any]]:
        """What is known of every champion that is kept, newest first, without the bytes."""
        with self._database.reading() as connection:
            chosen = select(*_LISTED).where(MODELS.c.life == life_of(connection)).order_by(MODELS.c.version.desc())
            return [dict(row) for row in connection.execute(chosen).mappings()]

    def _drop_oldest(self, connection: Connection, life: int, version: int) -> None:
        sizes = select(MODELS.c.life, MODELS.c.version, MODELS.c.size_bytes)
        kept = 0
        for row in connection.execute(sizes.order_by(MODELS.c.life.desc(), MODELS.c.version.desc())).all():
            kept += row.size_bytes
            if kept > self._most_bytes and (row.life, row.version) != (life, version):
                kept -= row.size_bytes
                _drop(connection, row.life, row.version)


def _drop(connection: Connection, life: int, version: int) -> None:
    connection.execute(delete(MODELS).where(MODELS.c.life == life, MODELS.c.version == version))


def _held_against(connection: Connection, life: int) -> dict[str, dict[str, Any]]:
    """Peer → reputation, verdict and number of facts, of those against whom there is any."""
    facts = select(func.count()).where(EVIDENCE.c.life == life, EVIDENCE.c.peer == PEERS.c.name).scalar_subquery()
    rows = connection.execute(select(PEERS.c.name, PEERS.c.reputation, PEERS.c.verdict, facts.label("facts")))
    return {
        row.name: {"reputation": row.reputation, "verdict": row.verdict, "evidence": row.facts}
        for row in rows
        if row.facts or row.verdict != "trusted"
    }
