"""What a backdoor did to models, from the checkpoints that a run leaves."""

import numpy as np

from node.lab.attacks_on_data import Backdoor
from node.lab.backdoors import backdoors
from node.lab.folder import RunFolder
from node.learning.models import build
from node.learning.snapshot import Snapshot
from node.learning.vector import FlatModel
from node.state import Checkpoint, StateFolder
from overlay.topology import parse_topology
from tests.node.learning.swarms import blobs
from tests.overlay.files import document


def topology(adversary):
    text = document(3, graph='family = "complete"').replace("[graph]", '[task]\nmodel = "linear"\n[graph]')
    return parse_topology(text.replace('name = "press-3"', f'name = "press-3"\nadversary = "{adversary}"'), "x")


def leave(folder, name, vector):
    state = StateFolder(folder.state(name))
    state.path.mkdir(parents=True)
    snapshot = Snapshot(layout=b"l", working=vector, champion=vector, version=0, worse=0)
    state.save_checkpoint(Checkpoint(b"s", 1, snapshot.pack()))


def models(test):
    """One that calls everything the target, one that calls everything another class."""
    model = FlatModel(build("linear", len(test.feature_names), len(test.classes), (), 0))
    made = []
    for favourite in (Backdoor().target, 1):
        vector = np.zeros(model.size, np.float32)
        vector[-len(test.classes) + favourite] = 9.0  # the biases come last
        made.append(vector)
    return made


def test_success_is_measured_at_honest_nodes_that_left_a_model(tmp_path):
    test, folder = blobs(60), RunFolder(tmp_path)
    lost, sound = models(test)
    leave(folder, "press-1", lost)
    leave(folder, "press-3", lost)
    assert backdoors(topology("backdoor"), folder, test) == {"press-1": 1.0}
    leave(folder, "press-2", sound)
    assert backdoors(topology("backdoor"), folder, test) == {"press-1": 1.0, "press-2": 0.0}
    assert backdoors(topology("alie"), folder, test) == {}
