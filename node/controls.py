"""What an operator can tell a running node to do. The API calls it; whatever runs the rounds obeys between two of them.

Each call journals `Operated` before anything is done, and returns once it is done: a pause when the round under way is
over, the rest between two rounds as well, so that what a round began with holds until its end.
"""

from __future__ import annotations

from typing import Protocol

from node.errors import UserError

MAX_QUARANTINE_S = 10 * 365 * 86_400.0
"""Whoever wants it longer revokes."""
MAX_TEXT = 200
"""Characters of a reason or an actor's name that are kept."""


class ControlRefused(UserError):  # noqa: N818 - a refusal, nothing is broken
    """A command that cannot be done, or not now: nothing was changed."""


class Controls(Protocol):
    """Commands to one node. `actor` is the name of the token that asks; `reason` is theirs, for the journal.

    All raise `ControlRefused` where the node does not know the peer or version, or the command changes nothing.
    """

    async def pause(self, actor: str, reason: str) -> None:
        """Finish the round under way, then play none until `resume`, over restarts too."""

    async def resume(self, actor: str, reason: str) -> None:
        """Play rounds again. What quorum asks for still holds."""

    async def quarantine(self, actor: str, peer_name: str, seconds: float, reason: str) -> None:
        """Hear `peer_name` and do not average it, for `seconds` in (0, `MAX_QUARANTINE_S`]."""

    async def release(self, actor: str, peer_name: str, reason: str) -> None:
        """End a quarantine: probation begins. Neither proof nor a revocation is lifted."""

    async def roll_back(self, actor: str, version: int, reason: str) -> None:
        """Make the champion that had `version` the working model and the champion again, as the next version."""

    async def revoke(self, actor: str, peer_name: str, reason: str) -> None:
        """Evict `peer_name` for good: it is neither averaged nor waited for again, over restarts too."""
