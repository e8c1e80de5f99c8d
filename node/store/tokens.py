"""Tokens of the API, as digests: whoever reads the store cannot use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Row, select, update
from sqlalchemy.exc import IntegrityError

from node.errors import UserError
from node.store.database import Database
from node.store.tables import TOKENS

Role = Literal["viewer", "operator", "admin"]


@dataclass(frozen=True, slots=True)
class Token:
    """What a token allows. `expires_at` and `revoked_at` are seconds since 1970; None: never, and not."""

    name: str
    role: Role
    scopes: tuple[str, ...]
    made_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it may be used at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Tokens:
    """Those that were ever made; a name is used once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: Token, digest: bytes) -> None:
        """Keep `token`, found again by `digest` of its secret. Raises UserError where the name is taken."""
        row = {
            "name": token.name,
            "digest": digest,
            "role": token.role,
            "scopes": list(token.scopes),
            "made_at": token.made_at,
            "expires_at": token.expires_at,
            "revoked_at": token.revoked_at,
        }
        try:
            with self._database.engine.connect() as connection, connection.execution_options(kind="lasting").begin():
                connection.execute(TOKENS.insert().values(row))
        except IntegrityError:
            raise UserError(f"there was a token of the name {token.name!r} already", "Choose another name.") from None

    def find(self, digest: bytes) -> Token | None:
        """The token whose secret has `digest`, valid or not."""
        with self._database.reading() as connection:
            row = connection.execute(select(TOKENS).where(TOKENS.c.digest == digest)).one_or_none()
        return None if row is None else _token(row)

    def all(self) -> Sequence[Token]:
        """Every token, oldest first."""
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(select(TOKENS).order_by(TOKENS.c.made_at))]

    def revoke(self, name: str, at: float) -> None:
        """Make the token of that name useless from now on. Raises UserError where there is none."""
        with self._database.lasting() as connection:
            found = connection.execute(
                update(TOKENS).where(TOKENS.c.name == name, TOKENS.c.revoked_at.is_(None)).values(revoked_at=at)
            ).rowcount
            known = found or connection.execute(select(TOKENS.c.name).where(TOKENS.c.name == name)).first()
        if not known:
            raise UserError(f"there is no token of the name {name!r}", "`grapevine token list` shows those there are.")


def _token(row: Row[tuple[object, ...]]) -> Token:
    return Token(row.name, row.role, tuple(row.scopes), row.made_at, row.expires_at, row.revoked_at)
