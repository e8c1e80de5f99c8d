"""Adult on eight nodes: what privacy costs in accuracy, by mode and ε.

In one process and without a network, but with the real trainers, mechanisms and accountant, and with real encrypted
rounds. Rows are dealt evenly; accuracy is that of the common model on the official test file after the last round, mean
and deviation over seeds (of the dealing, of noise and of batches). ε is for one row of one node, over the whole run, at
DELTA: against anybody where noise is local; where it is distributed, against t colluders of a cell with f absentees and
e silent liars (so h = m − t − f − e shares of noise make up a whole). CKKS hides updates from all but keeper and relay
together; "ckks_dp" adds distributed noise, with the same h.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from consensus.encrypted_round import EncryptedRound
from consensus.encrypted_sharing import EncryptedSharing
from consensus.encrypted_terms import MIN_CIPHERTEXTS
from consensus.messages import Vector
from consensus.sharing import Hand, Update
from consensus.signer import Signer
from crypto.accountant import Release, epsilon
from crypto.fixedpoint import FixedPoint
from crypto.identity import Identity
from crypto.norm_proof import ProofParameters
from crypto.randomness import Stream
from crypto.sealing import ChannelKey
from crypto.shamir import Packing
from node.learning.data import Dataset, Split, deal, load_dataset
from node.learning.dp_contribution import SharedStep
from node.learning.dp_plan import Cell as NoiseCell
from node.learning.dp_plan import RecordPlan
from node.learning.dp_trainer import PrivateTrainer
from node.learning.models import build
from node.learning.partition import partition
from node.learning.trainer import Rows, Trainer, evaluate
from node.learning.vector import FlatModel
from overlay.topology_schema import Task
from tests.benchmarks.machine import BenchmarkError, Figures, rounded, show_table
from tests.consensus.secret_cell import Cell, identities, verifying

PACKING = Packing(8, 2, 3, 1, 1)
NODES = PACKING.members
SHARES = PACKING.members - PACKING.tolerated - PACKING.absentees - PACKING.liars
"""h."""
REACH = 10.0
"""Largest norm of an update without noise; none here comes near it."""
DELTA = 1e-5
EPSILONS = (0.1, 0.25, 1.0, 8.0)
SEEDS = (1, 2, 3)
HOLDOUT = 0.15
MAJORITY = 76.4
"""Per cent of the test file's rows that earn no more than 50,000 dollars."""
EARLIER = {"plain": 76.81, "dp": 65.87, "ckks": 76.39, "ckks_dp": 75.34}
"""Per cent, as an earlier system of this kind gave them for itself, without an ε."""
_PROOF = ProofParameters(PACKING, clip=128_000, bound_bits=20, shift=9)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a private run learns: `rounds` of one step each where noise is distributed, of `steps` where it is local."""

    clip: float
    rounds: int
    steps: int
    learning_rate: float
    momentum: float


PLAIN = Task(
    dataset="adult:DIR",
    model="linear",
    local_epochs=1,
    batch_size=64,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=0.0,
)
PLAIN_ROUNDS = 12
DISTRIBUTED = {
    0.1: Pace(0.5, 30, 1, 4.0, 0.8),
    0.25: Pace(0.5, 40, 1, 4.0, 0.9),
    1.0: Pace(1.0, 60, 1, 2.0, 0.9),
    8.0: Pace(1.0, 80, 1, 2.0, 0.9),
}
LOCAL = {
    0.1: Pace(0.5, 2, 8, 2.0, 0.8),
    0.25: Pace(0.5, 3, 8, 2.0, 0.8),
    1.0: Pace(0.5, 4, 10, 2.0, 0.9),
    8.0: Pace(1.0, 6, 10, 2.0, 0.9),
}

Mean = Callable[[int, Sequence[Update]], Vector]
"""Of the updates of all nodes, in a round."""


def in_the_open(_: int, updates: Sequence[Update]) -> Vector:
    """As neighbours average what they see."""
    mean: Vector = np.mean([update.vector.astype(np.float64) for update in updates], axis=0).astype(np.float32)
    return mean


def by_ckks(encoding: FixedPoint | None = None) -> Mean:
    """Encrypted rounds of real state machines; `encoding` is the lattice on which noise is added."""
    clip = REACH if encoding is None else None
    sharing = EncryptedSharing(NODES, 1, "ckks", clip, encoding, least=SHARES if encoding else MIN_CIPHERTEXTS)
    people = identities(NODES)
    cell = tuple(one.peer_id for one in people)

    def mean(number: int, updates: Sequence[Update]) -> Vector:
        def member(one: Identity) -> EncryptedRound:
            place = cell.index(one.peer_id)
            randbytes = _secret(number, place)
            hand = Hand(Signer(one.sign, verifying, randbytes), ChannelKey.generate(randbytes))
            size = updates[place].vector.size
            return sharing.round(one.peer_id, cell, number, 0, size, updates[place], hand, {})

        outcomes = Cell(people, member, seed=number).run().outcomes
        means = [outcome.mean for outcome in outcomes.values()]  # type: ignore[attr-defined]
        if len(means) != NODES or any(mean is None for mean in means):
            raise BenchmarkError(f"encrypted round {number} came to nothing")
        opened: Vector = means[0]
        return opened

    return mean


def _secret(*labels: int) -> Callable[[int], bytes]:
    """Bytes that repeat from run to run, as a benchmark wants it and a node must never have it."""
    return Stream(np.random.default_rng(labels).bytes(32), "accuracy").take_bytes


@dataclass(frozen=True)
class Swarm:
    """The nodes' rows, the test rows, and the common model."""

    rows: tuple[Rows, ...]
    test: Rows
    model: FlatModel
    seed: int

    @classmethod
    def of(cls, split: Split, seed: int) -> Swarm:
        """Rows dealt evenly, by `seed`."""
        shards = deal(split.train, partition(split.train.labels, "iid", NODES, seed), HOLDOUT, seed)
        model = FlatModel(build("linear", len(split.train.feature_names), len(split.train.classes), (), seed))
        return cls(tuple(Rows(shard.train) for shard in shards), Rows(split.test), model, seed)

    @property
    def average_rows(self) -> float:
        """Of a node: a number that all may know."""
        return sum(map(len, self.rows)) / len(self.rows)

    def accuracy(self) -> float:
        """Of the common model, in per cent."""
        return 100 * evaluate(self.model, self.test).accuracy


def plain(swarm: Swarm, mean: Mean) -> float:
    """Local epochs of SGD, then the mean."""
    trainers = [Trainer(swarm.model, own, PLAIN, seed=swarm.seed, node=i) for i, own in enumerate(swarm.rows)]
    for number in range(PLAIN_ROUNDS):
        before, updates = swarm.model.vector(), []
        for trainer in trainers:
            swarm.model.load(before)
            trainer.train(number, PLAIN.local_epochs)
            updates.append(Update(swarm.model.vector() - before))
        swarm.model.load(before + mean(number, updates))
    return swarm.accuracy()


def local_noise(swarm: Swarm, target: float) -> float:
    """DP-SGD at each node, then the mean of what anybody may see."""
    pace = LOCAL[target]
    plan = RecordPlan.within(
        target, DELTA, clip=pace.clip, sampling=1.0, steps=pace.rounds * pace.steps, rows=swarm.average_rows
    )
    task = PLAIN.model_copy(update={"learning_rate": pace.learning_rate, "momentum": pace.momentum})
    ledgers: list[list[Release]] = [[] for _ in swarm.rows]
    trainers = [
        PrivateTrainer(swarm.model, own, task, plan, lambda _, r, to=to: to.append(r), _secret(swarm.seed, i))
        for i, (own, to) in enumerate(zip(swarm.rows, ledgers, strict=True))
    ]
    for number in range(pace.rounds):
        before, updates = swarm.model.vector(), []
        for trainer in trainers:
            swarm.model.load(before)
            trainer.train(number, pace.steps)
            updates.append(Update(swarm.model.vector() - before))
        swarm.model.load(before + in_the_open(number, updates))
    _require(ledgers, target)
    return swarm.accuracy()


def distributed_noise(swarm: Swarm, target: float, *, encrypted: bool = False) -> float:
    """One step a round, a share of noise each, the sum opened: by addition on the lattice, or by CKKS."""
    pace = DISTRIBUTED[target]
    plan = RecordPlan.within(target, DELTA, clip=pace.clip, sampling=1.0, steps=pace.rounds, rows=swarm.average_rows)
    cell = NoiseCell(members=NODES, shares=SHARES, room=_PROOF.honest_norm)
    mechanism = plan.distributed(swarm.model.size, pace.learning_rate, cell)
    ledgers: list[list[Release]] = [[] for _ in swarm.rows]
    steps = [
        SharedStep(swarm.model, own, plan, mechanism, pace.learning_rate, lambda _, r, to=to: to.append(r),
                   _secret(swarm.seed, i))
        for i, (own, to) in enumerate(zip(swarm.rows, ledgers, strict=True))
    ]  # fmt: skip
    velocity = np.zeros(swarm.model.size, np.float32)  # over what was opened, which all have seen
    encoding = mechanism.carrying(NODES)
    mean = by_ckks(encoding) if encrypted else None
    nothing = np.zeros(swarm.model.size, np.float32)
    for number in range(pace.rounds):
        made = [step.make(number)[0] for step in steps]
        if mean is None:
            opened = encoding.decode(np.sum(made, axis=0, dtype=np.int32), NODES)
        else:
            opened = mean(number, [Update(nothing, each) for each in made])
        velocity = np.float32(pace.momentum) * velocity + opened
        swarm.model.load(swarm.model.vector() + velocity)
    _require(ledgers, target)
    return swarm.accuracy()


def _require(ledgers: list[list[Release]], target: float) -> None:
    spent = max(epsilon(releases, DELTA) for releases in ledgers)
    if not 0.99 * target < spent <= target:
        raise BenchmarkError(f"the ledgers say ε = {spent}, and {target} was the budget")


def modes() -> dict[str, Callable[[Swarm], float]]:
    """What is measured, by the key of its figure."""
    found: dict[str, Callable[[Swarm], float]] = {
        "plain": lambda swarm: plain(swarm, in_the_open),
        "ckks": lambda swarm: plain(swarm, by_ckks()),
    }
    for target in EPSILONS:
        found[f"local_dp_{target:g}"] = lambda swarm, e=target: local_noise(swarm, e)  # type: ignore[misc]
        found[f"distributed_dp_{target:g}"] = lambda swarm, e=target: distributed_noise(swarm, e)  # type: ignore[misc]
        found[f"ckks_dp_{target:g}"] = lambda swarm, e=target: distributed_noise(swarm, e, encrypted=True)  # type: ignore[misc]
    return found


def data_folder() -> Path:
    """As the tests find it. Raises BenchmarkError."""
    folder = Path(os.environ.get("GRAPEVINE_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "adult"
    if not folder.is_dir():
        raise BenchmarkError(
            f"no Adult data at {folder}\nPut adult.data and adult.test of the UCI repository there, or set "
            "GRAPEVINE_DATA to the folder that holds adult/."
        )
    return folder


def run(folder: Path, console: Console) -> Figures:
    """All modes, all seeds."""
    split = load_dataset(f"adult:{data_folder()}")
    torch.set_num_threads(1)
    scores: dict[str, list[float]] = {}
    for seed in SEEDS:
        for name, measure in modes().items():
            accuracy = measure(Swarm.of(split, seed))
            console.print(f"seed {seed}, {name}: {accuracy:.2f} %", highlight=False)
            scores.setdefault(name, []).append(accuracy)
    figures = figures_of(scores, majority(split.test))
    table(figures, console)
    plot(figures, folder / "accuracy.png")
    return figures


def majority(test: Dataset) -> float:
    """Accuracy of who always says the larger class, in per cent."""
    return float(100 * np.bincount(test.labels).max() / len(test.labels))


def figures_of(scores: dict[str, list[float]], most: float) -> Figures:
    """Means and deviations, in per cent."""
    figures = Figures("accuracy")
    figures.note("delta", DELTA)
    figures.note("nodes", NODES)
    figures.note("seeds", len(SEEDS))
    figures.note("majority_percent", rounded(most))
    for name, percent in EARLIER.items():
        figures.note(f"earlier_{name}_percent", percent)
    for name, each in scores.items():
        figures.note(f"{name}_percent", rounded(statistics.mean(each)))
        figures.note(f"{name}_deviation_percent", rounded(statistics.stdev(each)) if len(each) > 1 else 0.0)
    figures.note(
        "ckks_minus_plain_percent", rounded(statistics.mean(scores["ckks"]) - statistics.mean(scores["plain"]))
    )
    return figures


def _cell(figures: Figures, name: str) -> str:
    return f"{figures[f'{name}_percent']:.2f} ± {figures[f'{name}_deviation_percent']:.2f}"


def table(figures: Figures, console: Console) -> None:
    rows = [["none", _cell(figures, "plain"), "–", "–", _cell(figures, "ckks"), "–"]]
    for target in EPSILONS:
        names = [f"{kind}_{target:g}" for kind in ("local_dp", "distributed_dp", "ckks_dp")]
        rows.append([f"{target:g}", "–", *(_cell(figures, name) for name in names[:2]), "–", _cell(figures, names[2])])
    earlier = [f"{EARLIER[name]:.2f}" for name in ("plain", "dp", "ckks", "ckks_dp")]
    rows.append(["an earlier system", earlier[0], earlier[1], "–", earlier[2], earlier[3]])
    title = f"Adult, {NODES} nodes: accuracy in per cent; the larger class alone is {figures['majority_percent']:.1f}"
    show_table(console, title, ["ε", "plain", "local noise", "distributed noise", "CKKS", "CKKS + noise"], rows)


def plot(figures: Figures, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    kinds = {"distributed_dp": "o-", "ckks_dp": "s--", "local_dp": "^-"}
    for kind, style in kinds.items():
        means = [float(figures[f"{kind}_{target:g}_percent"]) for target in EPSILONS]
        errors = [float(figures[f"{kind}_{target:g}_deviation_percent"]) for target in EPSILONS]
        axis.errorbar(EPSILONS, means, errors, fmt=style, capsize=3, label=kind.replace("_dp", " noise"))
    axis.axhline(float(figures["plain_percent"]), color="black", lw=1, label="plain")
    axis.axhline(float(figures["majority_percent"]), color="grey", ls=":", lw=1, label="the larger class")
    for name, percent in EARLIER.items():
        axis.plot(EPSILONS[-1] * 1.6, percent, "x", color="tab:red")
        axis.annotate(name, (EPSILONS[-1] * 1.7, percent), fontsize=7, va="center", color="tab:red")
    axis.set(xscale="log", xlabel=f"ε at δ = {DELTA:g}", ylabel="accuracy in per cent", xlim=(0.08, 25))
    axis.set_xticks(EPSILONS, [f"{target:g}" for target in EPSILONS])
    axis.minorticks_off()
    axis.set_title(f"Adult, {NODES} nodes (crosses: an earlier system, ε not given)", fontsize=10)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
