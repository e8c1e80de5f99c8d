"""Where blocking work runs: in a worker thread; inline where it is short, and in simulation (where time is virtual)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import trio

T = TypeVar("T")
YIELD: Final = 5
"""Nice levels that blocking work is below the loop, which then has a processor three times as often where both want it:
the loop answers peers, operators and probes, and wants it for a millisecond at a time.
"""


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

        def yielding() -> T:
            _give_way()
            return work()

        return await trio.to_thread.run_sync(yielding, limiter=self._limiter)

    def check_cancelled(self) -> None:
        """As `Compute.check_cancelled`; call it in the worker thread."""
        trio.from_thread.check_cancelled()


def _give_way() -> None:
    """Be below the process's main thread from now on, which needs nobody's leave; the way back would."""
    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        wanted = min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + YIELD)
        thread = threading.get_native_id()
        if os.getpriority(os.PRIO_PROCESS, thread) < wanted:
            os.setpriority(os.PRIO_PROCESS, thread, wanted)


class InlineCompute:
    """Calls at once, with a checkpoint before it as any await would have."""

    async def run(self, work: Callable[[], T]) -> T:
        """As `Compute.run`."""
        await trio.lowlevel.checkpoint()
        return work()

    def check_cancelled(self) -> None:
        """Never raises: nothing else runs meanwhile."""
