"""The API of a running node: its view caught up with the journal, and served."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from node import journal, journal_file
from node.api.app import create_app
from node.api.endpoint import Endpoint
from node.api.gate import LOOPBACK_HOSTS
from node.api.logs import LogFile
from node.api.server import serving
from node.api.sources import Sources
from node.api.tokens import TokenFile
from node.compute import ThreadCompute
from node.controls import Controls
from node.feed import Feed
from node.state import StateFolder
from node.store.store import Store
from node.view import View
from overlay.topology import Topology

SWITCH_S: Final = 0.0005
"""Python's own is ten times that."""


@asynccontextmanager
async def answering(
    feed: Feed,
    controls: Controls,
    *,
    store: Store,
    endpoint: Endpoint,
    listener: socket.socket,
    topology: Topology,
    name: str,
    state: StateFolder,
    path: Path,
    wall_clock: Callable[[], float],
) -> AsyncIterator[None]:
    """Serve the API of node `name` while the body runs. `listener` listens at `endpoint`; `path` is the journal."""
    url = endpoint.url(listener.getsockname()[1])
    sources = Sources(
        topology=topology,
        name=name,
        view=caught_up(path, feed),
        feed=feed,
        journal=path,
        controls=controls,
        store=store,
        compute=ThreadCompute(),
        tokens=TokenFile(state.path / "tokens.json"),
        log=LogFile(state.path / "log.jsonl"),
        wall_clock=wall_clock,
        hosts=None if endpoint.secure else LOOPBACK_HOSTS | {url.split("//")[1].rpartition(":")[0]},
    )
    application = create_app(sources)
    await application.warm()
    async with _prompt(), serving(application, listener, endpoint):
        feed.write(
            journal.ModuleChanged(
                at=wall_clock(), module="api", status="running", settings={"url": url, "tls": endpoint.secure}
            )
        )
        structlog.get_logger().info("API", url=url)
        yield


@asynccontextmanager
async def _prompt() -> AsyncIterator[None]:
    """Have the interpreter's lock change hands sooner: the loop waits for it at each call into a socket while the
    compute thread trains, up to this long, and an answer has several.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def caught_up(path: Path, feed: Feed) -> View:
    """A view of all that is in the journal, which `feed` keeps as it is."""
    view, follower = View(), journal_file.Follower(path)
    for event in follower.poll():
        view.see(event, follower.id)
    feed.attach(view.see)
    return view
