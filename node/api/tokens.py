"""Tokens: who may ask a node what. Made and revoked by `grapevine token`, read by the node while it runs.

STATE/tokens.json   names, roles, scopes, times and hashes, mode 0600, replaced atomically

A token is gv_ID_SECRET with 256 random bits in SECRET. Only SHA-256 of SECRET is kept: it cannot be guessed, so that
neither salt nor a slow hash would add anything to what a reader of the file would have to try.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.errors import StateError, UserError
from node.files import read_bounded, write_atomically

Role = Literal["viewer", "operator", "admin"]
Scope = Literal["read", "events", "logs", "control", "peers"]
"""`read`: what is seen. `control`: pause, resume, roll back. `peers`: quarantine, release, revoke."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""Each may do what those before it may."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
SEEN: Final[frozenset[Scope]] = frozenset({"read", "events", "logs"})
SCOPES_OF: Final[dict[Role, frozenset[Scope]]] = {
    "viewer": SEEN,
    "operator": frozenset(SCOPES),
    "admin": frozenset(SCOPES),
}
"""The widest that each role can have. An admin may in addition do what cannot be undone: revoke a peer."""

MAX_TOKENS: Final = 1000
MAX_FILE_BYTES: Final = 1 << 20
SECRET_BYTES: Final = 32
_FORM: Final = re.compile(r"gv_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_REMEDY: Final = "Restore it from a copy, or move it away and make new tokens with `grapevine token make`."

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Time = Annotated[float, Field(ge=0, le=1e12)]


class Token(BaseModel):
    """What is kept of a token. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    name: Name
    """Stands in the journal beside all that is done with the token; no two that the file holds have the same."""
    role: Role
    scopes: frozenset[Scope]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the secret."""
    made_at: Time
    expires_at: Time | None = None
    revoked_at: Time | None = None

    def state(self, now: float) -> Literal["valid", "expired", "revoked"]:
        """Whether it opens anything at `now`."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.expires_at is None or now < self.expires_at else "expired"

    def may(self, scope: Scope, role: Role) -> bool:
        """Whether it reaches what needs `scope` and at least `role`."""
        return scope in self.scopes and ROLES.index(self.role) >= ROLES.index(role)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    tokens: tuple[Token, ...] = Field(default=(), max_length=MAX_TOKENS)


def mint(
    name: str,
    role: Role,
    scopes: Iterable[Scope],
    *,
    now: float,
    expires_at: float | None,
    randbytes: Callable[[int], bytes],
) -> tuple[Token, str]:
    """A new token, and its text to show once. Raises UserError where `name` is none."""
    secret = urlsafe_b64encode(randbytes(SECRET_BYTES)).rstrip(b"=").decode()
    try:
        token = Token(
            id=randbytes(8).hex(),
            name=name,
            role=role,
            scopes=frozenset(scopes),
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            made_at=now,
            expires_at=expires_at,
        )
    except ValidationError as error:
        problem = f"{error.errors()[0]['loc'][0]} of the token: {error.errors()[0]['msg']}"
        raise UserError(problem, "A name has 1 to 64 letters, digits and . _ @ -, a letter or digit first.") from error
    return token, f"gv_{token.id}_{secret}"


class Denied(Exception):  # noqa: N818 - a refusal, nothing is broken
    """What was shown as a token opens nothing. Says why, and never what was shown."""


class TokenFile:
    """The tokens of one node. Written by commands, read by the node, each in its own process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._tokens: dict[str, Token] = {}

    # --- for the node -----------------------------------------------------------------------------------------------

    def check(self, shown: str, now: float) -> Token:
        """The token that `shown` is. Raises `Denied`; StateError where the file cannot be used: then none is valid."""
        form = _FORM.fullmatch(shown)
        if form is None:
            raise Denied("that is no token of a node")
        token = self._by_id().get(form[1])
        digest = hashlib.sha256(form[2].encode()).hexdigest()
        if token is None or not hmac.compare_digest(digest, token.digest):
            raise Denied("this node does not know the token")
        if (state := token.state(now)) != "valid":
            raise Denied(f"the token {token.name} is {state}")
        return token

    def holds(self, token: Token, now: float) -> bool:
        """Whether a token that was valid still is."""
        try:
            known = self._by_id().get(token.id)
        except StateError:
            return False
        return known is not None and known.digest == token.digest and known.state(now) == "valid"

    def _by_id(self) -> dict[str, Token]:
        """As the file is now: a look at its inode a call, a reading where it changed."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return {}
        seen = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
        if seen != self._seen:
            self._tokens, self._seen = {}, None
            self._tokens = {token.id: token for token in self.tokens()}
            self._seen = seen
        return self._tokens

    # --- for commands -----------------------------------------------------------------------------------------------

    def tokens(self) -> tuple[Token, ...]:
        """All, in the order they were made. Raises StateError where the file is damaged or others can read it."""
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            if mode & 0o077:
                raise StateError(
                    f"{self._path} can be read or written by others (mode {mode:04o})", f"Run: chmod 600 {self._path}"
                )
            return _File.model_validate_json(read_bounded(self._path, MAX_FILE_BYTES)).tokens
        except FileNotFoundError:
            return ()
        except OSError as error:  # of another user, where root made a token
            raise StateError(
                f"{self._path} cannot be read: {error.strerror or error}",
                "Make it the file of the user that the node runs as.",
            ) from error
        except ValidationError as error:
            raise StateError(f"{self._path} is damaged: {error.errors()[0]['msg']}", _REMEDY) from error
        except ValueError as error:
            raise StateError(f"{self._path} is damaged: {error}", _REMEDY) from error

    def add(self, token: Token) -> None:
        """Take `token` from now on. Raises UserError where its name is taken."""
        with self._locked():
            tokens = self.tokens()
            if any(other.name == token.name for other in tokens):
                raise UserError(
                    f"{self._path} has had a token named {token.name!r}",
                    "Take another name: the journal tells tokens by theirs, revoked and expired ones too.",
                )
            self._save((*_with_room(tokens, token.made_at), token))

    def revoke(self, name: str, now: float) -> None:
        """From now on it opens nothing, in a running node too. Raises UserError where there is no such token."""
        with self._locked():
            tokens = self.tokens()
            if all(token.name != name for token in tokens):
                known = ", ".join(token.name for token in tokens) or "none"
                raise UserError(f"{self._path} has no token named {name!r}", f"It has: {known}.")
            self._save(
                tuple(
                    token.model_copy(update={"revoked_at": now})
                    if token.name == name and token.revoked_at is None
                    else token
                    for token in tokens
                )
            )

    def _save(self, tokens: tuple[Token, ...]) -> None:
        write_atomically(self._path, _File(tokens=tokens).model_dump_json(indent=1).encode(), mode=0o600)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Two commands at once must not lose each other's token."""
        try:
            lock = os.open(self._path.with_name("tokens.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise StateError(
                f"{self._path.parent} is no state folder",
                "Give the --state folder of `grapevine node init`, or RUN/NAME/state of a lab run.",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _with_room(tokens: tuple[Token, ...], now: float) -> tuple[Token, ...]:
    """Without the oldest dead ones where there is no room for one more. Raises UserError where all are valid."""
    if len(tokens) < MAX_TOKENS:
        return tokens
    dead = next((token for token in tokens if token.state(now) != "valid"), None)
    if dead is None:
        raise UserError(f"there are {MAX_TOKENS} valid tokens", "Revoke one with `grapevine token revoke NAME`.")
    return tuple(token for token in tokens if token is not dead)
