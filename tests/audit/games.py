"""Distinguishing games over the real code of private learning: canaries in, what colluders see, scores out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import torch

from crypto.accountant import epsilon
from crypto.mechanisms import LatticeGaussian
from crypto.norm_proof import ProofParameters
from crypto.randomness import DiscreteGaussian, Stream
from crypto.shamir import Packing
from node.learning.dp_contribution import SharedStep
from node.learning.dp_plan import Cell, RecordPlan
from node.learning.dp_trainer import PrivateTrainer
from overlay.topology_schema import Task
from tests.audit.canaries import Canaries
from tests.audit.shamir_view import Dealt, ShamirView, run
from tests.audit.statistics import Scores
from tests.consensus.private_cell import terms_of

DELTA = 1e-5
RATE = 0.5
"""Learning rate; what it is does not matter."""
Pair = tuple[Scores, Scores]
"""Scores of canaries that are in, and of those that are not; without noise 1 and 0."""
RandBytes = Callable[[int], bytes]


def proof(packing: Packing) -> ProofParameters:
    """A lattice so fine that noise for thousands of canaries is nearly what the continuous mechanism asks for."""
    return ProofParameters(packing, rows=32, clip=1_000_000, bound_bits=23, shift=12)


def guaranteed(packing: Packing) -> int:
    """h = m − t − f − e: shares of noise that t colluders do not know, in the smallest sum that a round opens."""
    return terms_of(packing).least_accepted - packing.tolerated


def secret(seed: int, *labels: int) -> RandBytes:
    """Bytes that repeat from run to run, as a test wants it and a node must never have it."""
    return Stream(np.random.default_rng([seed, *labels]).bytes(32), "audit").take_bytes


@cache
def shared_noise(plan: RecordPlan, size: int, cell: Cell) -> LatticeGaussian:
    """Its tables take longer to make than a round does."""
    return plan.distributed(size, RATE, cell)


@dataclass(frozen=True)
class Claim:
    """What is claimed of `rounds` releases."""

    epsilon: float
    delta: float = DELTA
    rounds: int = 1
    sampling: float = 1.0

    def plan(self, rows: float) -> RecordPlan:
        """The least noise that keeps it."""
        return RecordPlan.within(
            self.epsilon, self.delta, clip=0.5, sampling=self.sampling, steps=self.rounds, rows=rows
        )

    @cached_property
    def accounted(self) -> float:
        """ε by the accountant, as a ledger would show it; `epsilon` is the target."""
        return epsilon([self.plan(1.0).release(self.rounds)], self.delta)

    @cached_property
    def mu(self) -> float:
        """√rounds / z: of the Gaussian that all releases together are (without sampling)."""
        return math.sqrt(self.rounds) / self.plan(1.0).multiplier


@dataclass(frozen=True)
class Cheat:
    """How an implementation might break its promise. The default does not."""

    deviation: float = 1.0
    """Noise as a share of what is claimed."""
    silent: frozenset[int] = frozenset()
    """Honest members that add none."""
    same_seed: bool = False
    """Noise comes from one seed in all rounds."""


HONEST = Cheat()


def distributed(
    claim: Claim,
    packing: Packing,
    count: int,
    seed: int,
    *,
    colluders: Collection[int],
    absent: Collection[int] = (),
    cheat: Cheat = HONEST,
    shares: int | None = None,
    before: int = 0,
    subtract: bool = False,
) -> Pair:
    """One-step rounds with distributed noise in a cell, seen by `colluders`: scores from the sums without their part.

    Claims are made for `shares` shares of noise, `guaranteed` if None. `absent` members never start. Before the
    `rounds` of the claim, `before` rounds without any canary are opened, which the attacker may `subtract`: sums of the
    same members that differ by the canaries alone, and by noise.
    """
    m = packing.members
    honest = tuple(member for member in range(m) if member not in {*colluders, *absent})
    canaries = Canaries.toss(honest, count, seed)
    plan = claim.plan(canaries.rows)
    proved = proof(packing)
    cell = Cell(members=m, shares=shares or guaranteed(packing), room=proved.honest_norm)
    mechanism = shared_noise(plan, canaries.size, cell)
    unit = plan.step_size(RATE) * plan.clip * mechanism.scale
    scored, noise = np.zeros(count), np.zeros(count)
    for number in range(before + claim.rounds):
        playing = canaries if number >= before else replace(canaries, coins=np.zeros(count, bool))
        view = _shared_round(playing, plan, mechanism, proved, (seed, number), colluders, absent, cheat)
        scores = canaries.scores(view.honest_sum() / unit)
        if number < before:
            noise += scores / before
        else:
            scored += scores / claim.rounds
    return canaries.split(scored - noise if subtract else scored)


def _shared_round(
    canaries: Canaries,
    plan: RecordPlan,
    mechanism: LatticeGaussian,
    proved: ProofParameters,
    seed: tuple[int, int],
    colluders: Collection[int],
    absent: Collection[int],
    cheat: Cheat,
) -> ShamirView:
    packing = proved.packing
    torch.set_num_threads(1)
    model = canaries.model()
    brought = {}
    for member in range(packing.members):
        made = mechanism if member in colluders else weakened(mechanism, cheat, member)
        randbytes = secret(*(seed[:1] if cheat.same_seed else seed), member)
        step = SharedStep(model, canaries.data(member), plan, made, RATE, lambda *_: None, randbytes)
        update, noise = contribution(step, seed[1])
        brought[member] = Dealt(update, noise)
    terms = terms_of(packing, size=canaries.size, number=seed[1])
    terms = replace(terms, proof=proved, fixed=mechanism.carrying(packing.members))
    return run(terms, brought, colluders, seed=seed[0], absent=absent)


def contribution(step: SharedStep, number: int) -> tuple[np.ndarray, np.ndarray]:
    """What a step hands to a private round: a vector, and noise on the lattice."""
    noised, _ = step.make(number)
    return np.zeros(noised.size, np.float32), noised


def weakened(mechanism: LatticeGaussian, cheat: Cheat, member: int) -> LatticeGaussian:
    """The mechanism, with the noise of another one under the same claim."""
    factor = 0.0 if member in cheat.silent else cheat.deviation
    if factor == 1.0:
        return mechanism
    weak = replace(mechanism)
    sigma = max(DiscreteGaussian.MIN_SIGMA, factor * mechanism.share_sigma)
    object.__setattr__(weak, "_noise", DiscreteGaussian(sigma))
    return weak


def local(claim: Claim, count: int, seed: int, *, cheat: Cheat = HONEST) -> Pair:
    """Steps with local noise of one node, seen by everybody: scores from the models that it sends in the open."""
    canaries = Canaries.toss((0,), count, seed)
    plan = claim.plan(canaries.rows)
    torch.set_num_threads(1)
    task = Task(dataset="digits", model="linear", learning_rate=RATE, momentum=0.0, weight_decay=0.0, local_epochs=1)
    scored = np.zeros(count)
    model = canaries.model()
    trainer = PrivateTrainer(model, canaries.data(0), task, plan, lambda *_: None, secret(seed))
    trainer._mechanism = weakened(trainer._mechanism, cheat, 0)
    for number in range(claim.rounds):
        model.load(np.zeros(model.size, np.float32))
        trainer.train(number, epochs=claim.sampling)  # type: ignore[arg-type] # one step
        scored += canaries.scores(model.vector() / (plan.step_size(RATE) * plan.clip)) / claim.rounds
    return canaries.split(scored)
