"""The node's events as they come: server-sent, one journal line an event, to be resumed from any of them.

A stream has no buffer: it reads the journal from where its reader is, when the reader has taken what came before. Who
is slow falls behind in the file and holds up nobody; who was cut off asks for what comes after the last id it had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import trio
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from node.api.access import BEARER, Needs
from node.api.problems import Refusal, documented
from node.api.sources import Sources
from node.api.tokens import Token
from node.feed import is_id, read_from

CHUNK_BYTES: Final = 1 << 15
"""Of the journal, at once."""
PAUSE_S: Final = 0.02
"""Between two chunks of the past: a reader of a long journal leaves the loop to the rounds."""
HEARTBEAT_S: Final = 10.0
"""After which a silent stream says that it is there, and a revoked or expired token ends it."""
MOST_STREAMS: Final = 24
MOST_STREAMS_A_TOKEN: Final = 8
RETRY: Final = b"retry: 1000\n\n"
BEAT: Final = b": still here\n\n"

Event = Annotated[int | None, Query(ge=0, le=2**62, description="Events with a greater id; without it, those to come.")]
LastEvent = Annotated[
    str | None, Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,19}$", description="As `after`, and goes before it.")
]


class Streams:
    """Those that are open. Each is let go when the node stops."""

    def __init__(self) -> None:
        self._by_token: Counter[str] = Counter()
        self._waits: set[trio.CancelScope] = set()
        self.closing = False

    @contextmanager
    def place(self, token: Token) -> Iterator[None]:
        """Room for one more. Raises `Refusal` (429) where there is none."""
        if self._by_token.total() >= MOST_STREAMS or self._by_token[token.id] >= MOST_STREAMS_A_TOKEN:
            raise Refusal(
                429,
                f"{self._by_token[token.id]} streams are open with this token, {self._by_token.total()} in all",
                f"Close one: {MOST_STREAMS_A_TOKEN} a token and {MOST_STREAMS} in all is what there is room for.",
                {"Retry-After": "10"},
            )
        self._by_token[token.id] += 1
        try:
            yield
        finally:
            self._by_token[token.id] -= 1

    @contextmanager
    def wait(self) -> Iterator[trio.CancelScope]:
        """A wait of at most a heartbeat, that closing ends."""
        with trio.move_on_after(HEARTBEAT_S) as scope:
            self._waits.add(scope)
            try:
                yield scope
            finally:
                self._waits.discard(scope)

    def close(self) -> None:
        """End all."""
        self.closing = True
        for scope in self._waits:
            scope.cancel()


class _Stream(StreamingResponse):
    """Holds its place while it is sent."""

    def __init__(self, events: AsyncIterator[bytes], streams: Streams, token: Token) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._streams = streams
        self._token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with self._streams.place(self._token):
            await super().__call__(scope, receive, send)


def events(sources: Sources, streams: Streams) -> APIRouter:
    """The endpoint that a token with the scope `events` opens."""
    router = APIRouter(prefix="/v1", tags=["seen"], dependencies=[Depends(BEARER)])

    @router.get(
        "/events",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Each event: `id:` to resume from, `data:` its journal line.",
                "content": {
                    "text/event-stream": {
                        "schema": {"type": "string"},
                        "example": 'id: 1187\ndata: {"at":1760000000.0,"type":"connected","peer":"press-2","up":3}\n\n',
                    }
                },
            },
            **documented(401, 403, 422, 429),
        },
    )
    async def stream(
        token: Annotated[Token, Depends(Needs("events"))], after: Event = None, last_event_id: LastEvent = None
    ) -> StreamingResponse:
        """Every event of the node after one of them, then each as it happens."""
        start = after if last_event_id is None else int(last_event_id)
        if start is None:
            start = sources.feed.last_id
        elif not is_id(sources.journal, start):
            raise Refusal(
                422,
                f"no event of this node has the id {start}",
                "Give the id of an event that this node sent, or 0 for all from the first.",
            )
        return _Stream(_events(sources, streams, token, start), streams, token)

    return router


async def _events(sources: Sources, streams: Streams, token: Token, start: int) -> AsyncIterator[bytes]:
    yield RETRY
    at = start
    while not streams.closing and sources.tokens.holds(token, sources.wall_clock()):
        lines, end = read_from(sources.journal, at, CHUNK_BYTES)
        if lines:
            yield b"".join(b"id: %d\ndata: %s\n\n" % line for line in lines)
        if end - at >= CHUNK_BYTES:
            await trio.sleep(PAUSE_S)
        elif end == at and sources.feed.last_id > at:
            return  # the file is not what was written to it any more
        elif end == at:
            with streams.wait() as scope:
                await sources.feed.beyond(at)
            if scope.cancelled_caught:
                yield BEAT
        at = end
