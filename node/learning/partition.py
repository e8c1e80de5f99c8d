"""How the training rows of one data set are dealt to the nodes of a testbed. Deterministic from the seed; no torch.

Every partition is disjoint and covering: each row goes to exactly one node.
"""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from node.learning.dataset import Indices
from node.learning.errors import PartitionError

LEAST_ROWS = 2
"""A node needs one row to train on and one to hold out."""
TARGET_ROWS = 10
"""What a node gets at least where there are enough rows, so that its holdout says something."""
KINDS = ("iid", "dirichlet", "shards", "column", "local")


def partition(
    labels: NDArray[np.int64],
    kind: str,
    nodes: int,
    seed: int,
    *,
    alpha: float = 0.5,
    shards_per_node: int = 2,
    groups: NDArray[np.str_] | None = None,
) -> tuple[Indices, ...]:
    """Row numbers (ascending) of each node; `labels` and `groups` have shape (n,).

    `iid`: equal random parts. `dirichlet`: label skew, see `dirichlet`. `shards`: rows sorted by label, cut into
    `nodes * shards_per_node` equal shards, each node drawing `shards_per_node` (McMahan et al. 2017, section 3).
    `column`: each distinct value of `groups` goes to one node. `local`: everything to the one node.
    Raises `PartitionError` where some node could not get `LEAST_ROWS` rows.
    """
    if nodes < 1 or len(labels) < nodes * LEAST_ROWS:
        raise PartitionError(
            f"{nodes} nodes need at least {LEAST_ROWS} rows each, {max(nodes, 1) * LEAST_ROWS} in all; "
            f"the data set has {len(labels)}",
            "Use fewer nodes or more data.",
        )
    rng = np.random.default_rng([seed, 0xDEA1])
    match kind:
        case "iid":
            parts = np.array_split(rng.permutation(len(labels)), nodes)
        case "dirichlet":
            parts = dirichlet(labels, nodes, alpha, rng)
        case "shards":
            parts = _shards(labels, nodes, shards_per_node, rng)
        case "column":
            parts = _by_column(groups, nodes)
        case "local":
            parts = _local(len(labels), nodes)
        case _:
            near = get_close_matches(kind, KINDS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(KINDS)}."
            raise PartitionError(f"no partition {kind!r}", hint)
    return tuple(np.sort(part).astype(np.int64) for part in parts)


def dirichlet(labels: NDArray[np.int64], nodes: int, alpha: float, rng: np.random.Generator) -> list[Indices]:
    """Label skew: the share of class k that each node gets is drawn from Dirichlet(alpha) over the nodes.

    Hsu et al. 2019 ("Measuring the effects of non-identical data distribution") in the form that keeps every row
    (Yurochkin et al. 2019; Li et al. 2022, NIID-Bench): sizes differ from node to node as well. alpha → 0 leaves each
    class to one node, alpha → ∞ is iid. Nodes below min(`TARGET_ROWS`, n // nodes) are topped up with random rows of
    the largest: redrawing until all have enough, as others do, never ends for many nodes or a small alpha.
    """
    if not (np.isfinite(alpha) and alpha > 0):
        raise PartitionError(f"alpha = {alpha}", "Give a finite number above 0.")
    parts: list[list[Indices]] = [[] for _ in range(nodes)]
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        shares = rng.dirichlet(np.full(nodes, alpha))
        if not np.isfinite(shares).all():  # an alpha below about 1e-300 underflows; its limit is one node a class
            shares = np.eye(nodes)[rng.integers(nodes)]
        cuts = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
        for part, piece in zip(parts, np.split(rows, np.minimum(cuts, len(rows))), strict=True):
            part.append(piece)
    dealt = [rng.permutation(np.concatenate(part)) for part in parts]
    return _top_up(dealt, min(TARGET_ROWS, len(labels) // nodes))


def _top_up(parts: list[Indices], least: int) -> list[Indices]:
    """Move rows from the end of the largest part until every part has `least`; the parts come shuffled."""
    sizes = np.array([len(part) for part in parts])
    for poor in np.flatnonzero(sizes < least):
        while sizes[poor] < least:
            rich = int(sizes.argmax())
            moved = min(least - int(sizes[poor]), max(1, int(sizes[rich]) - least))
            parts[poor] = np.concatenate([parts[poor], parts[rich][-moved:]])
            parts[rich] = parts[rich][:-moved]
            sizes[poor] += moved
            sizes[rich] -= moved
    return parts


def _shards(labels: NDArray[np.int64], nodes: int, each: int, rng: np.random.Generator) -> list[Indices]:
    if each < 1 or nodes * each > len(labels):
        raise PartitionError(
            f"{nodes} nodes of {each} shards need at least {nodes * each} rows, the data set has {len(labels)}",
            "Use fewer nodes or fewer shards_per_node.",
        )
    shuffled = rng.permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    shards = np.array_split(by_label, nodes * each)
    order = rng.permutation(len(shards)).reshape(nodes, each)
    parts = [np.concatenate([shards[shard] for shard in own]) for own in order]
    return parts if each > 1 else _top_up(parts, LEAST_ROWS)


def _by_column(groups: NDArray[np.str_] | None, nodes: int) -> list[Indices]:
    """Values in sorted order to nodes in theirs; more values than nodes are packed, the largest first, evenly."""
    if groups is None:
        raise PartitionError('partition "column" needs the name of a column', "Set `column` in [task].")
    values, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(values) < nodes:
        shown = ", ".join(values[:10].tolist())
        raise PartitionError(
            f"the column has {len(values)} distinct values ({shown}) for {nodes} nodes",
            "Use no more nodes than values.",
        )
    owner = np.arange(len(values))
    if len(values) > nodes:
        load = np.zeros(nodes, dtype=np.int64)
        for value in np.argsort(-counts, kind="stable"):
            owner[value] = load.argmin()
            load[owner[value]] += counts[value]
    parts = [np.flatnonzero(owner[codes] == node) for node in range(nodes)]
    for node, part in enumerate(parts):
        if len(part) < LEAST_ROWS:
            raise PartitionError(
                f"by this column node {node} gets {len(part)} rows, and {LEAST_ROWS} are needed",
                "Use fewer nodes or another column.",
            )
    return parts


def _local(rows: int, nodes: int) -> list[Indices]:
    if nodes != 1:
        raise PartitionError(
            f'partition "local" gives all rows to one node, not to {nodes}', "Let each node load its own data."
        )
    return [np.arange(rows)]
