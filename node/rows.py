"""Whose rows are whose: a topology's data set, dealt to its nodes. No torch: a lab does this while torch imports."""

from __future__ import annotations

from collections.abc import Sequence

from node.learning.data import Dataset, Split, load_dataset
from node.learning.dataset import Indices, concatenate
from node.learning.partition import partition
from overlay.topology import Topology


def load_task(topology: Topology, source: str | None = None) -> Split:
    """The data set of `topology`, or of one device's own `source`. Raises DataError."""
    task = topology.task
    return load_dataset(source or task.dataset, label=task.label, column=task.column, classes=task.classes)


def own_rows(topology: Topology, name: str) -> Dataset:
    """The rows of one node: all of its own file, or its part of the common data set's training rows.

    Every device works its part out alone, and they agree: the partition follows from the seed.
    """
    if topology.task.partition == "local":
        split = load_task(topology, topology.node(name).data)
        return concatenate([split.train, split.test])  # no global test set outside the lab
    split = load_task(topology)
    return split.train.take(_parts(topology, split.train)[topology.index(name)])


def everybodys_rows(topology: Topology) -> tuple[list[Dataset], Dataset]:
    """The training rows of every node, in the order of the file, and the global test set: what a lab lays out."""
    if topology.task.partition == "local":
        splits = [load_task(topology, node.data) for node in topology.nodes]
        return [split.train for split in splits], concatenate([split.test for split in splits])
    split = load_task(topology)
    return [split.train.take(rows) for rows in _parts(topology, split.train)], split.test


def public_rows(topology: Topology) -> int:
    """Rows that a node trains on, as all may know: what the file says, or an even part of the common training rows.

    A node's own number is not public: whether a row is there or not may not show, not even in it.
    """
    if topology.privacy.rows is not None or topology.privacy.dp != "record":
        return even_part(topology, 0)
    return even_part(topology, len(load_task(topology).train))


def even_part(topology: Topology, rows: int) -> int:
    """As `public_rows`, where the common data set has `rows` training rows."""
    even = round(rows * (1 - topology.task.holdout) / len(topology.nodes))
    return topology.privacy.rows or max(1, even)


def _parts(topology: Topology, train: Dataset) -> Sequence[Indices]:
    task = topology.task
    return partition(
        train.labels,
        task.partition,
        len(topology.nodes),
        topology.seed,
        alpha=task.alpha,
        shards_per_node=task.shards_per_node,
        groups=train.groups,
    )
