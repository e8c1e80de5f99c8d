"""On what machine, and how figures are kept: a flat object, units in the names, a ratio beside every absolute time."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

Value = str | int | float | bool
_ABSOLUTE_TIME = re.compile(r"_s(_|$)")


class BenchmarkError(Exception):
    """A benchmark cannot be measured here; the message says why and what to do."""


class Figures:
    """The figures of one benchmark, in the order in which they were noted.

    An absolute time means nothing on another machine, so it is only taken together with what it is compared with.
    """

    def __init__(self, benchmark: str) -> None:
        self._values: dict[str, Value] = {"benchmark": benchmark, **describe_machine()}

    def note(self, name: str, value: Value) -> None:
        """Keep a figure that is no time. Raises `ValueError` for a time or a name that is taken."""
        if _ABSOLUTE_TIME.search(name):
            raise ValueError(f"{name} is an absolute time: use compare, which keeps the ratio beside it")
        self._put(name, value)

    def compare(self, measure: str, unit: str, **two: float) -> float:
        """Keep `MEASURE_UNIT_A`, `MEASURE_UNIT_B` and `MEASURE_B_over_A` of A=…, B=…; give back that ratio.

        Raises `ValueError` unless both are above 0: a ratio to nothing says that something was not measured.
        """
        (first, one), (second, other) = two.items()
        if not (one > 0 and other > 0):
            raise ValueError(f"{measure} of {first} and {second} is {one} and {other} {unit}; both must be above 0")
        self._put(f"{measure}_{unit}_{first}", rounded(one))
        self._put(f"{measure}_{unit}_{second}", rounded(other))
        ratio = rounded(other / one)
        self._put(f"{measure}_{second}_over_{first}", ratio)
        return ratio

    def beside(self, name: str, value: float, **yardsticks: float) -> None:
        """Keep `NAME`, and `NAME_over_YARDSTICK` for each; both of one unit, which is in the name.

        Raises `ValueError` without a yardstick, and unless all are above 0.
        """
        if not yardsticks or not all(number > 0 for number in (value, *yardsticks.values())):
            raise ValueError(f"{name} = {value} needs yardsticks, and all above 0: {yardsticks}")
        self._put(name, rounded(value))
        for yardstick, other in yardsticks.items():
            self._put(f"{name}_over_{yardstick}", rounded(value / other))

    def _put(self, name: str, value: Value) -> None:
        if name in self._values:
            raise ValueError(f"{name} was noted before")
        self._values[name] = value

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def write(self, folder: Path, name: str) -> Path:
        """Write FOLDER/NAME.json; a reader finds the old file or the whole new one."""
        path = folder / f"{name}.json"
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(self._values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        draft.replace(path)
        return path


def rounded(value: float, digits: int = 4) -> float:
    """`value` to `digits` significant digits: no benchmark here knows more."""
    return float(f"{value:.{digits}g}")


def describe_machine() -> dict[str, Value]:
    """What the figures depend on besides the program. `load_1_min` tells whether others were at work when it began."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "libp2p": version("libp2p"),
        "trio": version("trio"),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def show_table(console: Console, title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; the first column is text, the others numbers."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
