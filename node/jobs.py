"""Where the jobs of a round run: in a thread, in place, or in a worker process of the node's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from multiprocessing.connection import Connection
from typing import Final, Protocol

import trio

from consensus.compute import Job
from node.compute import Compute, InlineCompute, ThreadCompute
from node.errors import RunError

_ATTEMPTS: Final = 2
_END_WITHIN_S: Final = 5.0
_SMALL: Final = 1 << 15
"""Parameters up to which a round thinks for a few milliseconds at a time: a thread and back would cost a fifth more."""


class Jobs(Protocol):
    """Runs jobs, one at a time."""

    async def run(self, job: Job) -> object:
        """The result of `job.run()`. A job whose caller is cancelled comes to nothing."""


class ComputedJobs:
    """Jobs that let go of the interpreter lock, or that take no time: wherever `compute` runs them."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    async def run(self, job: Job) -> object:
        """As `Jobs.run`."""
        return await self._compute.run(job.run)


class ProcessJobs:
    """Jobs in a worker process, started when the first job comes. Use `open_process_jobs`."""

    def __init__(self) -> None:
        self._turn = trio.CapacityLimiter(1)
        self._worker: _Worker | None = None

    async def run(self, job: Job) -> object:
        """As `Jobs.run`. A job whose worker is killed is done again, once; raises RunError the second time."""
        async with self._turn:
            for _ in range(_ATTEMPTS):
                worker = self._worker = self._worker or _Worker()
                try:
                    return await trio.to_thread.run_sync(
                        worker.ask,
                        job,
                        abandon_on_cancel=True,  # type: ignore[call-arg]  # the stubs are of an older trio
                    )
                except (EOFError, OSError):
                    code = await self.end()
                    if code >= 0:
                        break  # it ended by itself: the same job would fail again
                except trio.Cancelled:
                    worker.kill()  # which ends the abandoned thread as well
                    await self.end()
                    raise
        raise RunError(
            f"the worker process failed at {type(job).__name__} "
            f"({f'killed by signal {-code}' if code < 0 else f'exit code {code}'})",
            "If it was killed for lack of memory, use a smaller model or fewer nodes on this machine; "
            "otherwise the node's log has its traceback.",
        )

    async def end(self) -> int:
        """Let the worker go, and wait for it: its exit code, negative for a signal; 0 where there was none."""
        worker, self._worker = self._worker, None
        if worker is None:
            return 0
        with trio.CancelScope(shield=True):
            return await trio.to_thread.run_sync(worker.end)


@asynccontextmanager
async def open_process_jobs() -> AsyncIterator[ProcessJobs]:
    """A worker process for the time of the body; nothing is left of it afterwards."""
    jobs = ProcessJobs()
    try:
        yield jobs
    finally:
        await jobs.end()


@asynccontextmanager
async def open_workers(sharing: str, parameters: int) -> AsyncIterator[tuple[Compute, Jobs]]:
    """Where the machines of private rounds over so many parameters think, and where their jobs run."""
    thread = ThreadCompute()
    homomorphic = sharing in ("ckks", "bfv")  # whose library holds the interpreter lock
    async with open_process_jobs() if homomorphic else nullcontext(ComputedJobs(thread)) as jobs:
        yield InlineCompute() if parameters <= _SMALL else thread, jobs


class _Worker:
    """`node.worker` and the pipes to it. Its methods block."""

    def __init__(self) -> None:
        jobs, ours = os.pipe()
        theirs, results = os.pipe()
        command = [sys.executable, "-m", "node.worker"]
        try:
            self._process = subprocess.Popen(command, stdin=jobs, stdout=results)  # noqa: S603 - nobody's input
        finally:
            os.close(jobs)
            os.close(results)
        self._jobs = Connection(ours, readable=False)
        self._results = Connection(theirs, writable=False)

    def ask(self, job: Job) -> object:
        """The result of `job`. Raises EOFError or OSError where the process is gone."""
        self._jobs.send(job)
        return self._results.recv()

    def kill(self) -> None:
        """At once."""
        self._process.kill()

    def end(self) -> int:
        """Tell it that there is no more to do, and wait; its exit code."""
        self._jobs.close()
        try:
            code = self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._results.close()
        return code
