"""A node's differential privacy over a run: the budget of the topology file as noise, and the ledger in its store.

Opened before the learner is made, and kept until the node ends. What is done at which time:

    load of the file    overlay/topology_noise.py     epsilon and delta over all releases have a noise
    start               privacy_of                    the ledger is no older than the checkpoint; the noise fits the
                                                      model and the cells
    each training       Contribution.train            the release is charged on the disk, then made
    each checkpoint     Privacy.pack                  says how far the ledger is
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from consensus.errors import PlanError
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Sharing
from crypto.mechanisms import LatticeGaussian, MechanismError
from node.errors import BEGIN_ANEW, RunError, StateError
from node.learning.contribution import (
    Bench,
    Contribution,
    NoisedRecords,
    NoisedUpdates,
    Plain,
    SharedRecords,
    SharedUpdates,
    Strategy,
)
from node.learning.dp_contribution import SharedStep, SharedUpdate
from node.learning.dp_plan import Cell, RecordPlan, UpdatePlan
from node.learning.dp_trainer import PrivateTrainer
from node.ledger import Budget, Charge, Head, Ledger, Level
from node.state import Checkpoint
from node.store.database import Database
from overlay.topology import Topology
from overlay.topology_noise import releases

_ENTRIES, _DIGEST = "ledger_entries", "ledger_digest"


class Privacy(Protocol):
    """What the rest of a node asks."""

    @property
    def strategy(self) -> Strategy:
        """How the learner trains."""

    @property
    def momentum(self) -> float:
        """Of the public vector over what is opened; 0 where nodes have a momentum of their own."""

    @property
    def spent(self) -> float | None:
        """ε of all that may have left the node; None where none is claimed."""

    def sharing(self, layout: bytes, size: int) -> Sharing | None:
        """How the secret phases of d = `size` parameters are run; None where there are none. Raises RunError."""

    def pack(self) -> dict[str, bytes | int]:
        """What a checkpoint holds of it."""


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """No noise, no ledger, no ε."""

    topology: Topology
    strategy: Strategy = Plain
    momentum: float = 0.0
    spent: float | None = None

    def sharing(self, layout: bytes, size: int) -> Sharing | None:  # noqa: ARG002 - the clip decides how to write
        """As `Privacy.sharing`."""
        return self.topology.sharing(layout)

    def pack(self) -> dict[str, bytes | int]:
        """Nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class Claimed:
    """Noise for ε, charged to `ledger`."""

    topology: Topology
    plan: RecordPlan | UpdatePlan
    ledger: Ledger

    @property
    def strategy(self) -> Strategy:
        """As the file says."""
        return self._contribution

    @property
    def momentum(self) -> float:
        """That of the task, where a round is one step of all."""
        shared = isinstance(self.plan, RecordPlan) and self.topology.noise_shares is not None
        return self.topology.task.momentum if shared else 0.0

    @property
    def spent(self) -> float:
        """As `Privacy.spent`."""
        return self.ledger.spent()

    def sharing(self, layout: bytes, size: int) -> Sharing | None:
        """As `Privacy.sharing`."""
        topology = self.topology
        if topology.noise_shares is None:
            return topology.sharing(layout)
        try:
            return topology.sharing(layout, self._mechanism(size).carrying(topology.cell_members))
        except PlanError as error:
            raise self._misfit(size, error) from error

    def pack(self) -> dict[str, bytes | int]:
        """How far the ledger is."""
        head = self.ledger.head
        return {_ENTRIES: head.entries, _DIGEST: head.digest}

    def _contribution(self, bench: Bench) -> Contribution:
        spent, charge, mechanism = self.ledger.spent, self._charge(), self._mechanism(bench.model.size)
        shared = self.topology.noise_shares is not None
        if isinstance(self.plan, UpdatePlan):
            noise = SharedUpdate(self.plan, mechanism, charge, os.urandom)
            return SharedUpdates(bench, spent, noise) if shared else NoisedUpdates(bench, spent, noise)
        if not shared:
            trainer = PrivateTrainer(bench.model, bench.rows, bench.task, self.plan, charge, os.urandom)
            return NoisedRecords(bench, spent, trainer)
        rate = bench.task.learning_rate
        step = SharedStep(bench.model, bench.rows, self.plan, mechanism, rate, charge, os.urandom)
        return SharedRecords(bench, spent, step)

    def _charge(self) -> Charge:
        return self.ledger.charging(
            level=level_of(self.topology), noise=self.topology.privacy.noise, mechanism="discrete gaussian"
        )

    def _mechanism(self, size: int) -> LatticeGaussian:
        topology, plan, cell = self.topology, self.plan, _cell(self.topology)
        try:
            if isinstance(plan, UpdatePlan):
                return plan.mechanism(size, cell)
            return plan.local(size) if cell is None else plan.distributed(size, topology.task.learning_rate, cell)
        except MechanismError as error:
            raise self._misfit(size, error) from error

    def _misfit(self, size: int, error: ValueError) -> RunError:
        return RunError(
            f"{self.topology.name}: noise for epsilon = {self.ledger.budget.epsilon:g} does not fit a model of {size} "
            f"parameters: {error}",
            "Use a smaller model or larger cells, allow a larger epsilon, or run fewer rounds.",
        )


def privacy_of(topology: Topology, database: Database, rows: int, checkpoint: Checkpoint | None) -> Privacy:
    """Differential privacy as `topology` asks for it, the ledger in `database`, which this process has claimed; `rows`
    is that of `public_rows`.

    Raises StateError for a ledger that is damaged, older than `checkpoint` or of the other level.
    """
    if topology.privacy.dp == "off":
        return Unclaimed(topology)
    budget, at_least = budget_of(topology), None if checkpoint is None else _unpack(checkpoint.learner)
    ledger = Ledger.open(database, budget, at_least=at_least, level=level_of(topology))
    return Claimed(topology, plan_of(topology, rows), ledger)


def plan_of(topology: Topology, rows: int) -> RecordPlan | UpdatePlan:
    """The noise that keeps the file's epsilon over all of its rounds."""
    privacy, budget = topology.privacy, budget_of(topology)
    steps = releases(privacy, topology.task, topology.rounds)
    if privacy.dp == "update":
        return UpdatePlan.within(budget.epsilon, budget.delta, clip=privacy.clip, rounds=steps)
    return RecordPlan.within(
        budget.epsilon,
        budget.delta,
        clip=privacy.record_clip,
        sampling=privacy.sampling,
        steps=steps,
        rows=privacy.rows or rows,
    )


def budget_of(topology: Topology) -> Budget:
    """The file's epsilon and delta, which a file with noise always has."""
    privacy = topology.privacy
    return Budget(privacy.epsilon or 0.0, privacy.delta or 0.0)


def level_of(topology: Topology) -> Level:
    """What a neighbour differs in."""
    return "update" if topology.privacy.dp == "update" else "record"


def _cell(topology: Topology) -> Cell | None:
    shares = topology.noise_shares
    if shares is None:
        return None
    sharing = topology.sharing()
    room = sharing.proof.honest_norm if isinstance(sharing, ShamirSharing) else float("inf")
    return Cell(topology.cell_members, shares, room)


def _unpack(values: Mapping[str, object]) -> Head | None:
    entries, digest = values.get(_ENTRIES), values.get(_DIGEST)
    if entries is None and digest is None:
        return None
    if not isinstance(entries, int) or not isinstance(digest, bytes):
        raise StateError(
            "the checkpoint's head of the ledger is damaged",
            BEGIN_ANEW,
        )
    return Head(entries, digest)
