"""What a token opens: every endpoint names the scope and the role that it needs."""

from __future__ import annotations

from fastapi import Request
from fastapi.security import HTTPBearer

from node.api.gate import Caller
from node.api.problems import Refusal
from node.api.tokens import Role, Scope, Token

BEARER = HTTPBearer(
    auto_error=False, description="A token of `grapevine token make`, in the header `Authorization: Bearer TOKEN`."
)
"""For the documentation alone: the gate has read the header."""


class Needs:
    """A dependency: the token of the caller, or a refusal."""

    def __init__(self, scope: Scope, role: Role = "viewer") -> None:
        self._scope = scope
        self._role = role

    async def __call__(self, request: Request) -> Token:
        """Raises `Refusal`: 401 without a valid token, 403 where it does not reach this."""
        caller: Caller = request.state.caller
        if caller.token is None:
            raise Refusal(
                401,
                caller.denied or "this needs a token",
                "Send `Authorization: Bearer TOKEN`; whoever runs the node makes one with `grapevine token make`.",
                {"WWW-Authenticate": "Bearer"},
            )
        if not caller.token.may(self._scope, self._role):
            raise Refusal(
                403,
                f"the token {caller.token.name} ({caller.token.role}: {', '.join(sorted(caller.token.scopes))}) does "
                f"not reach this",
                f"It needs the scope {self._scope} and the role {self._role}.",
            )
        return caller.token
