"""What crosses from the lab to its child processes: plain orders, and one entry point.

The parent imports this module and must not import torch; the fork server has it imported already (`PRELOAD`), so the
imports inside the functions cost a child nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

PRELOAD = ["node.lab.warm", "node.lab.child", "node.lab.baselines_child", "node.cli.main"]
"""Imported once in the fork server. The CLI too: multiprocessing imports the program's main script in every child."""

API = "node.api.face"
"""Imported there too where nodes have one: FastAPI costs most of a second."""

FOREST = "detect.peers.forest"
"""Imported there too where nodes watch each other's vectors: scikit-learn costs a second."""


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """Be this node. Text alone, so that nothing of the parent's state is carried over."""

    topology: str
    name: str
    folder: str
    peers: tuple[tuple[str, str], ...]
    rows: int
    """As `node.rows.public_rows`."""
    api: str = ""
    """HOST:PORT of its API; empty: it has none."""


@dataclass(frozen=True, slots=True)
class BaselineOrder:
    """Train without a swarm on the run's shards and leave the accuracies in `folder`."""

    topology: str
    folder: str


def be_node(order: NodeOrder) -> None:
    """The main function of a node's process."""
    from node.lab.child import run_child  # noqa: PLC0415 - imports torch, which the parent never does

    run_child(order)


def measure_baselines(order: BaselineOrder) -> None:
    """The main function of the process that computes the baselines."""
    from node.lab.baselines_child import run_baselines  # noqa: PLC0415 - as above

    run_baselines(order)
