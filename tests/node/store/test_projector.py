import threading
from contextlib import asynccontextmanager

import pytest
import trio

from node.compute import InlineCompute, ThreadCompute
from node.store import projector
from node.store.database import StoreFailed
from node.store.projector import EVERY_S, PRUNE_S, RETRY_S, keeping_up
from node.store.retention import DAY_S, Keep
from node.store.store import open_store
from node.store.tail import Tail
from tests.node.store.events import closed, started, write


@asynccontextmanager
async def running(store, tail, *, compute=None, keep=None, now=20 * DAY_S):
    told = []
    async with keeping_up(
        tail,
        store.database,
        keep=keep or Keep(),
        compute=compute or InlineCompute(),
        record=told.append,
        wall_clock=lambda: now,
    ):
        yield told


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, [started(), closed(0)])
    with open_store(None, tmp_path) as store:
        yield store, Tail(store.database, path), path


async def test_a_running_node_is_followed(kept, autojump_clock):
    store, tail, path = kept
    async with running(store, tail) as told:
        await trio.sleep(EVERY_S / 2)
        assert [row["round"] for row in store.rounds()] == [0]
        write(path, [closed(1), closed(2)])
        await trio.sleep(EVERY_S)
        assert [row["round"] for row in store.rounds()] == [0, 1, 2]
    (event,) = told
    assert (event.module, event.status, event.settings["keep_days"]) == ("store", "running", 400)


async def test_the_loop_is_not_where_it_writes(kept):
    store, tail, _ = kept
    threads, project, done = set(), tail.project, trio.Event()
    token = trio.lowlevel.current_trio_token()

    def noted(batch, *, upto):
        threads.add(threading.current_thread())
        project(batch, upto=upto)
        token.run_sync_soon(done.set)

    tail.project = noted
    async with running(store, tail, compute=ThreadCompute()):
        await done.wait()
    assert threads
    assert threading.main_thread() not in threads


async def test_a_database_that_is_away_is_told_of_once_and_caught_up_with_later(kept, autojump_clock, monkeypatch):
    store, tail, path = kept

    def away(*_, **__):
        raise StoreFailed("gone", "bring it back")

    monkeypatch.setattr(tail, "project", away)
    async with running(store, tail) as told:
        await trio.sleep(3 * RETRY_S)
        assert [(event.status, event.reason) for event in told] == [("degraded", "gone")]
        write(path, [closed(1)])
        monkeypatch.undo()
        await trio.sleep(RETRY_S)
        assert [event.status for event in told] == ["degraded", "running"]
        assert [row["round"] for row in store.rounds()] == [0, 1]


async def test_it_prunes_now_and_then(kept, autojump_clock, monkeypatch):
    store, tail, _ = kept
    pruned, prune = [], projector.prune
    monkeypatch.setattr(projector, "prune", lambda *given: (pruned.append(trio.current_time()), prune(*given)))
    began = trio.current_time()
    async with running(store, tail, keep=Keep(days=10), now=20 * DAY_S):
        await trio.sleep(PRUNE_S + 2 * EVERY_S)
    assert len(pruned) == 2
    assert pruned[0] - began < EVERY_S
    assert store.rounds() == [], "ten seconds after 1970 is too old"


async def test_an_error_of_ours_is_not_taken_for_the_databases(kept, autojump_clock, monkeypatch):
    store, tail, _ = kept

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(tail, "project", broken)
    with pytest.raises(ExceptionGroup) as caught:
        async with running(store, tail):
            await trio.sleep_forever()
    assert caught.group_contains(ZeroDivisionError)
