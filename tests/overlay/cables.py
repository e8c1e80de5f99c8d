"""TCP connections that tests can hold up: bytes stop, and neither end is told."""

from __future__ import annotations

from collections.abc import Callable

import trio


class Cable:
    """Forwards connections to wherever `target` says at the time, a port of this machine or None."""

    def __init__(self, target: Callable[[], int | None]) -> None:
        self._target = target
        self._whole = trio.Event()
        self._whole.set()
        self._generation = 0
        self.port = 0

    def cut(self) -> None:
        """Hold everything, connections that come meanwhile as well."""
        self._whole = trio.Event()

    def mend(self) -> None:
        """Undo `cut`."""
        self._whole.set()

    def abandon(self) -> None:
        """Hold the present connections for ever; later ones pass."""
        self._generation += 1

    async def run(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listener.socket.getsockname()[1]
            task_status.started(self)
            await trio.serve_listeners(self._forward, [listener], handler_nursery=nursery)

    async def _forward(self, near: trio.SocketStream) -> None:
        generation = self._generation
        async with near:
            await self._whole.wait()
            port = self._target()
            if port is None:
                return
            try:
                far = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                return
            async with far, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far, generation, nursery.cancel_scope)
                nursery.start_soon(self._pump, far, near, generation, nursery.cancel_scope)

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, generation: int, scope: trio.CancelScope
    ) -> None:
        try:
            while data := await source.receive_some(1 << 18):
                await self._pass(generation)
                await sink.send_all(data)
            await self._pass(generation)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._pass(generation)
        scope.cancel()

    async def _pass(self, generation: int) -> None:
        if generation != self._generation:
            await trio.sleep_forever()
        await self._whole.wait()
