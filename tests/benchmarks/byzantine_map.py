"""The Byzantine benchmark's matrix as tables and as a heat map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.benchmarks.byzantine_tasks import Result, Task
from tests.benchmarks.machine import show_table


@dataclass(frozen=True)
class Part:
    """The cells of one data set and partition, as far as they are measured."""

    title: str
    modes: list[str]
    adversaries: list[str]
    cells: Mapping[tuple[str, str], Result]
    """By mode and adversary."""

    def number(self, mode: str, adversary: str, name: str) -> float | None:
        """That of the cell; None where it has none."""
        return self.cells.get((mode, adversary), {}).get(name)

    def worst(self, mode: str) -> tuple[float, str]:
        """The least mean accuracy, and under which adversary."""
        return min((result["mean"] or 0.0, adversary) for (at, adversary), result in self.cells.items() if at == mode)


def parts_of(results: Mapping[Task, Result]) -> Iterator[Part]:
    """In the order of the tasks."""
    cells = {task.words: result for task, result in results.items() if task.kind == "matrix"}
    for data, partition in dict.fromkeys((words[0], words[1]) for words in cells):
        part = {
            (str(mode), str(adversary)): result
            for (at, split, mode, adversary, _), result in cells.items()
            if (at, split) == (data, partition)
        }
        modes = list(dict.fromkeys(mode for mode, _ in part))
        yield Part(f"{data}, {partition}", modes, list(dict.fromkeys(adversary for _, adversary in part)), part)


def tables(results: Mapping[Task, Result], console: Console) -> None:
    """Accuracy, mean and worst node; what a backdoor comes to; rounds to quarantine; honest nodes shunned."""
    for part in parts_of(results):
        _table(console, part, "mean accuracy of honest nodes, per cent", "mean", worst=True)
        _table(console, part, "accuracy of the worst honest node, per cent", "worst")
        _table(console, part, "rounds until all liars were in quarantine (–: not all were)", "caught_after", open_=True)
        _table(console, part, "honest peers shunned, per cent of peer-rounds", "false_share", scale=100, open_=True)


def _table(
    console: Console, part: Part, what: str, name: str, *, scale: float = 1, worst: bool = False, open_: bool = False
) -> None:
    """Of one number; `open_`: for modes that watch alone; `worst`: with the worst attack and the backdoor's success."""
    rows = []
    for mode in part.modes:
        if open_ and not watches(mode):
            continue
        row = [mode, *(_shown(part.number(mode, adversary, name), scale, 1) for adversary in part.adversaries)]
        if worst:
            least, adversary = part.worst(mode)
            row += [f"{least:.1f} {adversary}", _shown(part.number(mode, "backdoor", "success"), 1, 1)]
        rows.append(row)
    if rows:
        more = ["worst attack", "backdoor succeeds"] if worst else []
        show_table(console, f"{part.title}: {what}", ["mode", *part.adversaries, *more], rows)


def watches(mode: str) -> bool:
    """Whether nodes of the mode watch and shun."""
    return mode.startswith("open") and mode != "open mean"


def _shown(number: float | None, scale: float, digits: int) -> str:
    return "–" if number is None else f"{scale * number:.{digits}f}"


def heat_map(results: Mapping[Task, Result], path: Path) -> None:
    """A row of panels a data set and partition: accuracy (mean, and below it the worst node), what a backdoor comes to,
    rounds until all liars are in quarantine, and how often honest peers are shunned.
    """
    import matplotlib as mpl  # slow, and drawn with once

    mpl.use("Agg")
    from matplotlib import pyplot

    parts = list(parts_of(results))
    if not parts:
        return
    width = max(len(part.adversaries) for part in parts)
    heights = [max(len(part.modes), 3) for part in parts]
    figure, axes = pyplot.subplots(
        len(parts), 4, figsize=(9 + 1.35 * width, sum(0.42 * height + 1.5 for height in heights)),
        layout="constrained", squeeze=False, width_ratios=[width * 1.15, 1.6, width, width], height_ratios=heights,
    )  # fmt: skip
    panels: list[tuple[str, str, str, float, float, str, float]] = [
        ("accuracy, % (below: worst node)", "mean", "RdYlGn", 10, 95, ".0f", 1),
        ("backdoor succeeds, %", "success", "RdYlGn_r", 0, 100, ".0f", 1),
        ("rounds until all liars in quarantine", "caught_after", "YlOrBr", 1, 30, ".0f", 1),
        ("honest peers shunned, % of rounds", "false_share", "Purples", 0, 5, ".1f", 100),
    ]
    for row, part in enumerate(parts):
        for column, (what, name, colours, low, high, form, scale) in enumerate(panels):
            axis = axes[row, column]
            modes = [mode for mode in part.modes if column < 2 or watches(mode)]
            adversaries = ["backdoor"] if name == "success" else part.adversaries
            values = [[part.number(mode, adversary, name) for adversary in adversaries] for mode in modes]
            grid = [[float("nan") if value is None else scale * value for value in line] for line in values]
            if not modes:
                axis.axis("off")
                continue
            axis.set_facecolor("#eeeeee")
            axis.imshow(grid, vmin=low, vmax=high, cmap=colours, aspect="auto")
            axis.set_xticks(range(len(adversaries)), adversaries, fontsize=7, rotation=45, ha="right")
            axis.set_yticks(range(len(modes)), modes if column != 1 else [""] * len(modes), fontsize=7)
            axis.set_title(f"{part.title}: {what}" if column != 1 else "backdoor\nsucceeds, %", fontsize=9, loc="left")
            for y, mode in enumerate(modes):
                for x, adversary in enumerate(adversaries):
                    text = format(grid[y][x], form) if values[y][x] is not None else ""
                    if name == "mean" and values[y][x] is not None:
                        text += f"\n{part.number(mode, adversary, 'worst'):.0f}"
                    axis.text(x, y, text, ha="center", va="center", fontsize=6, linespacing=0.9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
