"""What a command shows a person instead of a traceback.

UserError          what was wrong and what to do; the command exits with 2
├── StateError     the state folder: missing, locked, foreign, damaged, readable by others
└── RunError       a run cannot start as asked
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BEGIN_ANEW: Final = (
    "No older copy will do: the node would play rounds twice. Move the checkpoint away to begin anew; "
    "where something is shared or noised, take part as a new node instead (`grapevine node init`)."
)
"""What to do about a checkpoint that cannot be used."""


class UserError(Exception):
    """Input that cannot be used. `remedy` says what to do, in one line."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n{remedy}")
        self.problem = problem
        self.remedy = remedy


class StateError(UserError):
    """The state folder cannot be used."""


class RunError(UserError):
    """A run cannot start, or not with these options."""


def room_needed(file: str | Path, error: OSError) -> StateError:
    """`error`, of a running node that could not write `file`."""
    return StateError(
        f"{file} cannot be written: {error.strerror or error}",
        "See to the space on its disk and to who may write there, then start the node again: it goes on from its "
        "last checkpoint.",
    )


@contextmanager
def plain_user_errors() -> Iterator[None]:
    """Let a UserError out of the exception groups that nurseries wrap it in; everything else passes as it is."""
    try:
        yield
    except BaseExceptionGroup as group:
        mine, others = group.split(UserError)
        if mine is None or others is not None:
            raise
        raise _first_leaf(mine) from None


def _first_leaf(group: BaseExceptionGroup[UserError]) -> UserError:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
