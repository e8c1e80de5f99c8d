"""What privacy costs: a round of `private-8` against one of `open-8`, for models of 5 k to 1 M parameters.

Both are whole labs of eight processes that learn the digits in cliques of eight, without noise. Runs take turns, and
what is told of each kind and size is the median over its runs of the median over nodes and rounds.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from overlay.topology import Topology, load_topology
from tests.benchmarks.lab import lab_up
from tests.benchmarks.machine import Figures, show_table
from tests.benchmarks.scaling import HIDDEN, LIMIT_S, Cost, cost, parameters

TOPOLOGIES: Final = Path(__file__).parents[2] / "topologies"
KINDS: Final = {"plain": "open-8.toml", "private": "private-8.toml"}
PLAN: Final = {"5k": (12, 3), "100k": (8, 2), "1m": (6, 1)}
"""Rounds of a run, and how many runs of each kind, by the size of the model as in `scaling.HIDDEN`."""
DEADLINE_S: Final = 60.0
"""Of a round: on a busy machine nobody is to be given up."""


def lab_of(kind: str, size: str, rounds: int) -> Topology:
    """The topology of a kind with another model."""
    topology = load_topology(TOPOLOGIES / KINDS[kind])
    return topology.model_copy(
        update={
            "task": topology.task.model_copy(update={"hidden": (HIDDEN[size],)}),
            "rounds": topology.rounds.model_copy(update={"count": rounds, "deadline_s": DEADLINE_S}),
        }
    )


def run(folder: Path, console: Console) -> Figures:
    """Twelve runs of the lab."""
    figures = Figures("private")
    rows = []
    with tempfile.TemporaryDirectory(prefix="grapevine-private-") as temporary:
        for size, (rounds, runs) in PLAN.items():
            costs: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
            for turn in range(runs):
                for kind, measured in costs.items():
                    name = f"{kind}-{size}-{turn}"
                    console.print(f"{kind}, {parameters(HIDDEN[size]):,} parameters, {turn + 1} of {runs}")
                    lab = lab_up(lab_of(kind, size, rounds), Path(temporary) / name, limit_s=LIMIT_S)
                    measured.append(cost(lab.closed))
            figures.note(f"parameters_{size}", parameters(HIDDEN[size]))
            seconds = {kind: statistics.median(one.round_s for one in measured) for kind, measured in costs.items()}
            sent = {kind: statistics.median(one.bytes_sent_per_node for one in all_) for kind, all_ in costs.items()}
            rows.append([
                f"{parameters(HIDDEN[size]):,}", f"{seconds['plain']:.3g}", f"{seconds['private']:.3g}",
                f"{figures.compare(f'round_{size}', 's', **seconds):.2f}",
                f"{figures.compare(f'sent_{size}', 'bytes', **sent):.2f}",
            ])  # fmt: skip
    title = "A round of eight nodes, in the open and shared in secret"
    show_table(console, title, ["parameters", "plain s", "private s", "private ÷ plain", "bytes ÷ plain"], rows)
    return figures
