"""The Byzantine benchmark's matrix as tables and as a heat map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from tests.benchmarks.byzantine_tasks import Result, Task
from tests.benchmarks.machine import show_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

T = TypeVar("T")
_MODES = 5
"""In a table beside each other."""
_DARK = 0.45
"""Brightness below which white is easier to read than black."""


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
        for start in range(0, len(part.modes), _MODES):
            _table(console, part, part.modes[start : start + _MODES])


def _table(console: Console, part: Part, modes: list[str]) -> None:
    """A row an adversary."""
    rows = [[adversary, *(_cell(part, mode, adversary) for mode in modes)] for adversary in part.adversaries]
    least = [part.worst(mode) for mode in modes]
    rows.append(["worst attack", *(f"{mean:.1f} {adversary}" for mean, adversary in least)])
    rows.append(["backdoor succeeds", *(_shown(part.number(mode, "backdoor", "success"), ".1f") for mode in modes)])
    title = "accuracy, mean (worst node); q: all liars in quarantine after so many rounds; s: honest shunned, per cent"
    show_table(console, f"{part.title}: {title}", ["adversary", *modes], rows)


def _cell(part: Part, mode: str, adversary: str) -> str:
    mean, worst = part.number(mode, adversary, "mean"), part.number(mode, adversary, "worst")
    if mean is None or worst is None:
        return "–"
    caught, shunned = part.number(mode, adversary, "caught_after"), part.number(mode, adversary, "false_share")
    told = f"{mean:.1f} ({worst:.1f})"
    told += f" q{caught:.0f}" if caught is not None else ""
    return told + (f" s{100 * shunned:.2f}" if shunned else "")


def watches(mode: str) -> bool:
    """Whether nodes of the mode watch and shun."""
    return mode.startswith("open") and mode != "open mean"


def _shown(number: float | None, form: str) -> str:
    return "–" if number is None else format(number, form)


def heat_map(results: Mapping[Task, Result], path: Path) -> None:
    """A row of panels a data set and partition: accuracy (mean, below it the worst node), what a backdoor comes to, and
    rounds until all liars are in quarantine (below: how often honest peers are shunned).
    """
    import matplotlib as mpl  # slow, and drawn with once

    mpl.use("Agg")
    from matplotlib import pyplot

    parts = list(parts_of(results))
    if not parts:
        return
    width = max(len(part.adversaries) for part in parts)
    heights = [0.34 * len(part.modes) + 1.1 for part in parts]
    figure, axes = pyplot.subplots(
        len(parts), 3, figsize=(4 + 0.85 * width, sum(heights)), layout="constrained", squeeze=False,
        width_ratios=[width, 1, width], height_ratios=heights,
    )  # fmt: skip
    for row, part in enumerate(parts):
        for column, panel in enumerate(_panels(part)):
            _draw(axes[row, column], panel)
        axes[row, 0].set_yticks(range(len(part.modes)), part.modes, fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


@dataclass(frozen=True)
class Panel:
    """What is drawn in a field of the map: a number each, and what is written on it."""

    title: str
    columns: list[str]
    numbers: list[list[float | None]]
    texts: list[list[str]]
    scale: tuple[float, float, str]
    """The colours and from what to what they go."""


def _panels(part: Part) -> Iterator[Panel]:
    def each(tell: Callable[[str, str], T], adversaries: list[str] = part.adversaries) -> list[list[T]]:
        return [[tell(mode, adversary) for adversary in adversaries] for mode in part.modes]

    def number(name: str) -> Callable[[str, str], float | None]:
        return lambda mode, adversary: part.number(mode, adversary, name)

    def accuracy(mode: str, adversary: str) -> str:
        numbers = part.number(mode, adversary, "mean"), part.number(mode, adversary, "worst")
        return "\n".join(_shown(number, ".0f") for number in numbers if number is not None)

    def caught(mode: str, adversary: str) -> str:
        late, shunned = part.number(mode, adversary, "caught_after"), part.number(mode, adversary, "false_share")
        return f"{'' if late is None else format(late, '.0f')}" + (f"\n{100 * shunned:.2g} %" if shunned else "")

    yield Panel(f"{part.title}: accuracy, % (below: worst node)", part.adversaries, each(number("mean")),
                each(accuracy), (60, 95, "RdYlGn"))  # fmt: skip
    yield Panel("back-\ndoor, %", [""], each(number("success"), ["backdoor"]),
                each(lambda mode, _: _shown(part.number(mode, "backdoor", "success"), ".0f"), [""]),
                (0, 100, "RdYlGn_r"))  # fmt: skip
    yield Panel("rounds until all liars are in quarantine (below: honest peers shunned)", part.adversaries,
                each(number("caught_after")), each(caught), (1, 30, "YlGn_r"))  # fmt: skip


def _draw(axis: Axes, panel: Panel) -> None:
    low, high, colours = panel.scale
    grid = [[float("nan") if value is None else value for value in line] for line in panel.numbers]
    axis.set_facecolor("#f0f0f0")
    drawn = axis.imshow(grid, vmin=low, vmax=high, cmap=colours, aspect="auto")
    axis.set_title(panel.title, fontsize=9, loc="left")
    axis.set_xticks(range(len(panel.columns)), panel.columns, fontsize=7, rotation=35, ha="right")
    axis.set_yticks([])
    for y, line in enumerate(panel.texts):
        for x, text in enumerate(line):
            red, green, blue, _ = (1, 1, 1, 1) if panel.numbers[y][x] is None else drawn.cmap(drawn.norm(grid[y][x]))
            colour = "w" if 0.3 * red + 0.6 * green + 0.1 * blue < _DARK else "k"
            axis.text(x, y, text, ha="center", va="center", fontsize=7, linespacing=0.9, color=colour)
