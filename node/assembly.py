"""Puts a node together from a topology, a state folder and a data shard, and runs it until it is told to stop."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from consensus.guarded_terms import Base
from consensus.messages import Vector
from consensus.rules import lookup
from crypto.identity import Identity, PeerId
from node import journal
from node.compute import ThreadCompute
from node.errors import RunError, StateError
from node.guard import Guard, pack_base, unpack_base
from node.learning.data import Dataset
from node.learning.learner import Learner
from node.runtime import Roster, Runtime, Terms
from node.state import Checkpoint, StateFolder
from overlay.discovery import AddressBook
from overlay.libp2p_transport import TransportLimits, open_libp2p_transport
from overlay.topology import Topology
from overlay.transport import Transport
from overlay.wire import Greeting, Limits


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """All that one node is made of. `peers` maps every node name of the topology to its PeerId."""

    topology: Topology
    name: str
    state: StateFolder
    journal: Path
    peers: Mapping[str, PeerId]
    book: AddressBook
    shard: Dataset
    test: Dataset | None = None
    """The lab's global test set: assessed on, never trained on."""


def roster_of(spec: NodeSpec) -> Roster:
    """Who is who for `spec`."""
    topology = spec.topology
    return Roster(
        me=spec.peers[spec.name],
        order=tuple(spec.peers[node.name] for node in topology.nodes),
        names={peer: name for name, peer in spec.peers.items()},
        peers=frozenset(spec.peers[name] for name in topology.peer_list(spec.name)),
    )


def terms_of(topology: Topology) -> Terms:
    """How rounds are run under `topology`."""
    return Terms(
        rounds=topology.rounds.count,
        quorum=topology.rounds.quorum,
        deadline_s=topology.rounds.deadline_s,
        rule=lookup(topology.consensus.rule),
        plan=topology.plan,
    )


def make_learner(spec: NodeSpec) -> Learner:
    """The learner of `spec`: the same initial model on every node, its own order of batches on each."""
    task = spec.topology.task
    return Learner.from_task(
        task, spec.shard, seed=spec.topology.seed, node=spec.topology.index(spec.name), test=spec.test
    )


def resume(learner: Learner, spec: NodeSpec) -> tuple[int, Base | None]:
    """Restore the last checkpoint into `learner`; the round to go on with (0 on a fresh folder), and the base of
    private rounds, where it has one.
    """
    checkpoint = spec.state.load_checkpoint()
    if checkpoint is None:
        return 0, None
    if checkpoint.swarm != spec.topology.digest():
        raise StateError(
            f"{spec.state.checkpoint_path} belongs to another topology (or to this one before it was edited)",
            "Start from the topology file that it was made with, or move the checkpoint away to begin anew.",
        )
    learner.restore(checkpoint.learner)
    return checkpoint.round, unpack_base(checkpoint.learner, learner.parameters)


def guard_of(spec: NodeSpec, identity: Identity, learner: Learner, initial: Vector, base: Base | None) -> Guard | None:
    """What makes the rounds of `spec` private; None where the topology does not ask for it."""
    terms = spec.topology.guard(learner.layout)
    if terms is None:
        return None
    return Guard(
        terms,
        identity,
        initial,
        base,
        peers=roster_of(spec).peers,
        rounds=spec.topology.rounds.count,
        randbytes=os.urandom,
    )


async def run_node(spec: NodeSpec, identity: Identity, *, stop: Callable[[], Awaitable[str]]) -> None:
    """Run a node until `stop` returns a reason. The state folder must be locked by the caller."""
    if identity.peer_id != spec.peers[spec.name]:
        raise RunError(
            f"the key in {spec.state.path} is {identity.peer_id}, but the topology gives {spec.name} "
            f"the PeerId {spec.peers[spec.name]}",
            f"Put this key's PeerId at {spec.name} in the topology file of every device, or use the right --state.",
        )
    learner = make_learner(spec)
    initial = learner.vector()
    first_round, base = resume(learner, spec)
    swarm = spec.topology.digest()
    roster = roster_of(spec)
    guard = guard_of(spec, identity, learner, initial, base)
    me = spec.topology.nodes[spec.topology.index(spec.name)]
    most_bytes = 4 * learner.parameters if guard is None else guard.terms.most_bytes(learner.parameters)
    with journal.Journal.open(spec.journal) as book:
        async with _listening(
            open_libp2p_transport(
                identity,
                me.listen,
                roster.peers,
                spec.book,
                Greeting(swarm=swarm, layout=learner.layout),
                limits=TransportLimits(wire=Limits(max_body=most_bytes)),
                rng=random.Random(os.urandom(16)),
            ),
            me.listen,
        ) as transport:
            spec.book.publish(identity.peer_id, transport.address)
            book.write(
                journal.Started(
                    at=time.time(),
                    name=spec.name,
                    peer_id=identity.peer_id,
                    address=transport.address,
                    neighbours={name: spec.peers[name] for name in spec.topology.peer_list(spec.name)},
                    parameters=learner.parameters,
                    round=first_round,
                    rounds=spec.topology.rounds.count,
                    resumed=first_round > 0,
                    champion_version=learner.champion_version,
                    holdout_accuracy=learner.champion_holdout_accuracy if first_round else None,
                )
            )
            runtime = Runtime(
                roster,
                terms_of(spec.topology),
                learner,
                transport,
                compute=ThreadCompute(),
                record=book.write,
                checkpoint=lambda done: spec.state.save_checkpoint(
                    Checkpoint(swarm, done, learner.snapshot() | ({} if guard is None else pack_base(guard.base)))
                ),
                wall_clock=time.time,
                guard=guard,
            )
            reason = await _run_until(runtime, first_round, stop)
        times = os.times()
        book.write(journal.Stopped(at=time.time(), reason=reason, cpu_s=times.user + times.system))


@asynccontextmanager
async def _listening(opening: AbstractAsyncContextManager[Transport], address: str) -> AsyncIterator[Transport]:
    """`opening`, with its refusal to listen as an error of the input. Errors of the body come in groups, not here."""
    try:
        async with opening as transport:
            yield transport
    except OSError as error:
        raise RunError(
            f"cannot listen at {address}: {error.strerror or error}",
            "Give this node a `listen` of this device, on a port that nothing else uses.",
        ) from error


async def _run_until(runtime: Runtime, first_round: int, stop: Callable[[], Awaitable[str]]) -> str:
    reason = ""

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal reason
        reason = await stop()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        await runtime.run(first_round)
    return reason
