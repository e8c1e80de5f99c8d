"""The process that trains without a swarm, on the shards of a run: what the swarm is compared with."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from multiprocessing.connection import wait
from pathlib import Path

from node.files import write_atomically
from node.lab.backdoors import backdoors
from node.lab.child import redirect_output
from node.lab.folder import RunFolder
from node.lab.launch import BaselineOrder
from node.lab.record import Baselines
from node.learning.baselines import centralised, local_only
from node.learning.data import load_saved, split_holdout
from overlay.topology import parse_topology


def run_baselines(order: BaselineOrder) -> None:
    """Leave the accuracies in the run's `lab/baselines.json`."""
    os.setsid()
    threading.Thread(target=_end_with_the_lab, daemon=True).start()
    gc.freeze()
    gc.enable()
    folder = RunFolder(Path(order.folder))
    redirect_output(folder.baselines_log)
    topology = parse_topology(order.topology, "the lab's topology")
    task, seed, rounds = topology.task, topology.seed, topology.rounds.count
    shards = [
        split_holdout(load_saved(folder.shard(name)), task.holdout, seed, node)
        for node, name in enumerate(topology.names)
    ]
    test = load_saved(folder.test)
    alone = local_only(task, shards, test, rounds=rounds, seed=seed)
    baselines = Baselines(
        centralised=centralised(task, shards, test, rounds=rounds, seed=seed),
        local_only_mean=sum(alone) / len(alone),
        local_only=dict(zip(topology.names, alone, strict=True)),
        backdoor=backdoors(topology, folder, test),
    )
    write_atomically(folder.baselines, baselines.model_dump_json().encode(), durable=False)


def _end_with_the_lab() -> None:
    """A lab that was killed leaves no training behind. A thread: the training has no event loop to watch from."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
