"""What a source does to a desk, on an event loop of the test's own."""

import asyncio
import contextlib
import time
from functools import wraps

from node.console.desk import Desk, Link


def on_its_loop(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


@contextlib.asynccontextmanager
async def running(source):
    """The desk that `source` brings events to."""
    desk = Desk(Link(source.where))
    task = asyncio.create_task(source.run(desk))
    try:
        yield desk
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(found):
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def record(event, second=0, **more):
    stamp = f"2025-10-09T08:53:{20 + second:02}.000000Z"
    return {"timestamp": stamp, "level": "info", "event": event, "node": "press-1", **more}


def texts(desk):
    return [line.text for line in desk.scene().records.among([])]
