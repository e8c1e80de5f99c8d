"""Rules × adversaries × modes × partitions, on digits and MNIST; and a published setting beside ours.

Softmax regression at 20 honest and 4 Byzantine nodes, in virtual time. By default a part that ends in minutes is run;
with GRAPEVINE_FULL=1 all of it (an hour or two). Accuracy is that of honest nodes on the official test rows, after the
last round. In private the liars go to the bound of the norm proof, 1.7 C, where that serves them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from node.lab.attacks_on_data import ATTACKS
from tests.benchmarks import byzantine_calm, byzantine_plant
from tests.benchmarks import byzantine_published as published
from tests.benchmarks.byzantine_learning import Problem, problem
from tests.benchmarks.byzantine_modes import MODES, Outcome, Screen, Setting
from tests.benchmarks.machine import BenchmarkError, Figures, rounded, show_table

DEFAULT = "fading-mean"
"""The rule of the open mode that is put forward."""
OPEN = Setting(rate=0.05)
PRIVATE = Setting(rate=0.05, clip=0.4, momentum=0.7)
MODE_SETTINGS: dict[str, tuple[str, Setting]] = {
    "open mean": ("open", replace(OPEN, rule="mean", watch=False)),
    f"open {DEFAULT}": ("open", replace(OPEN, rule=DEFAULT)),
    "open nnm+geometric-median": ("open", replace(OPEN, rule="nnm+geometric-median")),
    "private bound": ("private", PRIVATE),
    "private bound, group test": ("private", replace(PRIVATE, group_test=True)),
    "private screen": ("private", replace(PRIVATE, screen=Screen(rows=128, noise=0.1, least=6))),
    "private screen, exact": ("private", replace(PRIVATE, screen=Screen())),
}
MORE_RULES = (
    *("median", "trimmed-mean", "multi-krum", "faba", "ios", "geometric-median", "centred-clipping"),
    *("self-centred-clipping", "clipped-sum", "balance", "nnm+median", "bucketing+geometric-median"),
)
PARTITIONS = ("dirichlet-1.0", "dirichlet-0.3", "classes")


@dataclass(frozen=True)
class Extent:
    """How much is run."""

    grids: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int]]
    """By data set: modes, adversaries, partitions, rounds."""
    published: int
    """Iterations of the published setting; 0: left out."""
    beside: tuple[int, ...]
    """Numbers of liars beside 20 honest nodes."""


QUICK = Extent(
    {
        "digits": (tuple(MODE_SETTINGS), ("none", "gaussian", "sign-flip", "scaling", "alie", "ipm", "slow-drift",
                                          "label-flip", "backdoor"), PARTITIONS, 40),
        "mnist": (("open mean", f"open {DEFAULT}", "private bound", "private screen"),
                  ("none", "gaussian", "sign-flip", "scaling", "alie", "ipm", "slow-drift", "label-flip", "backdoor"),
                  PARTITIONS[:2], 100),
    },
    0, (),
)  # fmt: skip
FULL = Extent(
    {name: ((*MODE_SETTINGS, *(f"open {rule}" for rule in MORE_RULES)), ("none", *ATTACKS), PARTITIONS, rounds)
     for name, rounds in (("digits", 80), ("mnist", 100))},
    5000, tuple(published.PUBLISHED_ALIE),
)  # fmt: skip
Key = tuple[str, str, str, str]
"""Data set, partition, mode, adversary."""


def setting_of(mode: str) -> tuple[str, Setting]:
    """The kind of mode and its setting, by its name."""
    if mode in MODE_SETTINGS:
        return MODE_SETTINGS[mode]
    return "open", replace(OPEN, rule=mode.removeprefix("open "))


def matrix(data: Problem, extent: Extent, console: Console) -> Iterator[tuple[Key, Outcome]]:
    """Every cell of the data set's grid, as it is measured."""
    modes, adversaries, partitions, rounds = extent.grids[data.name]
    for partition in partitions:
        for mode in modes:
            kind, setting = setting_of(mode)
            for adversary in adversaries:
                outcome = MODES[kind](data, replace(setting, partition=partition, rounds=rounds), adversary)
                console.print(f"{data.name}, {partition}, {mode}, {adversary}: {told(outcome)}", highlight=False)
                yield (data.name, partition, mode, adversary), outcome


def told(outcome: Outcome) -> str:
    """In a line."""
    parts = [f"{outcome.mean:.1f} (worst node {outcome.worst:.1f})"]
    if outcome.success is not None:
        parts.append(f"backdoor {outcome.success:.1f}")
    if outcome.caught_after is not None:
        parts.append(f"all caught, after {outcome.caught_after:.1f} rounds")
    if outcome.false_share:
        parts.append(f"honest shunned in {100 * outcome.false_share:.2f} % of rounds")
    return ", ".join(parts)


def run(folder: Path, console: Console) -> Figures:
    """What GRAPEVINE_FULL says."""
    full = bool(os.environ.get("GRAPEVINE_FULL"))
    extent = FULL if full else QUICK
    console.print(f"Running the {'full' if full else 'quick'} part; GRAPEVINE_FULL=1 runs all.", highlight=False)
    results: dict[Key, Outcome] = {}
    for name in extent.grids:
        try:
            data = problem(name)
        except BenchmarkError as error:
            console.print(f"{name} is left out: {error}", highlight=False, markup=False)
            continue
        results |= dict(matrix(data, extent, console))
    figures = figures_of(results, full=full)
    if "digits" in extent.grids:
        nobody_lies(figures, console)
        default_lab(figures, console)
    tables(results, console)
    heat_map(results, folder / "byzantine.png")
    if extent.published:
        beside_published(extent, figures, console)
    return figures


def figures_of(results: dict[Key, Outcome], *, full: bool) -> Figures:
    """Flat; per cent, and shares in per cent."""
    figures = Figures("byzantine")
    figures.note("full", full)
    figures.note("default_rule", DEFAULT)
    figures.note("honest", OPEN.honest)
    figures.note("byzantine", OPEN.liars)
    for key, outcome in results.items():
        name = "_".join(key).replace(" ", "_").replace(",", "")
        figures.note(f"{name}_mean_percent", rounded(outcome.mean))
        figures.note(f"{name}_worst_node_percent", rounded(outcome.worst))
        if outcome.success is not None:
            figures.note(f"{name}_backdoor_percent", rounded(outcome.success))
        if outcome.caught_after is not None:
            figures.note(f"{name}_caught_after_rounds", rounded(outcome.caught_after))
        if key[2].startswith("open") and key[2] != "open mean":
            figures.note(f"{name}_false_quarantine_percent", rounded(100 * outcome.false_share))
    return figures


def parts_of(results: dict[Key, Outcome]) -> Iterator[tuple[str, list[str], list[str], dict[tuple[str, str], Outcome]]]:
    """By data set and partition: a title, the modes, the adversaries and the outcomes."""
    for data, partition in dict.fromkeys((key[0], key[1]) for key in results):
        part = {key[2:]: outcome for key, outcome in results.items() if key[:2] == (data, partition)}
        modes = list(dict.fromkeys(mode for mode, _ in part))
        yield f"{data}, {partition}", modes, list(dict.fromkeys(adversary for _, adversary in part)), part


def tables(results: dict[Key, Outcome], console: Console) -> None:
    for title, modes, adversaries, part in parts_of(results):
        rows = []
        for mode in modes:
            worst = min(part[mode, adversary].mean for adversary in adversaries)
            cells = [f"{part[mode, adversary].mean:.1f}" for adversary in adversaries]
            success = part[mode, "backdoor"].success if "backdoor" in adversaries else None
            rows.append([mode, *cells, f"{worst:.1f}", "–" if success is None else f"{success:.1f}"])
        show_table(
            console, f"{title}: accuracy in per cent", ["mode", *adversaries, "worst", "backdoor succeeds"], rows
        )


def heat_map(results: dict[Key, Outcome], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    parts = list(parts_of(results))
    height = sum(0.32 * len(modes) + 1.4 for _, modes, _, _ in parts)
    figure, axes = pyplot.subplots(
        len(parts), 1, figsize=(13, height), layout="constrained", squeeze=False,
        height_ratios=[len(modes) + 4 for _, modes, _, _ in parts],
    )  # fmt: skip
    for axis, (title, modes, adversaries, part) in zip(axes[:, 0], parts, strict=True):
        grid = [[part[mode, adversary].mean for adversary in adversaries] for mode in modes]
        axis.imshow(grid, vmin=10, vmax=95, cmap="RdYlGn", aspect="auto")
        axis.set_xticks(range(len(adversaries)), adversaries, fontsize=8)
        axis.set_yticks(range(len(modes)), modes, fontsize=8)
        axis.set_title(title, fontsize=10)
        for row, values in enumerate(grid):
            for column, value in enumerate(values):
                axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def nobody_lies(figures: Figures, console: Console) -> None:
    """What honest nodes make of each other over 200 rounds at Dirichlet 0.1."""
    for name, calm in byzantine_calm.measured(problem("digits")):
        key = f"calm_{name.replace(' ', '_')}"
        figures.note(f"{key}_accuracy_percent", rounded(calm.accuracy))
        figures.note(f"{key}_false_quarantine_percent", rounded(100 * calm.shunned_share))
        figures.note(f"{key}_evicted", calm.evicted)
        told_ = (
            f"{calm.accuracy:.1f}, shunned in {100 * calm.shunned_share:.2f} % of peer-rounds, {calm.evicted} evicted"
        )
        console.print(f"nobody lies, {byzantine_calm.ROUNDS} rounds, {name}: {told_}", highlight=False)


def default_lab(figures: Figures, console: Console) -> None:
    """The file of `make lab`, twenty times for each strength of its sign flipper."""
    plant = byzantine_plant.plant()
    for strength in (None, 1.0, 2.0, 3.0):
        runs = [plant.run(strength, seed) for seed in range(20)]
        name = "none" if strength is None else f"flip_{strength:g}"
        figures.note(f"plant_{name}_accuracy_percent", rounded(sum(run.accuracy for run in runs) / len(runs)))
        figures.note(f"plant_{name}_caught_percent", rounded(5.0 * sum(run.caught is not None for run in runs)))
        figures.note(f"plant_{name}_honest_shunned", sum(run.honest_shunned for run in runs))
        console.print(f"plant-8, strength {strength or 0:g}: {byzantine_plant.told(runs)}", highlight=False)


def beside_published(extent: Extent, figures: Figures, console: Console) -> None:
    """The two published rules again, and ours beside them."""
    try:
        data = problem("mnist", symmetric=True)
    except BenchmarkError:
        return
    columns = ("none", *published.ATTACKS)
    figures.note("published_iterations", extent.published)
    rows = []
    for rule in (*published.PUBLISHED, DEFAULT, "mean"):
        scores = []
        for adversary in columns:
            score = published.learn(data, published.Swarm.drawn(10, 2), rule, adversary, extent.published)
            figures.note(f"published_setting_{rule}_{adversary}_percent", rounded(score.mean))
            console.print(f"published setting, {rule}, {adversary}: {score.mean:.1f}", highlight=False)
            scores.append(f"{score.mean:.1f}")
        rows.append([rule, *scores])
        if rule in published.PUBLISHED:
            rows.append([f"{rule}, as published", *(f"{published.PUBLISHED[rule][name]:.1f}" for name in columns)])
    show_table(console, "10 honest, 2 Byzantine, Erdős–Rényi, one class a node", ["rule", *columns], rows)
    rows = [["ios, as published", *(f"{published.PUBLISHED_ALIE[liars]:.1f}" for liars in extent.beside)]]
    for rule in ("ios", DEFAULT):
        scores = []
        for liars in extent.beside:
            score = published.learn(data, published.Swarm.drawn(20, liars), rule, "alie", extent.published)
            figures.note(f"published_setting_{rule}_alie_beside_20_with_{liars}_percent", rounded(score.mean))
            scores.append(f"{score.mean:.1f}")
        rows.append([rule, *scores])
    show_table(console, "ALIE beside 20 honest", ["rule", *(str(liars) for liars in extent.beside)], rows)
