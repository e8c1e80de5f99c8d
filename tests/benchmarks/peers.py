"""This lab against p2pfl 0.4.4: a ring of eight, the same rows on the same nodes, the same model, ten rounds.

Both learn over loopback, where bytes are counted on the interface: payload, framing, TCP and IP headers. p2pfl runs as
in its own examples, all nodes in one process over gRPC without TLS; the lab runs a process a node, encrypted. p2pfl
averages over the whole swarm each round, the lab's open mode over a node's neighbours.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from node.learning.data import load_saved
from overlay.topology import Task, load_topology
from tests.benchmarks.environment import p2pfl_python
from tests.benchmarks.lab import LabRun, lab_up
from tests.benchmarks.machine import BenchmarkError, Figures, show_table
from tests.benchmarks.processes import Watched, isolation, watch

TOPOLOGY = Path("topologies/ring-8.toml")
ROUNDS = 10
REPEATS = 3
"""Of the lab; it takes seconds, so that one hiccup of the machine would show."""
ATTEMPTS = 4
STALL_S = 45.0
LIMIT_S = 400.0

SETTINGS = {
    "general": {"log_level": "WARNING"},
    "gossip": {
        "models_per_round": 8,
        "models_period": 0.1,
        "exit_on_x_equal_rounds": 100,
        "amount_last_messages_saved": 10000,
    },
    "heartbeat": {"timeout": 10},
}
"""The fastest that were found for p2pfl. As delivered, it waits 1 s between two rounds of gossip with 2 peers."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


class StallError(BenchmarkError):
    """p2pfl did not go on. Known for sparse graphs: https://github.com/p2pfl/p2pfl/issues/71."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One framework's run. Times in seconds."""

    startup_s: float
    """From the command to the beginning of the first round."""
    round_s: float
    """Median over the rounds, each from the end of the one before on the last node."""
    total_s: float
    """From the command until it is back."""
    cpu_s: float
    bytes_per_round: float
    accuracy: float
    """On the common test set after the last round, mean over the nodes."""
    accuracy_min: float


def outcome(watched: Watched, first_round_at: float, round_ends: list[float], accuracy: list[float]) -> Outcome:
    """The same arithmetic for both."""
    boundaries = [first_round_at, *round_ends]
    moved = watched.bytes_at(boundaries[-1]) - watched.bytes_at(boundaries[0])
    return Outcome(
        startup_s=first_round_at - watched.began_at,
        round_s=statistics.median(np.diff(boundaries).tolist()),
        total_s=watched.ended_at - watched.began_at,
        cpu_s=watched.cpu_s,
        bytes_per_round=moved / len(round_ends),
        accuracy=statistics.mean(accuracy),
        accuracy_min=min(accuracy),
    )


def run(folder: Path, console: Console) -> Figures:
    """Measure both; the median of several runs of the lab, one of p2pfl."""
    figures = Figures("peers")
    topology = load_topology(TOPOLOGY).with_overrides(rounds=ROUNDS)
    python = p2pfl_python(folder, console.print)
    with tempfile.TemporaryDirectory(prefix="grapevine-peers-") as temporary:
        place = Path(temporary)
        labs = []
        for i in range(REPEATS):
            console.print(f"lab, run {i + 1} of {REPEATS}")
            labs.append(lab_up(TOPOLOGY, topology, place / f"lab-{i}", limit_s=LIMIT_S))
        partition = export(labs[0], [node.name for node in topology.nodes], place / "partition.npz")
        theirs, stalled = run_p2pfl(python, partition, topology.task, place, console.print)
        keep_log(place, folder)
    ours = median_outcome([outcome(lab.watched, lab.first_round_at, lab.round_ends, accuracies(lab)) for lab in labs])
    figures.note("nodes", len(topology.nodes))
    figures.note("rounds", ROUNDS)
    figures.note("loopback_of_its_own", bool(isolation()))
    figures.note("p2pfl_stalled_attempts", stalled)
    show(figures, ours, theirs, console)
    plot(figures, folder / "peers.png")
    return figures


def accuracies(lab: LabRun) -> list[float]:
    return [node["accuracy"][-1] for node in lab.report["nodes"]]


def median_outcome(outcomes: list[Outcome]) -> Outcome:
    return Outcome(*(statistics.median(values) for values in zip(*map(astuple, outcomes), strict=True)))


def astuple(of: Outcome) -> tuple[float, ...]:
    return tuple(getattr(of, name) for name in Outcome.__slots__)


def export(lab: LabRun, names: list[str], path: Path) -> Path:
    """The rows that each node of the lab was dealt, and the test set; shuffled, for p2pfl trains in the order given."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for i, name in enumerate(names):
        shard = load_saved(lab.folder.shard(name))
        order = rng.permutation(len(shard.labels))
        arrays[f"features_{i}"], arrays[f"labels_{i}"] = shard.features[order], shard.labels[order]
    test = load_saved(lab.folder.test)
    np.savez(path, test_features=test.features, test_labels=test.labels, **arrays)
    return path


def run_p2pfl(
    python: Path, partition: Path, task: Task, place: Path, say: Callable[[str], None]
) -> tuple[Outcome, int]:
    """p2pfl's outcome, and how many attempts before it stalled. Raises `StallError` where all do."""
    for attempt in range(ATTEMPTS):
        say(f"p2pfl, attempt {attempt + 1} of at most {ATTEMPTS}")
        progress = Progress(place / f"p2pfl-{attempt}.jsonl", say)
        command = [str(python), str(Path(__file__).with_name("peers_p2pfl.py").resolve())]
        command += [str(partition), str(progress.path), "--rounds", str(ROUNDS), "--epochs", str(task.local_epochs)]
        command += ["--hidden", *map(str, task.hidden), "--batch-size", str(task.batch_size)]
        command += ["--learning-rate", str(task.learning_rate), "--momentum", str(task.momentum)]
        command += ["--settings", json.dumps(SETTINGS)]
        try:
            watched = watch(
                command,
                log=place / "p2pfl.log",
                limit_s=LIMIT_S,
                tick=progress.tick,
                private_loopback=True,
                folder=place,
                environment=OFFLINE,
            )
        except StallError as stall:
            say(str(stall))
            continue
        progress.tick()
        return progress.outcome(watched), attempt
    raise StallError(f"p2pfl stalled {ATTEMPTS} times; on a machine with less to do it may not")


class Progress:
    """Follows what `peers_p2pfl` reports; raises `StallError` where nothing comes for `STALL_S`."""

    def __init__(self, path: Path, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._say = say
        self._now = now
        self._events: list[dict[str, Any]] = []
        self._heard_at = now()

    def tick(self) -> None:
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1] if self.path.exists() else []
        for line in lines[len(self._events) :]:
            self._events.append(json.loads(line))
            self._heard_at = self._now()
            if self._events[-1]["event"] == "round":
                self._say(f"round {self._events[-1]['round'] + 1}")
        if self._now() - self._heard_at > STALL_S:
            last = self._events[-1]["event"] if self._events else "start"
            raise StallError(f"p2pfl stalled: nothing for {STALL_S:g} s after '{last}'")

    def outcome(self, watched: Watched) -> Outcome:
        """Of a run that has ended."""
        at = {name: [event["at"] for event in self._events if event["event"] == name] for name in ("started", "round")}
        finished = [event["accuracy"] for event in self._events if event["event"] == "finished"]
        if not at["started"] or len(at["round"]) != ROUNDS or not finished:
            raise BenchmarkError(f"p2pfl ended after {len(at['round'])} of {ROUNDS} rounds")
        return outcome(watched, at["started"][0], at["round"], finished[0])


def keep_log(place: Path, folder: Path) -> None:
    shutil.copyfile(place / "p2pfl.log", folder / "p2pfl.log")


MEASURES = (
    ("startup", "s", "start-up", lambda o: o.startup_s),
    ("round", "s", "a round", lambda o: o.round_s),
    ("total", "s", "in all", lambda o: o.total_s),
    ("cpu_total", "s", "CPU in all", lambda o: o.cpu_s),
    ("loopback", "bytes_per_round", "loopback a round", lambda o: o.bytes_per_round),
    ("accuracy_mean", "share", "accuracy, mean", lambda o: o.accuracy),
    ("accuracy_min", "share", "accuracy, lowest", lambda o: o.accuracy_min),
)
"""Name, unit, words, and where in an `Outcome`."""


def show(figures: Figures, ours: Outcome, theirs: Outcome, console: Console) -> None:
    rows = []
    for name, unit, words, of in MEASURES:
        ratio = figures.compare(name, unit, grapevine=of(ours), p2pfl=of(theirs))
        rows.append([words, unit, f"{of(ours):.4g}", f"{of(theirs):.4g}", f"{ratio:.3g}"])
    show_table(
        console,
        f"Ring of {figures['nodes']}, {figures['rounds']} rounds",
        ["measure", "unit", "grapevine", "p2pfl 0.4.4", "p2pfl ÷ grapevine"],
        rows,
    )


def plot(figures: Figures, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(12, 3), layout="constrained")
    for axis, (name, unit, words, _) in zip(axes, MEASURES[1:5], strict=True):
        values = [float(figures[f"{name}_{unit}_{who}"]) for who in ("grapevine", "p2pfl")]
        bars = axis.bar(["grapevine", "p2pfl"], values, color=["tab:blue", "tab:gray"])
        axis.bar_label(bars, fmt="%.3g")
        axis.set_title(f"{words} [{unit.removesuffix('_per_round')}]")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
