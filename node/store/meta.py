"""What a store knows of itself.

node        PeerId of the node that it is of
swarm       digest of the topology of the present life, in hexadecimal
life        how often the node began anew from round 0
journal     SHA-256 of the journal's first line, in hexadecimal
projected   the id of the last event whose rows are here
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from node.store.database import Damaged
from node.store.tables import META

_ALL = select(META)
_MOST = 2**62
_LIFE = select(META.c.value).where(META.c.key == "life")


def read_meta(connection: Connection) -> dict[str, str]:
    """All of it. Raises Damaged where it is no text: SQLite keeps whatever it is given."""
    known = {row.key: row.value for row in connection.execute(_ALL)}
    for key, value in known.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise Damaged(f"{str(key)[:20]!r} of the table meta is no text")
    return known


def number_of(known: dict[str, str], key: str) -> int:
    """One of them that counts something; 0 where it is not there. Raises Damaged."""
    return _number(key, known.get(key, "0"))


def _number(key: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19 and int(value) <= _MOST:
        return int(value)
    raise Damaged(f"{key!r} of the table meta is no number")


def write_meta(connection: Connection, known: dict[str, str], **values: str) -> None:
    """Write those of `values` that differ from what is `known`."""
    for key, value in values.items():
        if key not in known:
            connection.execute(META.insert().values(key=key, value=value))
        elif known[key] != value:
            connection.execute(update(META).where(META.c.key == key).values(value=value))


def life_of(connection: Connection) -> int:
    """The number of the present life; 0 before the first. Raises Damaged."""
    found = connection.execute(_LIFE).one_or_none()
    return 0 if found is None else _number("life", found.value)
