"""What the Byzantine benchmark measures, piece by piece: each a task of a few words, with a few numbers as its result.

A task says all that its result depends on besides the program, and draws with seeds of its own; so tasks can be done in
any order, by several processes, today and tomorrow (`byzantine_results`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TypeAlias

from node.lab.attacks_on_data import ATTACKS
from tests.benchmarks import byzantine_calm, byzantine_plant
from tests.benchmarks import byzantine_published as published
from tests.benchmarks.byzantine_learning import Problem, problem
from tests.benchmarks.byzantine_modes import MODES, Screen, Setting

DEFAULT = "fading-mean"
"""The rule of the open mode that is put forward."""
OPEN = Setting(rate=0.05)
PRIVATE = Setting(rate=0.05, clip=0.4, momentum=0.7)
MODE_SETTINGS: dict[str, tuple[str, Setting]] = {
    "open mean": ("open", replace(OPEN, rule="mean", watch=False)),
    f"open {DEFAULT}": ("open", replace(OPEN, rule=DEFAULT)),
    "open nnm+geometric-median": ("open", replace(OPEN, rule="nnm+geometric-median")),
    "private bound": ("private", PRIVATE),
    "private screen": ("private", replace(PRIVATE, screen=Screen(rows=128, noise=0.1, least=6))),
    "private bound, group test": ("private", replace(PRIVATE, group_test=True)),
    "private screen, exact": ("private", replace(PRIVATE, screen=Screen())),
}
MORE_RULES = (
    *("median", "trimmed-mean", "multi-krum", "faba", "ios", "geometric-median", "centred-clipping"),
    *("self-centred-clipping", "clipped-sum", "balance", "nnm+median", "bucketing+geometric-median"),
)
ADVERSARIES = ("none", *ATTACKS)
FIRST_ADVERSARIES = (
    *("none", "gaussian", "sign-flip", "scaling", "alie", "ipm", "slow-drift", "label-flip", "backdoor"),
)
Result: TypeAlias = dict[str, float | None]


@dataclass(frozen=True)
class Task:
    """`kind` says who does it; `words` are that one's arguments."""

    kind: str
    words: tuple[str | int | float, ...]

    def __str__(self) -> str:
        return ", ".join([self.kind, *map(str, self.words)])


def grid(
    data: str, rounds: int, modes: Iterable[str], adversaries: Iterable[str], partitions: Iterable[str]
) -> list[Task]:
    """Every cell of a matrix, partition by partition: `words` are data, partition, mode, adversary, rounds."""
    return [
        Task("matrix", (data, partition, mode, adversary, rounds))
        for partition in partitions
        for mode in modes
        for adversary in adversaries
    ]


def setting_of(mode: str) -> tuple[str, Setting]:
    """The kind of mode and its setting, by its name."""
    if mode in MODE_SETTINGS:
        return MODE_SETTINGS[mode]
    return "open", replace(OPEN, rule=mode.removeprefix("open "))


@cache
def _problem(name: str, symmetric: bool = False) -> Problem:
    """Read once a process."""
    return problem(name, symmetric=symmetric)


def _matrix(data: str, partition: str, mode: str, adversary: str, rounds: int) -> Result:
    kind, setting = setting_of(mode)
    outcome = MODES[kind](_problem(data), replace(setting, partition=partition, rounds=rounds), adversary)
    return dict(asdict(outcome))


def _published(rule: str, adversary: str, honest: int, liars: int, iterations: int) -> Result:
    drawn = published.Swarm.drawn(honest, liars)
    return asdict(published.learn(_problem("mnist", symmetric=True), drawn, rule, adversary, iterations))


def _calm(way: str, seed: int, rounds: int) -> Result:
    return asdict(byzantine_calm.once(_problem("digits"), way, seed, rounds))


def _plant(strength: float, runs: int) -> Result:
    plant = byzantine_plant.plant()
    found = [plant.run(strength or None, seed) for seed in range(runs)]
    caught = [run.caught + 1 for run in found if run.caught is not None]
    return {
        "accuracy": sum(run.accuracy for run in found) / runs,
        "caught_percent": 100 * len(caught) / runs,
        "first": min(caught, default=None),
        "last": max(caught, default=None),
        "honest_shunned": float(sum(run.honest_shunned for run in found)),
    }


WORKERS: Mapping[str, Callable[..., Result]] = {
    "matrix": _matrix,
    "published": _published,
    "calm": _calm,
    "plant": _plant,
}


def carry_out(task: Task) -> Result:
    """The numbers. Raises BenchmarkError where the data are not there."""
    return WORKERS[task.kind](*task.words)
