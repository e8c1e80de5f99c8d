"""What `topology show` shows: measures beside each other, the drawing below; or the same for a program."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.cli.drawing import DRAWN_NODES_MAX, draw
from node.cli.measures import CONSENSUS_RATIO, EXACT_NODES_MAX, Measures, measure
from overlay.families import Torus
from overlay.topology import Topology


def view(topology: Topology, width: int) -> RenderableType:
    """Title, measures and drawing for a terminal of `width` columns."""
    measures = measure(topology)
    title = Text.assemble((topology.name, "bold"), "  ", (_subtitle(topology), "dim"))
    parts: list[RenderableType] = [title, Text(), _table(measures), Text(), draw(topology, width)]
    if isinstance(topology.graph, Torus) and measures.nodes <= DRAWN_NODES_MAX:
        parts += [Text(), Text("dotted edges leave on one side and come back on the other", "dim", justify="center")]
    return Group(Text(), *parts, Text())


def as_document(topology: Topology) -> str:
    """One JSON object: the measures, units in their names, and the edges by node name."""
    measures = measure(topology)
    names = topology.names
    document = {
        "name": topology.name,
        "seed": topology.seed,
        "family": topology.graph.family,
        "committee": topology.consensus.committee,
        "digest": topology.digest().hex(),
        **dataclasses.asdict(measures),
        "committees": [
            [{"size": size, "members": count} for size, count in _counted(phase)] for phase in measures.committees
        ],
        "consensus_ratio": CONSENSUS_RATIO,
        "edge_list": [[names[i], names[j]] for i, j in topology.edges()],
    }
    return json.dumps(document, indent=2)


def _subtitle(topology: Topology) -> str:
    parameters = topology.graph.model_dump(exclude={"family", "edges"}, exclude_none=True)
    graph = ", ".join([topology.graph.family, *(f"{key} {value}" for key, value in parameters.items())])
    size = f" of {topology.consensus.size}" if topology.consensus.size else ""
    return f"{graph} · {topology.consensus.committee}{size}, {topology.consensus.rule} · seed {topology.seed}"


def _table(m: Measures) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row("nodes", f"{m.nodes:,}", "committees", _committees(m))
    table.add_row("edges", f"{m.edges:,}", "models sent a round", f"{m.messages:,}")
    table.add_row("degree", _degree(m), "spectral gap", _gap(m))
    table.add_row("diameter", f"{'' if m.diameter_exact else '≥ '}{m.diameter}", "rounds to consensus", _rounds(m))
    return table


def _degree(m: Measures) -> str:
    low, high = min(m.degrees), max(m.degrees)
    return f"{low}" if low == high else f"{low} to {high}, mean {2 * m.edges / m.nodes:.1f}"


def _gap(m: Measures) -> str:
    return f"only up to {EXACT_NODES_MAX} nodes" if m.spectral_gap is None else f"{m.spectral_gap:.3g}"


def _rounds(m: Measures) -> str:
    if m.rounds_to_consensus is None:
        return f"only up to {EXACT_NODES_MAX} nodes" if m.spectral_gap is None else "never"
    return f"{m.rounds_to_consensus:,}  (disagreement × {CONSENSUS_RATIO:g})"


def _committees(m: Measures) -> str:
    """`of 4, then of 4`: the sizes of each phase; a member alone in a phase rests."""
    phases = []
    for phase in m.committees:
        sizes = [size for size in phase if size > 1]
        low, high = min(sizes), max(sizes)
        phases.append(f"of {low}" if low == high else f"of {low} to {high}")
    return ", then ".join(phases)


def _counted(phase: tuple[int, ...]) -> list[tuple[int, int]]:
    return sorted(Counter(phase).items())
