"""Answers that were given already, as bytes.

What is seen of a node follows from its events alone: until the next one, the same request with the same rights has the
same answer. It goes out again as it went out first, without routing, dependencies and JSON, which are half its price.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.gate import Caller

MOST_BYTES: Final = 1 << 22
"""Of all that is kept; then it begins again."""
OVERHEAD_BYTES: Final = 1 << 10
"""What an answer takes beside its body and its question."""


@dataclass(slots=True)
class _Answer:
    route: object
    headers: list[tuple[bytes, bytes]]
    parts: list[bytes] = field(default_factory=list)


class Shelf:
    """An ASGI application around another, behind the gate: it goes by what that knows of the caller."""

    def __init__(self, app: ASGIApp, routes: Collection[str], version: Callable[[], int]) -> None:
        """`routes`: patterns of the endpoints whose answers follow from `version`, path, query and rights alone."""
        self._app = app
        self._routes = frozenset(routes)
        self._version = version
        self._kept_at = version()
        self._answers: dict[Hashable, _Answer] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        version = self._version()
        if version != self._kept_at:
            self._clear(version)
        key = _key(scope)
        kept = self._answers.get(key)
        if kept is None:
            await self._ask(key, version, scope, receive, send)
            return
        scope["route"] = kept.route
        await send({"type": "http.response.start", "status": 200, "headers": kept.headers})
        await send({"type": "http.response.body", "body": b"".join(kept.parts)})

    async def _ask(self, key: Hashable, version: int, scope: Scope, receive: Receive, send: Send) -> None:
        answer: _Answer | None = None

        async def watched(message: Message) -> None:
            nonlocal answer
            if message["type"] == "http.response.start":
                route = scope.get("route")
                if message["status"] == 200 and getattr(route, "path", None) in self._routes:
                    answer = _Answer(route, list(message.get("headers", [])))
            elif answer is not None:
                answer.parts.append(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, watched)
        # With an event meanwhile nobody knows which of the two versions was seen.
        if answer is not None and self._version() == version:
            size = sum(map(len, answer.parts)) + len(scope["path"]) + len(scope["query_string"]) + OVERHEAD_BYTES
            if self._bytes + size > MOST_BYTES:
                self._clear(version)
            if size <= MOST_BYTES:
                self._answers[key] = answer
                self._bytes += size

    def _clear(self, version: int) -> None:
        self._answers.clear()
        self._bytes, self._kept_at = 0, version


def _key(scope: Scope) -> Hashable:
    """All that an answer may depend on beside the version. A token's rights stand for it: with fewer there is none."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    token = None if caller is None else caller.token
    return scope["path"], scope["query_string"], token and (token.role, token.scopes)
