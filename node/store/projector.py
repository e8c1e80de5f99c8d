"""Keeps a store up with the node's journal, in batches off the loop.

It reads the journal's file, not the events in memory: so a start after a crash, a database that was away for an hour
and an ordinary second are one case, nothing is buffered, and what is projected is what is on the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from node import journal
from node.compute import Compute
from node.store.database import Database, StoreFailed
from node.store.retention import Keep, prune
from node.store.tail import Tail

EVERY_S = 2.0
"""A round may close every few milliseconds; nobody reads the store as often, and a batch costs as much as a round."""
RETRY_S = 10.0
PRUNE_S = 3600.0


@asynccontextmanager
async def keeping_up(
    tail: Tail,
    database: Database,
    *,
    keep: Keep,
    compute: Compute,
    record: Callable[[journal.Event], None],
    wall_clock: Callable[[], float],
) -> AsyncIterator[None]:
    """Project the journal and drop what is too old until the block ends. `record` is told how the store fares."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_up, tail, database, keep, compute, record, wall_clock)
        yield
        nursery.cancel_scope.cancel()


async def _keep_up(
    tail: Tail,
    database: Database,
    keep: Keep,
    compute: Compute,
    record: Callable[[journal.Event], None],
    wall_clock: Callable[[], float],
) -> None:
    status, pruned_at = "", -PRUNE_S
    settings = {"database": database.place, "keep_days": keep.days, "keep_rows": keep.rows}
    while True:
        before, reason = status, ""
        try:
            await compute.run(lambda: tail.catch_up(compute.check_cancelled))
            if trio.current_time() >= pruned_at + PRUNE_S:
                pruned_at = trio.current_time()
                await compute.run(lambda: prune(database, keep, wall_clock()))
            status = "running"
        except StoreFailed as failure:
            status, reason = "degraded", failure.problem
        if status != before:
            told = {"at": wall_clock(), "module": "store", "status": status, "reason": reason, "settings": settings}
            record(journal.ModuleChanged.model_validate(told))
        await trio.sleep(EVERY_S if status == "running" else RETRY_S)
