"""What a round costs beyond training, as nodes and parameters grow: a complete graph, every node averages with all.

The yardstick is the time that the bytes of one round of the whole swarm, n (n - 1) vectors of float32, take through one
raw TCP stream on this machine, in messages of the same size.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from node.journal import RoundClosed
from overlay.topology import parse_topology
from tests.benchmarks.lab import lab_up
from tests.benchmarks.machine import Figures, show_table
from tests.benchmarks.transport import flow

NODES = (4, 8, 16)
HIDDEN = {"5k": 64, "100k": 1333, "1m": 13333}
"""Width of the one hidden layer that gives about so many parameters on the digits."""
FEATURES, CLASSES = 64, 10
ROUNDS = 10
WARM_UP = 2
"""Rounds that are not counted: connections come up in them."""
LIMIT_S = 400.0
RAW_VOLUME_BYTES = 128 * 2**20
RAW_MOST_MESSAGES = 4000


def parameters(hidden: int) -> int:
    """Of a perceptron FEATURES - hidden - CLASSES with biases."""
    return (FEATURES + 1) * hidden + (hidden + 1) * CLASSES


def topology_text(nodes: int, hidden: int) -> str:
    """A topology file: complete graph, one clique, the digits dealt evenly."""
    head = f"""\
name = "scaling-{nodes}"
seed = 1
[task]
dataset = "digits"
partition = "iid"
model = "mlp"
hidden = [{hidden}]
[rounds]
count = {ROUNDS}
deadline_s = 60.0
[graph]
family = "complete"
[consensus]
committee = "cliques"
"""
    return head + "".join(f'[[node]]\nname = "n{i + 1}"\n' for i in range(nodes))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one configuration, medians over nodes and rounds."""

    beyond_training_s: float
    round_s: float
    bytes_sent_per_node: float


def cost(closed: dict[str, list[RoundClosed]]) -> Cost:
    """From the journals of a run, without the first rounds."""
    events = [event for rounds in closed.values() for event in rounds if event.round >= WARM_UP]
    return Cost(
        beyond_training_s=statistics.median(event.round_s - event.train_s for event in events),
        round_s=statistics.median(event.round_s for event in events),
        bytes_sent_per_node=statistics.median(event.bytes_sent for event in events),
    )


def raw_mb_per_s(vector_bytes: int) -> float:
    """A raw TCP stream, in messages of `vector_bytes`."""
    count = max(8, min(RAW_MOST_MESSAGES, RAW_VOLUME_BYTES // vector_bytes))
    return statistics.median(flow("raw", vector_bytes, count).mb_per_s for _ in range(3))


def run(folder: Path, console: Console) -> Figures:
    """Nine runs of the lab."""
    figures = Figures("scaling")
    figures.note("rounds", ROUNDS)
    rows = []
    with tempfile.TemporaryDirectory(prefix="grapevine-scaling-") as temporary:
        place = Path(temporary)
        for size, hidden in HIDDEN.items():
            vector_bytes = 4 * parameters(hidden)
            rate = raw_mb_per_s(vector_bytes)
            figures.note(f"parameters_{size}", parameters(hidden))
            for nodes in NODES:
                name = f"{nodes}_nodes_{size}"
                console.print(f"{nodes} nodes, {parameters(hidden)} parameters")
                topology = parse_topology(topology_text(nodes, hidden), f"{name}.toml")
                measured = cost(lab_up(topology, place / name, limit_s=LIMIT_S).closed)
                raw_s = nodes * (nodes - 1) * vector_bytes / 1e6 / rate
                ratio = figures.compare(f"beyond_training_{name}", "s", raw=raw_s, lab=measured.beyond_training_s)
                figures.compare(f"round_{name}", "s", raw=raw_s, lab=measured.round_s)
                figures.note(f"sent_{name}_bytes_per_node_round", round(measured.bytes_sent_per_node))
                rows.append([
                    str(nodes), f"{parameters(hidden):,}", f"{measured.round_s:.3g}",
                    f"{measured.beyond_training_s:.3g}", f"{raw_s:.3g}", f"{ratio:.3g}",
                ])  # fmt: skip
    show_table(
        console,
        "A round of the lab, complete graph",
        ["nodes", "parameters", "round s", "beyond training s", "its bytes over raw TCP s", "ratio"],
        rows,
    )
    plot(figures, folder / "scaling.png")
    return figures


def plot(figures: Figures, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for colour, size in zip(("tab:blue", "tab:orange", "tab:green"), HIDDEN, strict=True):
        for who, style in (("lab", "o-"), ("raw", "x:")):
            times = [float(figures[f"beyond_training_{nodes}_nodes_{size}_s_{who}"]) for nodes in NODES]
            axis.plot(NODES, times, style, color=colour, label=f"{size} parameters" if who == "lab" else None)
    axis.set(xscale="log", yscale="log", xticks=NODES, xticklabels=NODES, xlabel="nodes", ylabel="seconds a round")
    axis.set_title("Beyond training (line) and the same bytes over raw TCP (dots)", fontsize=10)
    axis.minorticks_off()
    axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
