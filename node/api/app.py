"""The application: gate, endpoints, and one form for all refusals. The node serves it, tests call it, both as it is."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog
import trio
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.commands import commands
from node.api.events import Streams, events
from node.api.gate import App, Gate
from node.api.history import history
from node.api.metrics import Metrics, metrics_route
from node.api.problems import MEDIA_TYPE, Problem, Refusal
from node.api.reads import log_reads, probes, reads
from node.api.shelf import Shelf
from node.api.sources import Sources
from node.controls import ControlRefused
from node.words import plain

DESCRIPTION: Final = """What a node of a swarm shows and can be told. All that is seen is a fold over its journal.

The id of an event is the byte offset of its line's end in the journal: it grows, and outlives the process.
Every refusal is problem+json with `detail` (what was wrong) and `remedy` (what to do)."""

_REMEDIES: Final[Mapping[int, str]] = {
    400: "Send JSON as /openapi.json describes it.",
    404: "/openapi.json lists all that there is.",
    405: "/openapi.json says which methods there are.",
}


@dataclass(frozen=True, slots=True)
class Application:
    """What is served, and what ends its endless answers."""

    app: App
    streams: Streams
    inner: ASGIApp
    """Behind the gate."""

    async def warm(self) -> None:
        """Answer a request of its own. FastAPI makes all endpoints ready in the first one, which takes fifty times as
        long as another, and nothing else runs in the loop meanwhile: let that be before the rounds.
        """
        began = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": [], "state": {}}
        request: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            return request.pop() if request else {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            await trio.lowlevel.checkpoint()

        await self.inner(began, receive, send)


def create_app(sources: Sources) -> Application:
    """The API of one node."""
    app = FastAPI(
        title="Grapevine node",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # both load their scripts from elsewhere, into a page that is to be trusted with a token
        redoc_url=None,
        openapi_url=None,  # FastAPI's own endpoint writes it out anew for each request
        separate_input_output_schemas=False,
    )
    streams, metrics = Streams(), Metrics(sources.view)
    lasting = reads(sources), probes(sources), _description(app)
    for router in (*lasting, log_reads(sources), history(sources), events(sources, streams), commands(sources)):
        app.include_router(router)
    app.include_router(metrics_route(metrics))
    _say_why(app)
    _document_problems(app)
    routes = [route.path for router in lasting for route in router.routes if isinstance(route, APIRoute)]
    shelf = Shelf(app, routes, lambda: sources.view.last_id)
    gate = Gate(
        _timed(shelf, metrics),
        sources.tokens,
        sources.hosts,
        limits=sources.limits,
        wall_clock=sources.wall_clock,
    )
    return Application(gate, streams, app)


def _say_why(app: FastAPI) -> None:
    """Every refusal as problem+json."""

    async def refused(_: Request, error: Exception) -> Response:
        return _answer(error) if isinstance(error, Refusal) else _answer(_as_refusal(error))

    for kind in (Refusal, ControlRefused, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, refused)


def _as_refusal(error: Exception) -> Refusal:
    match error:
        case ControlRefused():
            return Refusal(409, error.problem, error.remedy)
        case RequestValidationError():
            # Nothing of the input is quoted: it may be long, or no text.
            faults = "; ".join(
                f"{'.'.join(plain(str(part), 40) for part in fault['loc'])}: {fault['msg']}"
                for fault in error.errors()[:5]
            )
            return Refusal(422, faults, "/openapi.json describes what this endpoint takes.")
        case HTTPException():
            detail = error.detail or HTTPStatus(error.status_code).phrase
            return Refusal(error.status_code, str(detail), _REMEDIES.get(error.status_code, ""), error.headers)
        case _:
            structlog.get_logger().error("request failed", error=type(error).__name__)
            return Refusal(500, "this is a fault of the node", "Its log says more, at this request's X-Request-ID.")


def _answer(refusal: Refusal) -> Response:
    return Response(refusal.body(), refusal.status, refusal.headers, MEDIA_TYPE)


def _document_problems(app: FastAPI) -> None:
    """Put `Problem` among the schemas, and at each endpoint instead of FastAPI's own description of a 422."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            schemas = schema["components"]["schemas"]
            schemas["Problem"] = Problem.model_json_schema()
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the description


def _description(app: FastAPI) -> APIRouter:
    """The endpoint that all the others are described at."""
    router = APIRouter()

    @functools.cache
    def described() -> bytes:
        return json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(described(), media_type="application/json")

    return router


def _timed(app: ASGIApp, metrics: Metrics) -> App:
    """`app`, with the time that each answer took told to `metrics`."""

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        status, began = 500, trio.current_time()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "")
            if scope["type"] == "http" and route != "/v1/events":
                metrics.note(_method(scope["method"]), route or "none", status, trio.current_time() - began)

    return timed


def _method(method: str) -> str:
    """Of those that there are: what a caller makes up is no series of its own."""
    return method if method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
