"""Serves an application to a bounded number of connections, in the node's own loop.

Which connections there are is decided here: Hypercorn's own loop accepts as many as come, and each costs a file
descriptor and memory that the rounds need. Those that find no place wait in the kernel.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from node.api.app import Application
from node.api.connection import Connection, config_of
from node.api.endpoint import Endpoint
from node.errors import RunError

MOST_CONNECTIONS: Final = 64
"""Open at once; event streams are among them, and fewer."""
UNREAD_MS: Final = 20_000
"""A peer that takes nothing of what was sent to it for so long is cut off by the kernel: Hypercorn waits for ever."""
GRACE_S: Final = 3.0
"""For answers under way when the node stops."""
SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
SCARCE_PAUSE_S: Final = 0.5


@asynccontextmanager
async def serving(application: Application, listener: socket.socket, endpoint: Endpoint) -> AsyncIterator[None]:
    """Serve until the body ends; then take no more connections, let answers under way be finished, and close the rest.
    Raises RunError where the certificate or its key cannot be used.
    """
    config = config_of(endpoint)
    door = _Door(application, config, _tls(config, endpoint))
    with trio.socket.from_stdlib_socket(listener) as accepting:
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(door.open, trio.SocketListener(accepting), connections)
                try:
                    yield
                finally:
                    nursery.cancel_scope.cancel()
                    with trio.CancelScope(shield=True):
                        await door.close()
                    connections.cancel_scope.cancel()


class _Door:
    def __init__(self, application: Application, config: Config, tls: ssl.SSLContext | None) -> None:
        self._application = application
        self._config = config
        self._tls = tls
        self._context = WorkerContext(None)
        self._places = trio.Semaphore(MOST_CONNECTIONS)
        self._streams: set[trio.SocketStream] = set()
        self._left = trio.lowlevel.ParkingLot()
        self._log = structlog.get_logger()

    async def open(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        while True:
            await self._places.acquire()
            stream = await self._next(listener)
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
            self._streams.add(stream)
            connections.start_soon(self._attend, stream)

    async def _next(self, listener: trio.SocketListener) -> trio.SocketStream:
        while True:
            try:
                return await listener.accept()
            except OSError as error:
                if error.errno not in SCARCE:
                    raise
                self._log.error("the API takes no connection for now", reason=error.strerror)
                await trio.sleep(SCARCE_PAUSE_S)

    async def _attend(self, stream: trio.SocketStream) -> None:
        """One connection, to its end. Strangers feed the parsers of three libraries here: what goes wrong in them is
        the end of this connection, and never of the node.
        """
        spoken: Any = stream
        if self._tls is not None:
            spoken = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        try:
            await Connection(self._application.app, self._config, self._context, spoken).run()
        except Exception as error:  # noqa: BLE001 - as above
            await self._config.log.warning(f"a connection of the API was broken off: {type(error).__name__}")
        finally:
            self._streams.discard(stream)
            self._left.unpark_all()
            await trio.aclose_forcefully(stream)
            self._places.release()

    async def close(self) -> None:
        self._application.streams.close()
        await self._context.terminated.set()
        with trio.move_on_after(GRACE_S):
            while self._streams:
                await self._left.park()
        for stream in tuple(self._streams):  # what they wait for is shielded against cancellation, not against this
            await trio.aclose_forcefully(stream)


def _tls(config: Config, endpoint: Endpoint) -> ssl.SSLContext | None:
    try:
        return config.create_ssl_context()
    except (ssl.SSLError, OSError) as error:
        raise RunError(
            f"--tls-cert {endpoint.certificate} with --tls-key {endpoint.key}: {error.strerror or error}",
            "Give a certificate chain and its private key, both in PEM and the key without a passphrase.",
        ) from error
