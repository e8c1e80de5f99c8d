"""Attacks on real records: was this one in the data (membership inference), and what did it look like (inversion).

All honest members take one step on their records of the digits, from one public model. The attacker sees a vector that
is the victim's step, or a sum with it in.

Membership: a likelihood ratio of two Gaussians, record in or out, for what was seen (LiRA: Carlini et al., "Membership
Inference Attacks From First Principles", 2022), with mean and covariance of gradients estimated from the attacker's own
records. Inversion: of a batch of one, ∂L/∂W_k = (∂L/∂b_k) x, so a division gives the record (Phong et al. 2018; Geiping
et al. 2020, proposition 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crypto.fixedpoint import FixedPoint
from crypto.shamir import Packing
from node.learning.data import Dataset, load_dataset
from node.learning.dp_contribution import SharedStep
from node.learning.dp_plan import Cell, RecordPlan
from node.learning.models import build
from node.learning.trainer import Rows, Trainer
from node.learning.vector import FlatModel
from overlay.topology_schema import Task
from tests.audit.games import DELTA, RATE, Pair, contribution, guaranteed, proof, secret, shared_noise
from tests.audit.shamir_view import Dealt, run
from tests.consensus.private_cell import terms_of

Floats = npt.NDArray[np.float64]
CLIP = 0.5
NOBODYS = 300
TASK = Task(
    dataset="digits", model="linear", learning_rate=RATE, momentum=0.0, weight_decay=0.0, local_epochs=1,
    batch_size=512,
)  # fmt: skip


@cache
def digits() -> tuple[Floats, npt.NDArray[np.int64], Dataset]:
    """Features (n, 64), labels (n,) and the data set, shuffled."""
    split = load_dataset("digits").train
    order = np.random.default_rng(11).permutation(len(split.labels))
    return split.features[order].astype(np.float64), split.labels[order], split


def rows(numbers: npt.NDArray[np.int64]) -> Rows:
    """Some of the records."""
    features, labels, split = digits()
    chosen = features[numbers].astype(np.float32)
    return Rows(Dataset(chosen, labels[numbers], classes=split.classes, feature_names=split.feature_names))


def model() -> FlatModel:
    """Logistic regression, as it is built."""
    return FlatModel(build("linear", 64, 10, (), 3))


def gradients(numbers: npt.NDArray[np.int64], clip: float = CLIP) -> Floats:
    """The clipped gradient (b, d) of each of some records, as anybody can work it out: (p − y) ⊗ (x, 1), shortened."""
    features, labels = digits()[0][numbers], digits()[1][numbers]
    values = model().vector().astype(np.float64)
    logits = features @ values[:640].reshape(10, 64).T + values[640:]
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    back = raised / raised.sum(axis=1, keepdims=True) - np.eye(10)[labels]
    weights = (back[:, :, None] * features[:, None, :]).reshape(len(numbers), -1)
    each = np.concatenate([weights, back], axis=1)
    norms = np.linalg.norm(each, axis=1, keepdims=True)
    clipped: Floats = each * np.minimum(1.0, clip / norms)
    return clipped


@dataclass(frozen=True)
class Records:
    """Which records the members hold; the attacker's own are for estimates, those of nobody for comparison."""

    held: tuple[npt.NDArray[np.int64], ...]
    attackers: npt.NDArray[np.int64]
    nobodys: npt.NDArray[np.int64]

    @classmethod
    def deal(cls, counts: list[int], seed: int) -> Records:
        """Records at random: so many to each member."""
        numbers = np.random.default_rng([seed, 0x4EC]).permutation(len(digits()[1]))
        edges = np.cumsum([0, *counts])
        held = tuple(numbers[a:b] for a, b in pairwise(edges))
        rest = numbers[edges[-1] :]
        return cls(held, rest[NOBODYS:], rest[:NOBODYS])


def membership(
    records: Records, seen: Floats, members: Collection[int], *, noise: float = 0.0, clip: float = CLIP
) -> Pair:
    """Scores of records of `members` and of records of nobody.

    `seen` (d,) holds the sum of the gradients of all records of `members`, clipped to `clip`, and `noise` (deviation).
    """
    known = gradients(records.attackers, clip)
    mean = known.mean(axis=0)
    centred = known - mean
    count = sum(len(records.held[member]) for member in members)
    ridge = noise**2 + 1e-4
    spread = count * (centred.T @ centred) / len(known) + ridge * np.eye(mean.size)
    direction = np.linalg.solve(spread, seen - count * mean)

    def scores(numbers: npt.NDArray[np.int64]) -> Floats:
        each = gradients(numbers, clip) - mean
        # Half the length of each in the same metric: records of long gradients move the sum more either way.
        own = np.einsum("ij,ij->i", each, np.linalg.solve(spread, each.T).T)
        return each @ direction - own / 2

    return scores(np.concatenate([records.held[member] for member in members])), scores(records.nobodys)


def exact_sum(records: Records, members: Collection[int]) -> Floats:
    """Without noise: the sum of the clipped gradients, as a cell opens it to who subtracts the colluders' own."""
    return np.sum([gradients(records.held[member]).sum(axis=0) for member in members], axis=0)


def opened(records: Records, packing: Packing, colluders: Collection[int], target: float | None, seed: int) -> Floats:
    """The same sum from a private round, with distributed noise for ε = `target` in this one step, or none."""
    rows_each = float(np.mean([len(held) for held in records.held]))
    network, proved = model(), proof(packing)
    plan = RecordPlan.within(target or 1.0, DELTA, clip=CLIP, sampling=1.0, steps=1, rows=rows_each)
    m = packing.members
    mechanism = shared_noise(plan, network.size, Cell(members=m, shares=guaranteed(packing), room=proved.honest_norm))
    step_size = plan.step_size(RATE)
    brought = {}
    for member in range(m):
        if target is None:
            vector = (-step_size * exact_sum(records, [member])).astype(np.float32)
            brought[member] = Dealt(vector)
            continue
        step = SharedStep(
            network, rows(records.held[member]), plan, mechanism, RATE, lambda *_: None, secret(seed, member)
        )
        brought[member] = Dealt(*contribution(step, 0))
    fixed = mechanism.carrying(m) if target is not None else FixedPoint(2.0**16, 8.0, m)
    terms = replace(terms_of(packing, size=network.size), proof=proved, fixed=fixed)
    view = run(terms, brought, colluders, seed=seed)
    return view.honest_sum() / (-step_size * fixed.scale)


def noise_of(records: Records, packing: Packing, colluders: Collection[int], target: float) -> float:
    """The deviation of the noise in what `opened` gives, which everybody can work out."""
    plan = RecordPlan.within(target, DELTA, clip=CLIP, sampling=1.0, steps=1, rows=1.0)
    return plan.multiplier * CLIP * math.sqrt((packing.members - len(colluders)) / guaranteed(packing))


def sent_in_the_open(numbers: npt.NDArray[np.int64]) -> Floats:
    """A neighbour's view of a step on some records: from the model that it is sent, the sum of unclipped gradients."""
    network = model()
    before = network.vector()
    Trainer(network, rows(numbers), TASK, seed=1, node=0).train(0, 1)
    return (before.astype(np.float64) - network.vector()) * len(numbers) / RATE


def inverted(gradient: Floats) -> Floats:
    """A record (64,) from the gradient of a batch of one: the column of the largest bias, divided by it."""
    weights, biases = gradient[:640].reshape(10, 64), gradient[640:]
    unit = int(np.abs(biases).argmax())
    return weights[unit] / biases[unit]


@dataclass(frozen=True)
class Likeness:
    """How well records were guessed."""

    error: float
    """Mean square error over that of guessing the mean record each time: 1 is what no attack at all achieves."""
    recognised: float
    """How often the guess is closer to the record than to any of 100 others: 0.01 is chance."""


def likeness(guesses: list[Floats], numbers: list[int], records: Records) -> Likeness:
    """Of `guesses` at the records `numbers`. Pixels are brought into their range first, as any attacker would."""
    features = digits()[0]
    low, high = features.min(), features.max()
    prior = features[records.attackers].mean(axis=0)
    errors, priors, recognised = [], [], []
    for guess, number in zip(guesses, numbers, strict=True):
        guess = np.clip(guess, low, high)
        gallery = features[np.array([number, *records.nobodys[:100]])]
        errors.append(np.square(guess - features[number]).sum())
        priors.append(np.square(prior - features[number]).sum())
        recognised.append(int(np.square(gallery - guess).sum(axis=1).argmin()) == 0)
    return Likeness(float(np.sum(errors) / np.sum(priors)), float(np.mean(recognised)))


def noised_alone(records: Records, node: int, target: float, seed: int) -> tuple[Floats, float]:
    """The sum of one node's clipped gradients with local noise for ε = `target`, and the deviation of that."""
    plan = RecordPlan.within(target, DELTA, clip=CLIP, sampling=1.0, steps=1, rows=float(len(records.held[node])))
    mechanism = plan.local(model().size)
    total = exact_sum(records, [node]).astype(np.float32)
    seen = mechanism.decoded(mechanism.noised(total, secret(seed, node))).astype(np.float64)
    return seen, mechanism.sigma / mechanism.scale
