"""Jobs in a worker process: what comes back, what happens when it dies, and that nothing is left behind."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from node.compute import InlineCompute, ThreadCompute
from node.errors import RunError
from node.jobs import ComputedJobs, ProcessJobs, open_process_jobs, open_workers
from tests.node.lab.processes import is_alive

pytestmark = pytest.mark.processes


@dataclass(frozen=True)
class Square:
    number: int

    def run(self):
        return self.number**2, os.getpid()


@dataclass(frozen=True)
class Speak:
    """What libraries do."""

    def run(self):
        os.write(1, b"a warning that is no result\n")
        return b"x" * 3_000_000


@dataclass(frozen=True)
class DieOnce:
    """Killed, the first time that it runs; `path` remembers."""

    path: Path

    def run(self):
        if not self.path.exists():
            self.path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "done again"


@dataclass(frozen=True)
class Die:
    def run(self):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Fail:
    def run(self):
        raise ZeroDivisionError("an error of ours")


@dataclass(frozen=True)
class Hang:
    path: Path

    def run(self):
        self.path.write_text(str(os.getpid()))
        time.sleep(3600)


async def test_one_process_does_one_job_after_another_and_ends_with_the_node():
    results = []
    async with open_process_jobs() as jobs:

        async def ask(number):
            results.append(await jobs.run(Square(number)))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, number)
        assert await jobs.run(Speak()) == b"x" * 3_000_000
    assert sorted(square for square, _ in results) == [0, 1, 4, 9, 16]
    pids = {pid for _, pid in results}
    assert len(pids) == 1
    assert os.getpid() not in pids
    assert not is_alive(pids.pop())


async def test_no_job_no_process():
    async with open_process_jobs() as jobs:
        assert await jobs.end() == 0


async def test_a_job_whose_worker_is_killed_is_done_again(tmp_path):
    async with open_process_jobs() as jobs:
        assert await jobs.run(DieOnce(tmp_path / "seen")) == "done again"
        assert (await jobs.run(Square(3)))[0] == 9


async def test_a_job_that_kills_its_worker_every_time_is_an_error_that_says_so():
    async with open_process_jobs() as jobs:
        with pytest.raises(RunError, match=r"failed at Die \(killed by signal 9\)"):
            await jobs.run(Die())
        assert (await jobs.run(Square(3)))[0] == 9


async def test_a_job_that_fails_is_an_error_and_its_traceback_is_in_the_log(capfd):
    async with open_process_jobs() as jobs:
        with pytest.raises(RunError, match=r"failed at Fail \(exit code 1\)"):
            await jobs.run(Fail())
    assert "an error of ours" in capfd.readouterr().err


async def test_cancellation_waits_for_no_job_and_leaves_no_process(tmp_path):
    path = tmp_path / "pid"
    with trio.fail_after(30):
        async with open_process_jobs() as jobs, trio.open_nursery() as nursery:
            nursery.start_soon(jobs.run, Hang(path))
            while not path.exists() or not path.read_text():  # noqa: ASYNC110 - another process writes it
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert not is_alive(int(path.read_text()))


async def test_jobs_that_take_no_time_run_in_place():
    assert await ComputedJobs(InlineCompute()).run(Square(4)) == (16, os.getpid())


@pytest.mark.parametrize(("sharing", "parameters", "machines", "jobs"), [
    ("shamir", 5_000, InlineCompute, ComputedJobs),
    ("shamir", 1_000_000, ThreadCompute, ComputedJobs),
    ("ckks", 5_000, InlineCompute, ProcessJobs),
])  # fmt: skip
async def test_a_round_thinks_in_the_loop_only_where_that_is_short(sharing, parameters, machines, jobs):
    async with open_workers(sharing, parameters) as (thinks, works):
        assert type(thinks) is machines
        assert type(works) is jobs
