"""What a store knows of itself.

node        PeerId of the node that it is of
swarm       digest of the topology of the present life, in hexadecimal
life        how often the node began anew from round 0
journal     SHA-256 of the journal's first line, in hexadecimal
projected   the id of the last event whose rows are here
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from node.store.tables import META

_ALL = select(META)
_LIFE = select(META.c.value).where(META.c.key == "life")


def read_meta(connection: Connection) -> dict[str, str]:
    """All of it."""
    return {row.key: row.value for row in connection.execute(_ALL)}


def write_meta(connection: Connection, known: dict[str, str], **values: str) -> None:
    """Write those of `values` that differ from what is `known`."""
    for key, value in values.items():
        if key not in known:
            connection.execute(META.insert().values(key=key, value=value))
        elif known[key] != value:
            connection.execute(update(META).where(META.c.key == key).values(value=value))


def life_of(connection: Connection) -> int:
    """The number of the present life; 0 before the first."""
    return int(connection.scalar(_LIFE) or 0)
