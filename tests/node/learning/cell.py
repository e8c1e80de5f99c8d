"""A cell of nodes in one process: what each contributes is added up, and nothing but the sum is looked at."""

import numpy as np
import torch

from crypto.mechanisms import noise_shares
from crypto.norm_proof import ProofParameters
from crypto.shamir import Packing
from node.learning.dataset import Dataset
from node.learning.dp_contribution import SharedStep
from node.learning.dp_plan import Cell, RecordPlan
from node.learning.models import build
from node.learning.trainer import Rows, evaluate
from node.learning.vector import FlatModel

PROOF = ProofParameters(Packing(8, 2, 3, liars=1, absentees=1), clip=128_000, bound_bits=20, shift=9)
"""A fine lattice: what rounding costs falls with C."""
CELL = Cell(members=8, shares=noise_shares(8, 2, 1, 1), room=PROOF.honest_norm)


def randbytes(seed):
    """Bytes that repeat in every run, as a test wants it and a node must never have it."""
    return np.random.default_rng(seed).bytes


def run(shards, test, plan, *, model, hidden=(), learning_rate, momentum, seed, ledgers):
    """Test accuracy of the common model after `plan.steps` rounds of cells of 8 over `shards`, each a node's rows.

    ledgers: a list of releases for each node, in place of its ledger.
    """
    torch.set_num_threads(1)  # as a learner does: more threads only fight
    network = FlatModel(build(model, len(test.feature_names), len(test.classes), hidden, seed))
    mechanism = plan.distributed(network.size, learning_rate, CELL)
    secret = randbytes(seed)
    steps = [
        SharedStep(network, Rows(own), plan, mechanism, learning_rate, lambda _, r, to=to: to.append(r), secret)
        for own, to in zip(shards, ledgers, strict=True)
    ]
    velocity = np.zeros(network.size, np.float32)  # over what was opened, which all have seen
    encoding = mechanism.encoding(CELL.members)
    for number in range(plan.steps):
        made = [step.make(number)[0] for step in steps]
        assert max(np.linalg.norm(u.astype(float)) for u in made) <= PROOF.honest_norm
        sums = [sum(made[at : at + 8]) for at in range(0, len(made), 8)]
        opened = np.mean([encoding.decode(total, 8) for total in sums], axis=0, dtype=np.float32)
        velocity = np.float32(momentum) * velocity + opened
        network.load(network.vector() + velocity)
    return evaluate(network, Rows(test)).accuracy


def plan_for(shards, epsilon, *, clip, sampling, steps):
    """The plan for nodes that know their average number of rows."""
    average = sum(map(len, shards)) / len(shards)
    return RecordPlan.within(epsilon, 1e-5, clip=clip, sampling=sampling, steps=steps, rows=average)


def train_rows(shards) -> list[Dataset]:
    return [shard.train for shard in shards]
