"""A swarm of runtimes in virtual time: the real loop, rounds and wire, the memory network, a learner of numpy alone."""

import hashlib
import os
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import trio

from consensus.adjacency import Adjacency
from consensus.committee import plan
from consensus.rules import lookup
from consensus.sharing import Update
from crypto.identity import Identity, PeerId
from crypto.sealing import ChannelKey
from node import journal
from node.cell_transport import BEACON_HASTE, CellTransport, company
from node.compute import InlineCompute
from node.guard import Guard
from node.jobs import ComputedJobs
from node.lab.liar import Liar
from node.learning.learner import Assessment, Trained
from node.private_player import Privately
from node.public_copy import PublicCopy
from node.roster import Roster, Terms
from node.runtime import Runtime
from node.sparing import SparingTransport
from node.standby import Levers
from overlay.memory import Conditions, open_memory_network
from overlay.wire import Greeting

GREETING = Greeting(b"s" * 32, b"l" * 32)
EPOCH_S = 0.05


@dataclass
class Drift:
    """A learner that walks at random: what it contributes is known, so the average can be checked."""

    vector_: np.ndarray
    rng: np.random.Generator
    step: float = 0.1
    contributed: dict[int, np.ndarray] = field(default_factory=dict)
    adopted: dict[int, np.ndarray] = field(default_factory=dict)

    def train(self, round: int, pulse: Callable[[], None]) -> Trained:
        self.vector_ = (self.vector_ + self.step * self.rng.standard_normal(self.vector_.shape)).astype(np.float32)
        self.contributed[round] = self.vector_
        return Trained(loss=1.0, samples=1)

    def vector(self) -> np.ndarray:
        return self.vector_

    def update(self, base: np.ndarray) -> Update:
        return Update(self.vector_ - base)

    def adopt(self, vector: np.ndarray, round: int, *, averaged: bool) -> Assessment:
        self.vector_ = vector
        self.adopted[round] = vector
        return Assessment(
            holdout_loss=0.5,
            holdout_accuracy=0.5,
            test_accuracy=None,
            promoted=None,
            rolled_back=None,
            champion_version=0,
        )


class SlowCompute(InlineCompute):
    """Training takes virtual time, so that nodes are heard in the middle of it."""

    def __init__(self, epoch_s: float) -> None:
        self.epoch_s = epoch_s

    async def run(self, work):
        await trio.sleep(self.epoch_s)
        return work()


@dataclass
class Member:
    name: str
    identity: Identity
    learner: Drift
    events: list = field(default_factory=list)
    checkpoint: int = 0
    scope: trio.CancelScope | None = None
    guard: Guard | None = None
    cells: CellTransport | None = None
    runtime: Runtime | None = None
    paused: str | None = None
    """As the last checkpoint has it."""
    ended: bool = False
    """By itself, not by a kill."""

    @property
    def rounds(self) -> dict[int, journal.RoundClosed]:
        return {event.round: event for event in self.events if isinstance(event, journal.RoundClosed)}

    @property
    def finished(self) -> bool:
        return any(isinstance(event, journal.Finished) for event in self.events)


class Swarm:
    """`n` nodes named n0, n1, …; `edges` by index. Use `open_swarm`."""

    def __init__(
        self,
        network,
        nursery,
        n,
        edges,
        kind,
        rounds,
        *,
        seed,
        size,
        dimension,
        deadline_s,
        quorum,
        epochs_s,
        guard,
        learners,
        momentum,
        epoch,
        watching,
        rule,
        bench,
        recovering,
        sparing,
        enter,
    ) -> None:
        self.network = network
        self.nursery = nursery
        self.edges = edges
        rng = random.Random(seed)
        learners = learners or [
            Drift(np.zeros(dimension, np.float32), np.random.default_rng([seed, index])) for index in range(n)
        ]
        self.members = [
            Member(f"n{index}", Identity.generate(rng.randbytes), learner) for index, learner in enumerate(learners)
        ]
        self.initial, self.momentum = learners[0].vector(), momentum
        made = plan(kind, n, edges, seed, size, epoch, shared=guard is not None)
        self.terms = Terms(rounds, quorum, deadline_s, rule, made, bench)
        self.kind, self.watching, self.recovering = kind, watching, recovering
        self.sparing, self.enter = sparing, enter
        self.graph = Adjacency(n, complete(n) if kind == "grid" else edges)
        self.guard = guard
        self.epochs_s = epochs_s
        self.work = (InlineCompute(), ComputedJobs(InlineCompute()))

    def id(self, index: int) -> PeerId:
        return self.members[index].identity.peer_id

    def roster(self, index: int) -> Roster:
        order = tuple(member.identity.peer_id for member in self.members)
        names = {member.identity.peer_id: member.name for member in self.members}
        return Roster(order[index], order, names, company(index, order, self.graph, self.terms.plan))

    def neighbours(self, index: int) -> frozenset[PeerId]:
        return frozenset(self.id(other) for other in self.graph.of(index).tolist())

    def start(self, index: int) -> None:
        self.nursery.start_soon(self._run, index)

    async def _run(self, index: int) -> None:
        member, roster = self.members[index], self.roster(index)
        with trio.CancelScope() as member.scope:
            async with self.network.open(roster.me, self.neighbours(index), GREETING) as transport:
                member.guard = self._guard(member, roster)
                member.cells = self._cells(index, member, transport)
                lookout = None if self.watching is None else self.watching(self, index)
                member.runtime = Runtime(
                    roster,
                    self.terms,
                    lookout if isinstance(lookout, Liar) else member.learner,
                    member.cells or (SparingTransport(transport) if self.sparing else transport),
                    compute=SlowCompute(self.epochs_s.get(index, EPOCH_S)),
                    record=member.events.append,
                    checkpoint=lambda done: self._save(member, done),
                    wall_clock=trio.current_time,
                    private=None if member.guard is None else Privately(member.guard, *self.work),
                    cells=member.cells,
                    lookout=lookout,
                    public=PublicCopy(self.sparing) if self.sparing else None,
                    recovery=None if self.recovering is None else self.recovering(self, index),
                    levers=Levers(getattr(lookout, "order", None), getattr(member.learner, "restore", None)),
                    paused=member.paused,
                    enter=partial(self.enter, index),
                )
                await member.runtime.run(member.checkpoint)
                member.ended = True

    @staticmethod
    def _save(member: Member, done: int) -> None:
        member.checkpoint, member.paused = done, member.runtime.paused

    def _cells(self, index: int, member: Member, transport) -> CellTransport | None:
        if member.guard is None or not self.terms.plan.drawn:
            return None
        return CellTransport(
            index,
            self.roster(index).order,
            self.graph,
            self.terms.plan,
            member.guard,
            transport,
            swarm=GREETING.swarm,
            deadline_s=self.terms.deadline_s / BEACON_HASTE,
            first_round=member.checkpoint,
        )

    def _guard(self, member: Member, roster: Roster) -> Guard | None:
        if self.guard is None:
            return None
        base = None if member.guard is None else member.guard.base  # as a checkpoint keeps it
        return Guard(
            self.guard,
            member.identity,
            self.initial,
            base,
            swarm=GREETING.swarm,
            rule=lookup("mean"),
            channel_key=ChannelKey(hashlib.sha512(member.name.encode()).digest() + bytes(32)),
            made=1,
            peers=roster.peers,
            rounds=self.terms.rounds,
            randbytes=os.urandom,
            momentum=self.momentum,
            apart=self.terms.plan.apart,
        )

    def kill(self, index: int) -> None:
        """As kill -9: nothing is said, nothing more is recorded."""
        self.network.crash(self.id(index))
        self.members[index].scope.cancel()

    async def until(self, condition: Callable[[], bool], within_s: float = 10_000) -> None:
        with trio.fail_after(within_s):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event, and time is virtual
                await trio.sleep(0.01)

    async def until_all_finished(self, but: tuple[int, ...] = ()) -> None:
        await self.until(lambda: all(m.finished for i, m in enumerate(self.members) if i not in but))


class open_swarm:  # noqa: N801 - reads as the context manager that it is
    def __init__(self, n, edges, kind="neighbourhood", rounds=10, **options) -> None:
        self.conditions = options.pop("conditions", Conditions(latency_s=0.01, jitter_s=0.01))
        self.arguments = (n, edges, kind, rounds)
        self.options = {
            "seed": 1,
            "size": None,
            "dimension": 8,
            "deadline_s": 10.0,
            "quorum": 0.6,
            "epochs_s": {},
            "guard": None,
            "learners": None,  # those of the members, in place of ones that drift
            "momentum": 0.0,
            "epoch": 16,
            "watching": None,  # (swarm, index) → what watches the peers of a member, or the liar that it is
            "recovering": None,  # (swarm, index) → what goes back behind liars' words
            "sparing": 0.0,  # what change of a model, as a share of its norm, is worth sending
            "rule": lookup("mean"),
            "bench": 0,
            "enter": lambda index, number: None,  # before a member plays its first round
            **options,
        }
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Swarm:
        network = await self.stack.enter_async_context(open_memory_network(self.options["seed"], self.conditions))
        self.nursery = await self.stack.enter_async_context(trio.open_nursery())
        swarm = Swarm(network, self.nursery, *self.arguments, **self.options)
        for index in range(len(swarm.members)):
            swarm.start(index)
        return swarm

    async def __aexit__(self, *error) -> None:
        self.nursery.cancel_scope.cancel()
        await self.stack.__aexit__(*error)


def ring(n):
    return (*((i, i + 1) for i in range(n - 1)), (0, n - 1))


def complete(n):
    return tuple((i, j) for i in range(n) for j in range(i + 1, n))
