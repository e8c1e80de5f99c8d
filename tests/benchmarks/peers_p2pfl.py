"""A swarm of p2pfl nodes, run from inside p2pfl's own virtual environment; it imports nothing of ours.

`tests.benchmarks.peers` starts it. All nodes live in one process, each with its gRPC server on loopback, joined into a
ring, as in p2pfl's own MNIST example. It reports on a file, one JSON object a line; `at` is seconds on the wall clock.

    ready     the nodes are built, joined, and know of each other
    started   the first round begins
    round     the last node has finished round number `round`
    finished  all have; `accuracy` holds one figure a node, on the common test set
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
import types
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

POLL_S = 0.01
FIRST_STAGE, LAST_STAGE = "VoteTrainSetStage", "RoundFinishedStage"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("partition", type=Path, help=".npz: features_I, labels_I a node, test_features, test_labels")
    parser.add_argument("events", type=Path, help="file to report on")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--settings", type=json.loads, default={}, help='as in p2pfl: {"gossip": {"ttl": 10}}')
    options = parser.parse_args()
    with np.load(options.partition, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    with options.events.open("w", encoding="utf-8") as events:
        run(options, arrays, events)


def run(options: argparse.Namespace, arrays: dict[str, np.ndarray], events: IO[str]) -> None:
    """Build the swarm, let it learn, report. Ends with every node stopped, also when interrupted."""

    def report(event: str, **fields: object) -> None:
        events.write(json.dumps({"event": event, "at": time.time(), **fields}) + "\n")
        events.flush()

    prepare(options.settings)
    from p2pfl.utils.topologies import TopologyFactory, TopologyType
    from p2pfl.utils.utils import wait_convergence

    nodes = build_nodes(options, arrays)
    try:
        for node in nodes:
            node.start()
        TopologyFactory.connect_nodes(TopologyFactory.generate_matrix(TopologyType.RING, len(nodes)), nodes)
        wait_convergence(nodes, len(nodes) - 1, only_direct=False, wait=60)
        report("ready")
        nodes[0].set_start_learning(rounds=options.rounds, epochs=options.epochs, trainset_size=len(nodes))
        watch(nodes, report)
        report("finished", accuracy=[accuracy(node, arrays) for node in nodes])
    finally:
        for node in nodes:
            node.stop()


def prepare(settings: dict[str, dict[str, Any]]) -> None:
    """Set what must be set before any other import of p2pfl."""
    from p2pfl.settings import Settings

    Settings.general.DISABLE_RAY = True

    # p2pfl imports torchvision for a downloader that is not used here, and torchvision's wheels fit one build of torch
    # only. An empty module stands in, once lightning and torchmetrics have looked for the real one in vain.
    import lightning
    import torchmetrics  # noqa: F401

    vision, datasets = types.ModuleType("torchvision"), types.ModuleType("torchvision.datasets")
    vision.datasets = datasets
    sys.modules.update({"torchvision": vision, "torchvision.datasets": datasets})
    from p2pfl.learning.frameworks.pytorch import lightning_learner

    lightning_learner.Trainer = functools.partial(lightning.Trainer, enable_progress_bar=False)
    Settings.set_from_dict(settings)


def build_nodes(options: argparse.Namespace, arrays: dict[str, np.ndarray]) -> list[Any]:
    """One node a `labels_I`, with equal initial weights."""
    import torch
    from datasets import Dataset, DatasetDict
    from p2pfl.communication.protocols.protobuff.grpc import GrpcCommunicationProtocol
    from p2pfl.learning.dataset.p2pfl_dataset import P2PFLDataset
    from p2pfl.learning.frameworks.pytorch.lightning_model import LightningModel
    from p2pfl.node import Node

    count = sum(name.startswith("labels_") for name in arrays)
    classes = 1 + max(int(arrays[name].max()) for name in arrays if "labels" in name)
    sizes = [arrays["test_features"].shape[1], *options.hidden, classes]
    test = Dataset.from_dict({"x": arrays["test_features"], "y": arrays["test_labels"]})
    nodes = []
    for i in range(count):
        torch.manual_seed(0)
        model = LightningModel(perceptron(sizes, options.learning_rate, options.momentum))
        train = Dataset.from_dict({"x": arrays[f"features_{i}"], "y": arrays[f"labels_{i}"]})
        data = P2PFLDataset(DatasetDict({"train": train, "test": test}), batch_size=options.batch_size)
        nodes.append(Node(model, data, protocol=GrpcCommunicationProtocol(), addr="127.0.0.1"))
    return nodes


def perceptron(sizes: list[int], learning_rate: float, momentum: float) -> Any:
    """The lab's perceptron (ReLU, cross entropy, SGD with momentum) as p2pfl wants it: a Lightning module."""
    import lightning
    import torch
    from torch import nn

    class Perceptron(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.lr_rate = learning_rate  # p2pfl looks for this name when it describes an experiment
            layers: list[nn.Module] = []
            for inputs, outputs in pairwise(sizes):
                layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            self.layers = nn.Sequential(*layers[:-1])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=learning_rate, momentum=momentum)

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self(batch["x"]), batch["y"])

        def test_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
            logits = self(batch["x"])
            self.log("test_loss", nn.functional.cross_entropy(logits, batch["y"]))
            self.log("test_metric", (logits.argmax(dim=1) == batch["y"]).float().mean())

    return Perceptron()


def watch(nodes: list[Any], report: Any) -> None:
    """Poll what every node notes of its own stages, report the rounds; returns when all nodes are done."""
    started, closed = False, 0
    while True:
        histories = [list(node.learning_workflow.history) for node in nodes]
        if not started and any(FIRST_STAGE in history for history in histories):
            started = True
            report("started")
        done = min(history.count(LAST_STAGE) for history in histories)
        for number in range(closed, done):
            report("round", round=number)
        closed = done
        if all(node.learning_workflow.finished for node in nodes):
            return
        time.sleep(POLL_S)


def accuracy(node: Any, arrays: dict[str, np.ndarray]) -> float:
    import torch

    module = node.get_model().get_model().eval()
    with torch.no_grad():
        predicted = module(torch.from_numpy(arrays["test_features"])).argmax(dim=1).numpy()
    return float((predicted == arrays["test_labels"]).mean())


if __name__ == "__main__":
    main()
