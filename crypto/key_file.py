"""The file that a node's key lies in, and what the key has begun.

    grapevine-key 2 ed25519
    peer-id 12D3KooW…                        to recognise it by
    seed 9d61…                               the secret
    begun 51e3… noised                       a line a run: its digest; `noised` where ε is claimed in it
    checksum 7a0c…

Whoever signs two histories of one run under one key has, to all who see both, told two stories. So a node writes here
that it has begun a run before it signs anything in it, beside the secret: where the key goes, that goes along. A key
that has begun nothing is written as version 1, which has no such lines.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final, Self

from crypto.identity import Identity, IdentityError

RUN_BYTES: Final = 32
MOST_RUNS: Final = 400
MAX_BYTES: Final = 1 << 15
"""Of a key file with all its runs."""

_HEADERS = ("grapevine-key 1 ed25519", "grapevine-key 2 ed25519")
_NOISED = "noised"


@dataclass(frozen=True, slots=True)
class Run:
    """One that was begun. `digest` (32 bytes) is that of its topology; `noised`: ε is claimed in it."""

    digest: bytes
    noised: bool


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key, and the runs that it has begun, the oldest first."""

    identity: Identity
    runs: tuple[Run, ...] = ()

    @property
    def noised(self) -> bool:
        """Whether ε was ever claimed for what was let out under this key."""
        return any(run.noised for run in self.runs)

    def has_begun(self, digest: bytes) -> bool:
        """Whether the run with that topology digest was begun under this key."""
        return any(run.digest == digest for run in self.runs)

    def beginning(self, run: Run) -> Self:
        """With `run` too. Raises `IdentityError` where there are too many: none is ever forgotten."""
        if self.has_begun(run.digest):
            return self
        if len(self.runs) >= MOST_RUNS:
            raise IdentityError(f"the key has begun {MOST_RUNS} runs, and a key file holds no more")
        return replace(self, runs=(*self.runs, run))

    def encode(self) -> bytes:
        """The content of the file, ASCII."""
        lines = [
            _HEADERS[bool(self.runs)],
            f"peer-id {self.identity.peer_id}",
            f"seed {self.identity.seed.hex()}",
            *(f"begun {run.digest.hex()}{f' {_NOISED}' if run.noised else ''}" for run in self.runs),
        ]
        body = "".join(f"{line}\n" for line in lines)
        return f"{body}checksum {_checksum(body)}\n".encode("ascii")

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """What `encode` made. Raises `IdentityError` for a file that is cut, altered or of another version."""
        if len(content) > MAX_BYTES:
            raise IdentityError(f"a key file has at most {MAX_BYTES} bytes, not {len(content)}: is it one?")
        text = content.decode("ascii", errors="replace")
        header = text.partition("\n")[0]
        if header not in _HEADERS:
            raise IdentityError(
                f"not a key file: its first line must be {_HEADERS[0]!r} or {_HEADERS[1]!r}; make one with `node init`"
            )
        body, mark, checksum = text.partition("checksum ")
        if not mark or not hmac.compare_digest(checksum.encode(), f"{_checksum(body)}\n".encode()):
            raise IdentityError(
                "the key file is cut or altered (its checksum does not match); restore it from a backup"
            )
        lines = body.splitlines()[1:]
        return cls(_identity_of(lines), _runs_of(lines[2:], allowed=header == _HEADERS[1]))


def _identity_of(lines: list[str]) -> Identity:
    fields = dict(line.partition(" ")[::2] for line in lines[:2])
    try:
        identity = Identity.from_seed(bytes.fromhex(fields["seed"]))
        named = fields["peer-id"]
    except (KeyError, ValueError) as error:
        # `from None`: the text of fromhex would quote the secret's neighbourhood in a traceback.
        raise IdentityError(f"the key file lacks a proper line 'seed' or 'peer-id' ({type(error).__name__})") from None
    if named != identity.peer_id:
        raise IdentityError(f"the key file says peer-id {named}, but its seed belongs to {identity.peer_id}")
    return identity


def _runs_of(lines: list[str], *, allowed: bool) -> tuple[Run, ...]:
    runs = tuple(_run_of(line) for line in lines)
    if bool(runs) != allowed or len({run.digest for run in runs}) != len(runs):
        raise IdentityError("the key file's lines 'begun' are none of its version, or not each another run")
    return runs


def _run_of(line: str) -> Run:
    word, _, rest = line.partition(" ")
    digits, _, noised = rest.partition(" ")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if word != "begun" or len(digest) != RUN_BYTES or noised not in ("", _NOISED):
        raise IdentityError("the key file has a line that is none of a key file")
    return Run(digest, noised == _NOISED)


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()
