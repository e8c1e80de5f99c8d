"""`grapevine token`: who may ask a node what, and tell it what."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from node.api.tokens import ROLES, SCOPES, SCOPES_OF, Role, Scope, Token, TokenFile, mint
from node.errors import StateError, UserError
from node.state import StateFolder

app = typer.Typer(help="Tokens for a node's API.", no_args_is_help=True)
State = Annotated[Path, typer.Option(help="State folder of the node.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Stands in the journal beside what is done with it.", show_default=False)]
Made = Annotated[str, typer.Argument(help="As `grapevine token list` shows it.", show_default=False)]

_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")


@app.command("make", epilog="Example: grapevine token make alice --state press-1 --role operator --expires 30d")
def make(
    name: Name,
    state: State,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "viewer",
    expires: Annotated[str, typer.Option(help="30d, 12h, 15m, or never.")] = "30d",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(SCOPES)}; again for more. (default: all of the role)")
    ] = None,
) -> None:
    """Make a token and print it: it is shown this once and stored as a hash.

    A viewer sees; an operator pauses, resumes, rolls back, quarantines and releases; an admin also revokes peers. A
    running node takes the token at once.
    """
    chosen = _role(role)
    now = time.time()
    token, text = mint(
        name, chosen, _scopes(chosen, scope), now=now, expires_at=_expiry(expires, now), randbytes=os.urandom
    )
    _file(state).add(token)
    sys.stderr.write(f"Made {name!r}, {chosen}. It is shown this once:\n")
    sys.stdout.write(f"{text}\n")


@app.command("list", epilog="Example: grapevine token list --state press-1 --json")
def list_(state: State, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show the tokens of a node, without their secrets."""
    tokens, now = _file(state).tokens(), time.time()
    if as_json:
        sys.stdout.write(json.dumps([_document(token, now) for token in tokens]) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "role", "scopes", "made", "expires", "state"):
        table.add_column(column)
    for token in tokens:
        expiry = "never" if token.expires_at is None else _date(token.expires_at)
        scopes = " ".join(sorted(token.scopes))
        table.add_row(token.name, token.role, scopes, _date(token.made_at), expiry, token.state(now))
    Console().print(table)


@app.command("revoke", epilog="Example: grapevine token revoke alice --state press-1")
def revoke(name: Made, state: State) -> None:
    """Make a token worthless, in a running node too."""
    _file(state).revoke(name, time.time())
    sys.stderr.write(f"Revoked {name!r}.\n")


def _file(state: Path) -> TokenFile:
    # A token laid elsewhere, in RUN/NAME of a lab's node say, is one that no node ever takes.
    if not StateFolder(state).key_path.exists():
        raise StateError(
            f"{state} is no state folder: it holds no key",
            "Give the --state folder of `grapevine node init`, or RUN/NAME/state of a lab run.",
        )
    return TokenFile(state / "tokens.json")


def _role(text: str) -> Role:
    for role in ROLES:
        if text == role:
            return role
    raise UserError(f"--role {text}: there is no such role", f"One of {', '.join(ROLES)}.")


def _scopes(role: Role, texts: list[str] | None) -> frozenset[Scope]:
    widest = SCOPES_OF[role]
    if texts is None:
        return widest
    scopes = frozenset(scope for scope in SCOPES if scope in texts)
    for text in texts:
        if text not in scopes:
            raise UserError(f"--scope {text}: there is no such scope", f"Some of {', '.join(SCOPES)}.")
        if text not in widest:
            raise UserError(
                f"--scope {text} is more than a {role} may", f"A {role} may have {', '.join(sorted(widest))}."
            )
    return scopes


def _expiry(text: str, now: float) -> float | None:
    if text == "never":
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UserError(f"--expires {text} is no time", "Write 30d, 12h, 15m, or never.")
    return now + int(match[1]) * _UNITS[match[2]]


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")


def _document(token: Token, now: float) -> dict[str, object]:
    return {
        **token.model_dump(mode="json", exclude={"digest", "scopes"}),
        "scopes": sorted(token.scopes),
        "state": token.state(now),
    }
