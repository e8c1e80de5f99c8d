"""This lab against p2pfl 0.4.4: a ring of eight, the same rows on the same nodes, the same model, ten rounds.

Both learn over loopback, where bytes are counted on the interface: payload, framing, TCP and IP headers. p2pfl runs as
in its own examples, all nodes in one process over gRPC without TLS; the lab runs a process a node, encrypted. p2pfl
averages over the whole swarm each round, the lab's open mode over a node's neighbours, so that one of its rounds does
less: a second, longer run of the lab tells what the accuracy of p2pfl's ten rounds costs it. p2pfl trains on all rows
of a node, the lab keeps its holdout out.
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
from overlay.topology import load_topology
from overlay.topology_schema import Task
from tests.benchmarks.environment import p2pfl_python
from tests.benchmarks.lab import LabRun, lab_up
from tests.benchmarks.machine import BenchmarkError, Figures, rounded, show_table
from tests.benchmarks.processes import Watched, isolation, watch

TOPOLOGY = Path("topologies/ring-8.toml")
ROUNDS = 10
REPEATS = 3
"""Of the lab; it takes seconds, so that one hiccup of the machine would show."""
LONG_ROUNDS = 60
"""Of the run that is to reach p2pfl's accuracy."""
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
"""The fastest of the five that were tried. As delivered, p2pfl waits 1 s between two rounds of gossip with 2 peers."""
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
    learning_s: float
    """All rounds."""
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
        learning_s=round_ends[-1] - first_round_at,
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
            labs.append(lab_up(topology, place / f"lab-{i}", limit_s=LIMIT_S))
        partition = export(labs[0], [node.name for node in topology.nodes], place / "partition.npz")
        theirs, stalled = run_p2pfl(python, partition, topology.task, place, console.print)
        shutil.copyfile(place / "p2pfl.log", folder / "p2pfl.log")
        console.print(f"lab, {LONG_ROUNDS} rounds")
        long = lab_up(topology.with_overrides(rounds=LONG_ROUNDS), place / "lab-long", limit_s=LIMIT_S)
    ours = median_outcome([outcome(lab.watched, lab.first_round_at, lab.round_ends, accuracies(lab)) for lab in labs])
    figures.note("nodes", len(topology.nodes))
    figures.note("rounds", ROUNDS)
    figures.note("loopback_of_its_own", bool(isolation()))
    figures.note("p2pfl_stalled_attempts", stalled)
    rows = compare(figures, ours, theirs) + compare_at_equal_accuracy(figures, long, theirs)
    show_table(
        console,
        f"Ring of {len(topology.nodes)}, {ROUNDS} rounds",
        ["measure", "grapevine", "p2pfl 0.4.4", "÷ grapevine"],
        rows,
    )
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


MEASURES: tuple[tuple[str, str, str, Callable[[Outcome], float]], ...] = (
    ("startup", "s", "start-up, s", lambda o: o.startup_s),
    ("round", "s", "a round, s", lambda o: o.round_s),
    ("loopback_a_round", "bytes", "a round, bytes on loopback", lambda o: o.bytes_per_round),
    ("total", "s", "in all, s", lambda o: o.total_s),
    ("cpu_total", "s", "CPU in all, s", lambda o: o.cpu_s),
)
"""Name, unit, words, and where in an `Outcome`."""


def compare(figures: Figures, ours: Outcome, theirs: Outcome) -> list[list[str]]:
    """Note all measures of the equal number of rounds; give back the rows of the table."""
    rows = []
    for name, unit, words, of in MEASURES:
        figures.compare(name, unit, grapevine=of(ours), p2pfl=of(theirs))
        rows.append(row(words, of(ours), of(theirs)))
    share = {"mean": (ours.accuracy, theirs.accuracy), "min": (ours.accuracy_min, theirs.accuracy_min)}
    for name, (our, their) in share.items():
        figures.note(f"accuracy_{name}_grapevine", rounded(our))
        figures.note(f"accuracy_{name}_p2pfl", rounded(their))
        rows.append([f"accuracy, {name} of the nodes", f"{our:.3f}", f"{their:.3f}", ""])
    return rows


def compare_at_equal_accuracy(figures: Figures, long: LabRun, theirs: Outcome) -> list[list[str]]:
    """What it takes the lab until the mean accuracy of its nodes is that of p2pfl at its end; rows of the table."""
    rounds = rounds_to_reach(theirs.accuracy, [node["accuracy"] for node in long.report["nodes"]])
    figures.note("equal_accuracy_rounds_grapevine", rounds or f"not within {LONG_ROUNDS}")
    if rounds is None:
        return [["rounds to p2pfl's accuracy", f"> {LONG_ROUNDS}", str(ROUNDS), ""]]
    end = long.round_ends[rounds - 1]
    taken_s, moved = end - long.first_round_at, long.watched.bytes_at(end) - long.watched.bytes_at(long.first_round_at)
    their_s, their_bytes = theirs.learning_s, theirs.bytes_per_round * ROUNDS
    figures.compare("equal_accuracy", "s", grapevine=taken_s, p2pfl=their_s)
    figures.compare("equal_accuracy_loopback", "bytes", grapevine=moved, p2pfl=their_bytes)
    return [
        ["rounds to p2pfl's accuracy", str(rounds), str(ROUNDS), ""],
        row("the same, s from the first round", taken_s, their_s),
        row("the same, bytes on loopback", moved, their_bytes),
    ]


def rounds_to_reach(accuracy: float, by_node: list[list[float]]) -> int | None:
    """How many rounds until the mean over the nodes is at least `accuracy`; `by_node` holds a row of rounds a node."""
    means = [statistics.mean(of_round) for of_round in zip(*by_node, strict=False)]
    return next((i + 1 for i, mean in enumerate(means) if mean >= accuracy), None)


def row(words: str, ours: float, theirs: float) -> list[str]:
    return [words, f"{ours:,.3g}", f"{theirs:,.3g}", f"{theirs / ours:.3g}"]


def plot(figures: Figures, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(12, 3), layout="constrained")
    for axis, (name, unit, words, _) in zip(axes, MEASURES[1:], strict=True):
        values = [float(figures[f"{name}_{unit}_{who}"]) for who in ("grapevine", "p2pfl")]
        bars = axis.bar(["grapevine", "p2pfl"], values, color=["tab:blue", "tab:gray"])
        axis.bar_label(bars, fmt="%.3g")
        axis.set_title(words)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
