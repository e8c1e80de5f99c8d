"""One HTTP/1.1 connection: Hypercorn's machinery without the parts that nobody here asks for.

Hypercorn would change to HTTP/2 or to a websocket where a request says so, in clear text too. A stream of either lives
longer than its socket when its peer goes at the wrong moment; here such a request is one of HTTP/1.1 and no more.
The methods overridden are not public: the version of Hypercorn is exact.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Final, cast

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.logging import Logger
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import parse_socket_addr

from node.api.endpoint import Endpoint
from node.api.gate import App
from node.api.rates import Buckets, Rate

IDLE_S: Final = 5
"""For a request to begin and its headers to arrive, and between two requests."""
HANDSHAKE_S: Final = 5.0
LIFE_S: Final = 3600.0
"""After which a connection is closed, whatever is under way on it: an event stream is resumed on the next."""


LINES: Final = Rate(per_s=0.2, burst=5)
"""In the log, of each level."""


class Connection(TCPServer):
    """Serves `app` on a stream until either side has enough."""

    def __init__(self, app: App, config: Config, context: WorkerContext, stream: Any) -> None:
        """`stream` is a `trio.SocketStream` or a `trio.SSLStream` over one; Hypercorn declares the latter alone."""
        super().__init__(ASGIWrapper(cast(ASGIFramework, app)), config, context, ConnectionState({}), stream)

    async def run(self) -> None:
        """To the end. Raises what the parsers raise on bytes that they do not expect."""
        secure = isinstance(self.stream, trio.SSLStream)
        if secure:
            try:
                with trio.fail_after(HANDSHAKE_S):
                    await self.stream.do_handshake()
            except (trio.BrokenResourceError, trio.TooSlowError):
                return
        transport = cast(trio.SocketStream, self.stream.transport_stream if secure else self.stream)
        try:
            with trio.move_on_after(LIFE_S):
                async with TaskGroup() as group:
                    self._task_group = group
                    self.protocol = cast(Any, self._protocol(group, transport.socket, secure=secure))
                    await self.idle_task.restart(group, self._idle_timeout)
                    await self._read_data()
                    # Who has gone makes room: Hypercorn would keep the place until the idle time is over.
                    await self.idle_task.stop()
        except* OSError:
            pass  # the peer is gone, in the middle of something or before it began
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        """As it was, but who is gone while an answer to them begins is gone, and no fault of the application: the task
        that reads closes the stream at this moment.
        """
        try:
            await super().protocol_send(event)
        except trio.BusyResourceError:
            await self.protocol.handle(Closed())

    def _protocol(self, group: TaskGroup, sock: trio.socket.SocketType, *, secure: bool) -> H11Protocol:
        peer = parse_socket_addr(sock.family, sock.getpeername())
        here = parse_socket_addr(sock.family, sock.getsockname())
        return _Http1(
            self.app,
            self.config,
            self.context,
            group,
            ConnectionState(self.state),
            secure,
            peer,
            here,
            self.protocol_send,
        )


class _Http1(H11Protocol):
    _unsent = b""

    async def _send_h11_event(self, event: Any) -> None:
        """As it was, but an answer's head goes with the first of its body, in one call: each call gives up the
        interpreter's lock, and has it again when the compute thread lets go.
        """
        try:
            data = self._unsent + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        self._unsent = data if isinstance(event, h11.Response) else b""
        if data and not self._unsent:
            await self.send(RawData(data=data))

    async def _check_protocol(self, event: h11.Request) -> None:
        """Nothing is changed to."""

    async def _create_stream(self, request: h11.Request) -> None:
        kept = [(name, value) for name, value in request.headers if name != b"upgrade"]
        await super()._create_stream(
            h11.Request(method=request.method, target=request.target, headers=kept, http_version=request.http_version)
        )


def config_of(endpoint: Endpoint) -> Config:
    """Of the connections at `endpoint`."""
    config = Config()
    config.logger_class = cast(type[Logger], _Log)
    config.alpn_protocols = ["http/1.1"]
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_S
    if endpoint.certificate is not None and endpoint.key is not None:
        config.certfile, config.keyfile = str(endpoint.certificate), str(endpoint.key)
    return config


class _Log:
    """Hypercorn's log, in the node's own, and no more of it than a person reads: strangers can cause any of its lines.
    An access log would say nothing that /metrics and the journal do not.
    """

    def __init__(self, _: Config) -> None:
        self._log = structlog.get_logger()
        self._lines = Buckets(LINES)

    async def access(self, *_: Any) -> None:
        pass

    async def exception(self, message: str, *_: Any, **__: Any) -> None:
        """What went wrong and where, without values: among them are tokens."""
        error = sys.exception()
        frames = traceback.extract_tb(None if error is None else error.__traceback__)
        where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-4:]))
        self._say("error", message, error=type(error).__name__, where=where)

    async def error(self, message: str, *_: Any, **__: Any) -> None:
        self._say("error", message)

    async def warning(self, message: str, *_: Any, **__: Any) -> None:
        self._say("warning", message)

    async def info(self, message: str, *_: Any, **__: Any) -> None:
        self._say("info", message)

    critical, debug = error, info

    def _say(self, level: str, message: str, **more: str) -> None:
        if not self._lines.take(level, trio.current_time()):
            self._log.log(logging.getLevelName(level.upper()), message, **more)
