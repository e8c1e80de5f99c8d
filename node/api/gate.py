"""What stands before the application: everything that is decided without looking at what is asked for.

    scheme → Host → token → rate → size and speed of the body → application

A request that ends here costs no more than its headers.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
import trio

from node.api.problems import MEDIA_TYPE, Refusal
from node.api.rates import Buckets, Rate
from node.api.tokens import Denied, Token, TokenFile
from node.errors import StateError

ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
ADDRESS_RATE: Final = Rate(per_s=100, burst=200)
TOKEN_RATE: Final = Rate(per_s=200, burst=400)
LOGGED_RATE: Final = Rate(per_s=0.2, burst=5)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller can have of the node."""

    body_bytes: int = 1 << 16
    """No command is longer."""
    body_s: float = 5.0
    """For the whole body to arrive in."""
    address: Rate = ADDRESS_RATE
    """Requests without a valid token."""
    token: Rate = TOKEN_RATE
    """Requests with it. Eight consoles ask less."""
    denials_logged: Rate = LOGGED_RATE
    """Lines in the log for an address whose token is refused."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Without a token `denied` says why, None where none was shown."""

    address: str
    token: Token | None
    denied: str | None = None


class Gate:
    """An ASGI application around another."""

    def __init__(
        self,
        app: App,
        tokens: TokenFile,
        hosts: Iterable[str] | None,
        *,
        limits: Limits,
        wall_clock: Callable[[], float],
    ) -> None:
        """`hosts`: the names that a request may give this node. A page that a browser loaded from another name must not
        reach a node on loopback by having that name resolved to it. None with TLS, where the certificate sees to it.
        """
        self._app = app
        self._tokens = tokens
        self._hosts = None if hosts is None else frozenset(hosts)
        self._limits = limits
        self._wall_clock = wall_clock
        self._by_address = Buckets(limits.address)
        self._by_token = Buckets(limits.token)
        self._logged = Buckets(limits.denials_logged)
        self._log = structlog.get_logger()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a websocket; the server asks for none
        request = secrets.token_hex(8)
        with structlog.contextvars.bound_contextvars(request=request):
            try:
                headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
                self._check_host(headers.get(b"host", ""))
                scope.setdefault("state", {})["caller"] = self._admit(scope, headers)
                body = await self._body(headers, receive)
            except Refusal as refusal:
                await _refuse(refusal, receive, _marked(send, request))
                return
            if body is not None:
                await self._app(scope, _Replay(body, receive), _marked(send, request))

    def _check_host(self, host: str) -> None:
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._hosts is not None and name.lower() not in self._hosts:
            raise Refusal(
                421,
                "this node does not go by the name in the Host header",
                f"Ask for it as {', '.join(sorted(self._hosts))}.",
            )

    def _admit(self, scope: MutableMapping[str, Any], headers: dict[bytes, str]) -> Caller:
        """Who asks, if they may ask again so soon. A flood without tokens does not keep out who has one."""
        address = scope["client"][0] if scope.get("client") else "unknown"
        caller = self._caller(address, headers.get(b"authorization"))
        if caller.token is not None:
            wait_s = self._by_token.take(caller.token.id, trio.current_time())
        else:
            wait_s = self._by_address.take(address, trio.current_time())
        if wait_s:
            raise Refusal(
                429,
                f"too many requests: {'this token' if caller.token else 'this address'} has used up its rate",
                f"Ask again in {wait_s:.1f} s.",
                {"Retry-After": str(int(wait_s) + 1)},
            )
        if caller.denied is not None and not self._logged.take(address, trio.current_time()):
            self._log.warning("token refused", address=address, reason=caller.denied, path=scope["path"][:100])
        return caller

    def _caller(self, address: str, shown: str | None) -> Caller:
        if shown is None:
            return Caller(address, None)
        kind, _, text = shown.partition(" ")
        if kind.lower() != "bearer":
            return Caller(address, None, "the Authorization header is no Bearer token")
        try:
            return Caller(address, self._tokens.check(text.strip(), self._wall_clock()))
        except Denied as denied:
            return Caller(address, None, str(denied))
        except StateError as error:
            return Caller(address, None, f"no token can be checked: {error.problem}")

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes | None:
        """All of it, before anything is done for it: no more than fits, and no longer than it may take. None where
        nobody waits for an answer any more.
        """
        limit = self._limits.body_bytes
        too_long = Refusal(413, f"the body is longer than {limit} bytes", "No request of this API is that long.")
        announced = headers.get(b"content-length", "0")
        if not announced.isascii() or not announced.isdigit() or len(announced) > 18 or int(announced) > limit:
            raise too_long
        body = bytearray()
        with trio.move_on_after(self._limits.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body", False):
                    return bytes(body)
        raise Refusal(408, f"the body did not come within {self._limits.body_s:g} s", "Send it at once.")


class _Replay:
    """What the application receives: the body that is here already, then whatever the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> ASGIMessage:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _marked(send: Send, request: str) -> Send:
    """Answers carry what the log calls their request, and are kept by no cache."""

    async def marked(message: ASGIMessage) -> None:
        if message["type"] == "http.response.start":
            extra = [(b"x-request-id", request.encode()), (b"cache-control", b"no-store")]
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return marked


async def _refuse(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Answer and be done with the connection. Whatever else comes is thrown away meanwhile: the server hands on what it
    reads through a short queue, and would wait for its end.
    """

    async def throw_away() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    body = refusal.body()
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "connection": "close",
        **{name.lower(): value for name, value in refusal.headers.items()},
    }
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(throw_away)
        await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
        nursery.cancel_scope.cancel()
