"""Results that outlive an interruption: a line of JSON each, and whatever is not there yet is done by all cores.

    tasks ──► those with a line of today's program ──────────────┐
          └─► the others, in order, one a process ──► a new line ─┴─► results

A line holds a digest of the source files that a result can depend on, so that one of another program is not taken for
today's. It is written by one call and to the end of the file: who is killed leaves all lines before it whole, and half
a line at the end is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.byzantine_tasks import Result, Task, carry_out

ROOT = Path(__file__).resolve().parents[2]
RULES = ("consensus/company.py", "consensus/*_rules.py", "consensus/pre_aggregation.py", "consensus/rules.py")
EYES = ("detect/peers/*.py", "tests/benchmarks/byzantine_watch.py")
LEARNING = ("node/lab/attacks*.py", "node/learning/partition.py", "node/learning/loaders/*.py")
SWARM = ("consensus/screen.py", "tests/benchmarks/byzantine_modes.py", "tests/benchmarks/byzantine_learning.py")
SOURCES: Mapping[str, Sequence[str]] = {
    "matrix": (*RULES, *EYES, *LEARNING, *SWARM, "tests/benchmarks/byzantine_tasks.py"),
    "calm": (*RULES, *EYES, *LEARNING, *SWARM, "tests/benchmarks/byzantine_calm.py"),
    "plant": (*EYES, "topologies/plant-8.toml", "node/learning/*.py", "tests/benchmarks/byzantine_plant.py"),
    "published": (
        *RULES,
        *LEARNING,
        "tests/benchmarks/byzantine_learning.py",
        "tests/benchmarks/byzantine_published.py",
    ),
}
"""By kind of task, the files that its result depends on."""


def digests(root: Path = ROOT) -> dict[str, str]:
    """By kind of task, that of its sources."""
    return {kind: _digest(root, patterns) for kind, patterns in SOURCES.items()}


def _digest(root: Path, patterns: Sequence[str]) -> str:
    summed = sha256()
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            summed.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return summed.hexdigest()[:16]


class Results:
    """The lines of a file that are of one program."""

    def __init__(self, path: Path, programs: Mapping[str, str]) -> None:
        """`programs`: by kind of task, a digest of its sources."""
        self._path, self._programs = path, programs
        self._found: dict[Task, Result] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._read(line)

    def _read(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            task, result = Task(entry["kind"], tuple(entry["words"])), dict(entry["result"])
        except (ValueError, KeyError, TypeError):
            return  # half a line
        if entry.get("program") == self._programs.get(task.kind):
            self._found[task] = result

    def __contains__(self, task: Task) -> bool:
        return task in self._found

    def __getitem__(self, task: Task) -> Result:
        return self._found[task]

    def keep(self, task: Task, result: Result) -> None:
        """On disk before this returns."""
        entry = {"program": self._programs[task.kind], "kind": task.kind, "words": task.words, "result": result}
        # The line feed comes first as well: it ends what a killed process may have left.
        line = b"\n" + json.dumps(entry, allow_nan=False).encode() + b"\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
        self._found[task] = result


def done(
    tasks: Sequence[Task],
    results: Results,
    jobs: int,
    tell: Callable[[Task, Result, int], None],
    work: Callable[[Task], Result] = carry_out,
) -> Iterator[tuple[Task, Result]]:
    """Each task with its result: what is there at once, then the others as they are done, by `jobs` processes.

    `tell` hears of each that is new, and how many are still to be done. What is interrupted is done again next time.
    """
    open_ = [task for task in dict.fromkeys(tasks) if task not in results]
    yield from ((task, results[task]) for task in dict.fromkeys(tasks) if task in results)
    for left, (task, result) in zip(range(len(open_) - 1, -1, -1), worked_off(open_, jobs, work), strict=True):
        results.keep(task, result)
        tell(task, result, left)
        yield task, result


def worked_off(tasks: Sequence[Task], jobs: int, work: Callable[[Task], Result]) -> Iterator[tuple[Task, Result]]:
    """Each with what `work` makes of it, as they are done by `jobs` processes, begun in their order."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from ((task, work(task)) for task in tasks)
        return
    pending: dict[Future[Result], Task] = {}
    # Spawned: a fork would copy whatever threads of a BLAS hold at that moment.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            waiting = iter(tasks)
            pending = {pool.submit(work, task): task for _, task in zip(range(2 * jobs), waiting, strict=False)}
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    task = pending.pop(future)
                    following = next(waiting, None)
                    if following is not None:
                        pending[pool.submit(work, following)] = following
                    yield task, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
