"""Where blocking work runs: a worker thread in production, inline in simulation (where time is virtual)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Compute(Protocol):
    """Runs a blocking function and waits for it."""

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work()`; its exception propagates."""

    def check_cancelled(self) -> None:
        """For `work` to call now and then: raises where whoever waits for it was cancelled."""


class ThreadCompute:
    """One worker thread at a time, so that training never races with itself and never blocks the network."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T]) -> T:
        """Not abandoned on cancellation: half a checkpoint or half a step is worse than a late stop."""
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def check_cancelled(self) -> None:
        """As `Compute.check_cancelled`; call it in the worker thread."""
        trio.from_thread.check_cancelled()


class InlineCompute:
    """Calls at once, with a checkpoint before it as any await would have."""

    async def run(self, work: Callable[[], T]) -> T:
        """As `Compute.run`."""
        await trio.lowlevel.checkpoint()
        return work()

    def check_cancelled(self) -> None:
        """Never raises: nothing else runs meanwhile."""
