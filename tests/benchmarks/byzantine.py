"""Rules × adversaries × modes × partitions, on digits and MNIST; and a published setting beside ours.

Softmax regression at 20 honest and 4 Byzantine nodes, in virtual time. By default a part that ends in minutes is run;
with GRAPEVINE_FULL=1 all of it (most of an hour on two cores). Accuracy is that of honest nodes on the official test
rows, after the last round. In private the liars go to the bound of the norm proof, 1.7 C, where that serves them.

What was measured is kept in `byzantine.jsonl`: who interrupts it goes on where it was, and another run of the same
program costs nothing. All cores work; GRAPEVINE_JOBS=1 leaves it at one. The table and the heat map are drawn from what
there is when it ends, or is interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.benchmarks import byzantine_calm, byzantine_published
from tests.benchmarks.byzantine_calm import Calm
from tests.benchmarks.byzantine_learning import mnist_folder
from tests.benchmarks.byzantine_map import heat_map, tables, watches
from tests.benchmarks.byzantine_results import Results, digests, done
from tests.benchmarks.byzantine_tasks import (
    ADVERSARIES,
    DEFAULT,
    FIRST_ADVERSARIES,
    MODE_SETTINGS,
    MORE_RULES,
    OPEN,
    Result,
    Task,
    grid,
)
from tests.benchmarks.machine import BenchmarkError, Figures, rounded, show_table

PARTITIONS = ("dirichlet-1.0", "dirichlet-0.3")
FIRST_MODES = tuple(MODE_SETTINGS)[:5]
PUBLISHED_RULES = (DEFAULT, *byzantine_published.PUBLISHED, "mean")
COLUMNS = ("none", *byzantine_published.ATTACKS)
CALM_SEEDS, PLANT_RUNS = (1, 2, 3), 20
STRENGTHS = (0.0, 1.0, 2.0, 3.0)
"""Of the default lab's sign flipper; 0: nobody lies."""


@dataclass(frozen=True)
class Extent:
    """How much is run."""

    matrix: tuple[Task, ...]
    iterations: int
    """Of the published setting; 0: left out."""

    def tasks(self) -> list[Task]:
        """What says most first, each once."""
        first = [cell for cell in self.matrix if cell.words[2] in FIRST_MODES and cell.words[3] in FIRST_ADVERSARIES]
        return list(dict.fromkeys([*first, *self.published(), *calm_tasks(), *plant_tasks(), *self.matrix]))

    def published(self) -> list[Task]:
        """The published table, then the row of ALIE beside 20 honest nodes."""
        if not self.iterations:
            return []
        table = [published_task(rule, column, 10, 2, self.iterations) for rule in PUBLISHED_RULES for column in COLUMNS]
        beside = [
            published_task(rule, "alie", 20, liars, self.iterations)
            for rule in (DEFAULT, "ios")
            for liars in byzantine_published.PUBLISHED_ALIE
        ]
        return [*table, *beside]


def published_task(rule: str, adversary: str, honest: int, liars: int, iterations: int) -> Task:
    return Task("published", (rule, adversary, honest, liars, iterations))


def calm_tasks() -> list[Task]:
    return [Task("calm", (way, seed, byzantine_calm.ROUNDS)) for way in byzantine_calm.WAYS for seed in CALM_SEEDS]


def plant_tasks() -> list[Task]:
    return [Task("plant", (strength, PLANT_RUNS)) for strength in STRENGTHS]


QUICK = Extent(
    (
        *grid("digits", 40, MODE_SETTINGS, FIRST_ADVERSARIES, PARTITIONS),
        *grid("mnist", 100, FIRST_MODES, FIRST_ADVERSARIES, PARTITIONS),
    ),
    0,
)
FULL = Extent(
    (
        *grid("mnist", 100, FIRST_MODES, ADVERSARIES, PARTITIONS),
        *grid("digits", 80, FIRST_MODES, ADVERSARIES, PARTITIONS),
        *grid("mnist", 100, FIRST_MODES, FIRST_ADVERSARIES, ["classes"]),
        *grid("digits", 80, FIRST_MODES, FIRST_ADVERSARIES, ["classes"]),
        *grid("mnist", 100, tuple(MODE_SETTINGS)[5:], ADVERSARIES, PARTITIONS),
        *grid("digits", 80, tuple(MODE_SETTINGS)[5:], ADVERSARIES, PARTITIONS),
        *grid("mnist", 100, [f"open {rule}" for rule in MORE_RULES], FIRST_ADVERSARIES, PARTITIONS),
        *grid("digits", 80, [f"open {rule}" for rule in MORE_RULES], ADVERSARIES, PARTITIONS),
    ),
    5000,
)


def run(folder: Path, console: Console) -> Figures:
    """What GRAPEVINE_FULL says."""
    full = bool(os.environ.get("GRAPEVINE_FULL"))
    console.print(f"Running the {'full' if full else 'quick'} part; GRAPEVINE_FULL=1 runs all.", highlight=False)
    tasks = (FULL if full else QUICK).tasks()
    try:
        mnist_folder()
    except BenchmarkError as error:
        console.print(f"mnist is left out: {error}", highlight=False, markup=False)
        tasks = [task for task in tasks if task.words[0] != "mnist" and task.kind != "published"]
    # One thread a process: so small products gain nothing by a second, and processes share the cores already.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    jobs = int(os.environ.get("GRAPEVINE_JOBS") or len(os.sched_getaffinity(0)))
    results: dict[Task, Result] = {}
    kept = Results(folder / "byzantine.jsonl", digests())
    console.print(f"{sum(task in kept for task in tasks)} of {len(tasks)} results are there already.", highlight=False)
    try:
        results.update(done(tasks, kept, jobs, teller(console)))
    except KeyboardInterrupt:
        show({task: kept[task] for task in tasks if task in kept}, folder, console)
        raise
    results = {task: results[task] for task in tasks}
    show(results, folder, console)
    return figures_of(results, full=full)


def teller(console: Console) -> Callable[[Task, Result, int], None]:
    """Says what is new, in a line."""

    def tell(task: Task, result: Result, left: int) -> None:
        console.print(f"[{left} left] {task}: {told(result)}", highlight=False, markup=False)

    return tell


def told(result: Result) -> str:
    """All numbers that there are, in a line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in result.items() if value is not None)


def show(results: Mapping[Task, Result], folder: Path, console: Console) -> None:
    """Tables and the picture."""
    tables(results, console)
    show_published(results, console)
    for way, calm in calms(results).items():
        shunned = f"shunned in {100 * calm.shunned_share:.2f} % of peer-rounds, {calm.evicted:g} evicted"
        console.print(f"nobody lies, {byzantine_calm.ROUNDS} rounds, {way}: {calm.accuracy:.1f}, {shunned}")
    for task, result in results.items():
        if task.kind == "plant":
            console.print(f"plant-8, strength {task.words[0]:g}: {told(result)}", highlight=False)
    heat_map(results, folder / "byzantine.png")


def calms(results: Mapping[Task, Result]) -> dict[str, Calm]:
    """Of each way, over its seeds."""
    found: dict[str, list[Calm]] = {}
    for task, result in results.items():
        if task.kind == "calm":
            calm = Calm(result["accuracy"] or 0.0, result["shunned_share"] or 0.0, int(result["evicted"] or 0))
            found.setdefault(str(task.words[0]), []).append(calm)
    return {way: byzantine_calm.mean(each) for way, each in found.items()}


def figures_of(results: Mapping[Task, Result], *, full: bool) -> Figures:
    """Flat; per cent, and shares in per cent."""
    figures = Figures("byzantine")
    figures.note("full", full)
    figures.note("default_rule", DEFAULT)
    figures.note("honest", OPEN.honest)
    figures.note("byzantine", OPEN.liars)
    for task, result in results.items():
        words = [str(word).replace(" ", "_").replace(",", "") for word in task.words]
        if task.kind == "matrix":
            _note_cell(figures, "_".join(words[:4]), str(task.words[2]), result)
        elif task.kind == "published":
            rule, adversary, honest, liars, _ = words
            beside = f"_beside_{honest}_with_{liars}" if honest != "10" else ""
            figures.note(f"published_setting_{rule}_{adversary}{beside}_percent", rounded(result["mean"] or 0.0))
        elif task.kind == "plant":
            name = f"plant_flip_{task.words[0]:g}" if task.words[0] else "plant_none"
            figures.note(f"{name}_accuracy_percent", rounded(result["accuracy"] or 0.0))
            figures.note(f"{name}_caught_percent", rounded(result["caught_percent"] or 0.0))
            figures.note(f"{name}_honest_shunned", rounded(result["honest_shunned"] or 0.0))
    for way, calm in calms(results).items():
        key = f"calm_{way.replace(' ', '_')}"
        figures.note(f"{key}_accuracy_percent", rounded(calm.accuracy))
        figures.note(f"{key}_false_quarantine_percent", rounded(100 * calm.shunned_share))
        figures.note(f"{key}_evicted", calm.evicted)
    return figures


def _note_cell(figures: Figures, name: str, mode: str, result: Result) -> None:
    figures.note(f"{name}_mean_percent", rounded(result["mean"] or 0.0))
    figures.note(f"{name}_worst_node_percent", rounded(result["worst"] or 0.0))
    success, caught = result["success"], result["caught_after"]
    if success is not None:
        figures.note(f"{name}_backdoor_percent", rounded(success))
    if caught is not None:
        figures.note(f"{name}_caught_after_rounds", rounded(caught))
    if watches(mode):
        figures.note(f"{name}_false_quarantine_percent", rounded(100 * (result["false_share"] or 0.0)))


def show_published(results: Mapping[Task, Result], console: Console) -> None:
    """The two published rules again, and ours beside them."""
    scores = {task.words[:4]: result["mean"] or 0.0 for task, result in results.items() if task.kind == "published"}
    if not scores:
        return
    rows = []
    for rule in PUBLISHED_RULES:
        rows.append([rule, *(_score(scores.get((rule, column, 10, 2))) for column in COLUMNS)])
        if rule in byzantine_published.PUBLISHED:
            said = byzantine_published.PUBLISHED[rule]
            rows.append([f"{rule}, as published", *(f"{said[name]:.1f}" for name in COLUMNS)])
    show_table(console, "10 honest, 2 Byzantine, Erdős–Rényi, one class a node", ["rule", *COLUMNS], rows)
    beside = byzantine_published.PUBLISHED_ALIE
    rows = [["ios, as published", *(f"{said:.1f}" for said in beside.values())]]
    rows += [[rule, *(_score(scores.get((rule, "alie", 20, liars))) for liars in beside)] for rule in ("ios", DEFAULT)]
    show_table(console, "ALIE beside 20 honest", ["rule", *map(str, beside)], rows)


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"
