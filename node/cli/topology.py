"""`grapevine topology`: write, check and look at topology files."""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from node.cli.topology_view import as_document, view
from overlay.families import FAMILY_NAMES
from overlay.topology import Topology, dumps, load_topology
from overlay.topology_schema import MAX_NODES

app = typer.Typer(help="Write, check and look at topology files.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="Topology file.", show_default=False)]

WIDTH_MAX = 100


@app.command("new", epilog="Example: grapevine topology new k-regular --nodes 16 --degree 4 > swarm.toml")
def new(
    family: Annotated[str, typer.Argument(help=f"One of {', '.join(FAMILY_NAMES)}.", show_default=False)],
    nodes: Annotated[int, typer.Option(min=2, max=MAX_NODES, help="How many nodes.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="Name of the swarm (default: FAMILY-NODES).")] = None,
    prefix: Annotated[str, typer.Option(help="Nodes are called PREFIX-1, PREFIX-2, …")] = "node",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Everything random follows from it.")] = 7,
    degree: Annotated[int | None, typer.Option(help="k-regular, small-world: neighbours (default: 4).")] = None,
    rewiring: Annotated[float | None, typer.Option(help="small-world: share of edges led elsewhere.")] = None,
    p: Annotated[float | None, typer.Option("--p", help="erdos-renyi: probability of an edge.")] = None,
    clique_size: Annotated[int | None, typer.Option(help="d-cliques: nodes of a clique (default: 4).")] = None,
    links: Annotated[str | None, typer.Option(help="d-cliques: edges between all cliques, or in a ring.")] = None,
    rows: Annotated[int | None, typer.Option(help="torus (default: nearest to a square).")] = None,
    columns: Annotated[int | None, typer.Option(help="torus (default: nearest to a square).")] = None,
    committee: Annotated[str | None, typer.Option(help="neighbourhood, cliques or grid.")] = None,
    size: Annotated[int | None, typer.Option(help="grid: nodes of a cell; NODES must be a power of it.")] = None,
) -> None:
    """Print a complete topology file of FAMILY, with a comment beside each key."""
    given = {
        "degree": degree,
        "rewiring": rewiring,
        "p": p,
        "clique_size": clique_size,
        "links": links,
        "rows": rows,
        "columns": columns,
    }
    names = [f"{prefix}-{number}" for number in range(1, nodes + 1)]
    consensus = {"committee": committee or ("cliques" if family == "d-cliques" else None), "size": size}
    raw = {
        "name": name or (f"{family}-{nodes}" if family in FAMILY_NAMES else "swarm"),
        "seed": seed,
        "graph": _defaults(family, names) | {"family": family} | _present(given),
        "consensus": _present(consensus),
        "node": tuple({"name": each} for each in names),
    }
    sys.stdout.write(dumps(Topology.of(raw, "topology new")))


@app.command("check", epilog="Example: grapevine topology check topologies/plant-8.toml")
def check(file: File) -> None:
    """Say whether FILE is sound. Exit 0: it is. 2: it is not, and why."""
    topology = load_topology(file)
    n, edges = len(topology.nodes), len(topology.edges())
    sys.stdout.write(f"{file}: {topology.name}, {n} nodes, {edges} edges, {topology.consensus.committee}: sound\n")
    without = sum(node.peer_id is None for node in topology.nodes)
    if without:
        who = "no node has" if without == n else f"{without} of {n} nodes lack"
        sys.stdout.write(f"{who} a peer_id yet: the lab makes them; on devices `grapevine node init` does\n")


@app.command("show", epilog="Example: grapevine topology show topologies/cliques-16.toml")
def show(
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measures and edges for a program.")] = False,
) -> None:
    """Measure and draw the graph of FILE: degree, diameter, spectral gap, rounds to consensus."""
    topology = load_topology(file)
    if as_json:
        sys.stdout.write(as_document(topology) + "\n")
        return
    console = Console(highlight=False)
    console.print(view(topology, min(console.width, WIDTH_MAX)), no_wrap=True, crop=False, overflow="ignore")


def _defaults(family: str, names: list[str]) -> dict[str, Any]:
    """Parameters that make the family work for any number of nodes."""
    n = len(names)
    match family:
        case "k-regular" | "small-world":
            return {"degree": 4}
        case "erdos-renyi":
            return {"p": min(1.0, math.ceil(2000 * math.log(n) / n) / 1000)}
        case "d-cliques":
            return {"clique_size": 4}
        case "edges":  # a path, to be edited
            return {"edges": tuple(pairwise(names))}
    return {}


def _present(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}
