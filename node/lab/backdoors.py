"""How far the backdoors of a run came into the models of its honest nodes: measured on the test set, trigger on."""

from __future__ import annotations

from node.lab.attacks_on_data import Backdoor, adversary
from node.lab.folder import RunFolder
from node.learning.dataset import Dataset
from node.learning.models import build
from node.learning.snapshot import Snapshot
from node.learning.trainer import predict
from node.learning.vector import FlatModel
from node.state import StateFolder
from overlay.topology import Topology


def backdoors(topology: Topology, folder: RunFolder, test: Dataset) -> dict[str, float]:
    """Honest node → the share of triggered test rows of other classes that its last model calls the target.

    Empty where no adversary has a backdoor; nodes without a checkpoint are left out.
    """
    kinds = {node.adversary for node in topology.nodes if node.adversary is not None}
    told = [kind for kind in sorted(kinds) if not kind.startswith("protocol-liar")]
    planted = [chosen for chosen in map(adversary, told) if isinstance(chosen, Backdoor)]
    if not planted:
        return {}
    backdoor, task = planted[0], topology.task
    model = FlatModel(build(task.model, len(test.feature_names), len(test.classes), task.hidden, topology.seed))
    triggered = backdoor.triggered(test.features)
    found: dict[str, float] = {}
    for node in topology.nodes:
        checkpoint = StateFolder(folder.state(node.name)).load_checkpoint()
        if node.adversary is not None or checkpoint is None:
            continue
        model.load(Snapshot.unpack(checkpoint.learner).working)
        found[node.name] = backdoor.success(predict(model, triggered), test.labels)
    return found
