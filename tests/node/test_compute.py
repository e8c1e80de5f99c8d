"""Where blocking work runs: beside the loop, below it, and one piece at a time."""

import os
import sys
import threading

import pytest
import trio

from node.compute import YIELD, InlineCompute, ThreadCompute


async def test_work_is_done_beside_the_loop_one_piece_at_a_time():
    compute, inside, most, threads = ThreadCompute(), 0, 0, set()

    def work():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threads.add(threading.get_ident())
        trio.from_thread.run(trio.sleep, 0.002)
        inside -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(compute.run, work)
    assert most == 1
    assert threading.get_ident() not in threads


async def test_what_work_raises_comes_back():
    for compute in (ThreadCompute(), InlineCompute()):
        with pytest.raises(ZeroDivisionError):
            await compute.run(lambda: 1 // 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
async def test_work_gives_way_to_the_loop_and_the_loop_to_nobody():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    compute = ThreadCompute()
    for _ in range(3):  # once, and not further down each time
        assert await compute.run(niceness) == min(19, before + YIELD)
    assert niceness() == before


async def test_who_does_not_wait_any_more_is_noticed():
    compute = ThreadCompute()

    def work():
        while True:
            compute.check_cancelled()

    with trio.move_on_after(0.01) as scope:
        await compute.run(work)
    assert scope.cancelled_caught
