"""Puts a node together from a topology, a state folder and a data shard, and runs it until it is told to stop."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from consensus.base import Base
from consensus.beacon import most_bytes as most_bytes_of_beacon
from consensus.messages import Vector
from consensus.rules import Rule, lookup
from consensus.sharing import Sharing
from crypto.identity import Identity, PeerId
from crypto.key_file import KeyFile
from node import journal, journal_file
from node.api.endpoint import Endpoint, listen
from node.beginning import beginning, refuse_anew, refuse_forgotten
from node.cell_transport import BEACON_HASTE, CellTransport, company
from node.compute import ThreadCompute
from node.controls import Controls
from node.errors import RunError, StateError
from node.feed import Feed
from node.guard import Guard, pack_base, unpack_base
from node.health import health_of
from node.jobs import open_workers
from node.learning.contribution import Plain, Strategy
from node.learning.data import Dataset
from node.learning.learner import Learner
from node.life import levers_of, live, pack_pause, paused_in
from node.logs import log_event
from node.lookout import lookout_of
from node.privacy import Privacy, privacy_of
from node.private_player import Privately
from node.public_copy import PublicCopy
from node.recovery import recovery_of
from node.roster import Roster, Terms
from node.runtime import Learner as RoundLearner
from node.runtime import Runtime
from node.sparing import SparingTransport
from node.state import Checkpoint, StateFolder
from node.store.champions import Champions
from node.store.projector import keeping_up
from node.store.retention import Keep
from node.store.store import Store, open_store
from node.store.tail import Tail
from node.watch import Watching
from overlay.discovery import AddressBook
from overlay.libp2p_transport import TransportLimits, open_libp2p_transport
from overlay.relay import FRAME_BYTES
from overlay.topology import Topology
from overlay.transport import Transport
from overlay.wire import Greeting, Limits


class Liar(RoundLearner, Watching, Protocol):
    """A learner that says something else, and remembers what it sees."""


Lying = Callable[[Learner, Roster, Sharing | None], Liar]
"""From an honest learner, who is who, and how updates are shared, a liar."""


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
    rows: int = 0
    """As `node.rows.public_rows`; read only where noise hides rows."""
    lying: Lying | None = None
    """For a node that the topology gives an adversary: what stands between it and its peers."""
    drain_s: float | None = None
    """Most that the round under way may take once the node is told to stop; None: as long as a deadline."""
    api: Endpoint | None = None
    """Where its API listens; None: it has none."""
    betraying: Callable[[Sharing], Sharing] | None = None
    """For one that lies about the protocol: how it takes part in secret phases."""
    store: str | None = None
    """URL of a PostgreSQL database of this node's own; None: a file in the state folder."""
    keep: Keep = field(default_factory=Keep)


def roster_of(spec: NodeSpec) -> Roster:
    """Who is who for `spec`."""
    topology = spec.topology
    order = tuple(spec.peers[node.name] for node in topology.nodes)
    return Roster(
        me=spec.peers[spec.name],
        order=order,
        names={peer: name for name, peer in spec.peers.items()},
        peers=company(topology.index(spec.name), order, topology.adjacency, topology.plan),
    )


def terms_of(topology: Topology) -> Terms:
    """How rounds are run under `topology`."""
    return Terms(
        rounds=topology.rounds.count,
        quorum=topology.rounds.quorum,
        deadline_s=topology.rounds.deadline_s,
        rule=rule_of(topology),
        plan=topology.plan,
        bench=topology.detect.bench,
    )


def rule_of(topology: Topology) -> Rule:
    """How vectors become one."""
    return lookup(topology.consensus.rule, topology.consensus.byzantine)


def make_learner(spec: NodeSpec, strategy: Strategy = Plain) -> Learner:
    """The learner of `spec`: the same initial model on every node, its own order of batches on each."""
    topology = spec.topology
    node = topology.index(spec.name)
    return Learner.from_task(
        topology.task, spec.shard, seed=topology.seed, node=node, test=spec.test, strategy=strategy
    )


def resume(learner: Learner, spec: NodeSpec, checkpoint: Checkpoint | None) -> tuple[int, Base | None]:
    """Restore the last `checkpoint` into `learner`; the round to go on with (0 on a fresh folder), and the base of
    private rounds, where it has one.
    """
    if checkpoint is None:
        return 0, None
    if checkpoint.swarm != spec.topology.digest():
        raise StateError(
            f"{spec.state.checkpoint_path} belongs to another topology (or to this one before it was edited)",
            "Start from the topology file that it was made with, or move the checkpoint away to begin anew.",
        )
    learner.restore(checkpoint.learner)
    return checkpoint.round, unpack_base(checkpoint.learner, learner.parameters)


def guard_of(
    spec: NodeSpec, identity: Identity, learner: Learner, initial: Vector, base: Base | None, privacy: Privacy
) -> Guard | None:
    """What makes the rounds of `spec` private; None where the topology does not ask for it."""
    topology = spec.topology
    sharing = privacy.sharing(learner.layout, learner.parameters)
    if sharing is None:
        return None
    if spec.betraying is not None:
        sharing = spec.betraying(sharing)
    now = int(time.time())
    channel_key, made = spec.state.channel_key(now, os.urandom)
    return Guard(
        sharing,
        identity,
        initial,
        base,
        swarm=topology.digest(),
        rule=rule_of(topology),
        channel_key=channel_key,
        made=made,
        peers=roster_of(spec).peers,
        rounds=topology.rounds.count,
        randbytes=os.urandom,
        momentum=privacy.momentum,
        coordinates=topology.privacy.coordinates,
        key_is_new=made >= now,
        apart=topology.plan.apart,
    )


def most_bytes_of(topology: Topology, parameters: int, guard: Guard | None) -> int:
    """Of the body of any message of an honest node: what the wire must let through."""
    if guard is None:
        return 4 * parameters
    if not topology.plan.drawn:
        return guard.most_bytes
    # Of a small model in a large swarm what the beacon says is the longest.
    return max(guard.most_bytes + FRAME_BYTES, most_bytes_of_beacon(len(topology.nodes)))


def cells_of(spec: NodeSpec, guard: Guard, transport: Transport, first_round: int) -> CellTransport:
    """What draws the cells of `spec` and reaches their members, over an open transport to its neighbours."""
    topology = spec.topology
    return CellTransport(
        topology.index(spec.name),
        tuple(spec.peers[node.name] for node in topology.nodes),
        topology.adjacency,
        topology.plan,
        guard,
        transport,
        swarm=topology.digest(),
        # Rumours need no training: a view that waits as long as a round would outlast its epoch.
        deadline_s=topology.rounds.deadline_s / BEACON_HASTE,
        first_round=first_round,
    )


async def run_node(spec: NodeSpec, identity: Identity, *, stop: Callable[[], Awaitable[str]]) -> None:
    """Run a node until `stop` returns a reason, see `node.life.live`. The state folder must be locked by the caller."""
    if identity.peer_id != spec.peers[spec.name]:
        raise RunError(
            f"the key in {spec.state.path} is {identity.peer_id}, but the topology gives {spec.name} "
            f"the PeerId {spec.peers[spec.name]}",
            f"Put this key's PeerId at {spec.name} in the topology file of every device, or use the right --state.",
        )
    checkpoint, key = spec.state.load_checkpoint(), spec.state.load_key()
    refuse_anew(spec.state, key, spec.topology, checkpoint)
    swarm = spec.topology.digest() if checkpoint is None else checkpoint.swarm
    with (
        open_store(spec.store, spec.state.path) as store,
        store.claimed(identity.peer_id, swarm, spec.journal, resumed=checkpoint is not None) as tail,
    ):
        privacy = privacy_of(spec.topology, store.database, spec.rows, checkpoint)
        refuse_forgotten(store.database.place, key, checkpoint, privacy)
        await _run(spec, key, privacy, checkpoint, stop, store, tail)


async def _run(
    spec: NodeSpec,
    key: KeyFile,
    privacy: Privacy,
    checkpoint: Checkpoint | None,
    stop: Callable[[], Awaitable[str]],
    store: Store,
    tail: Tail,
) -> None:
    identity = key.identity
    learner = make_learner(spec, privacy.strategy)
    initial = learner.vector()
    first_round, base = resume(learner, spec, checkpoint)
    answer = _face_of(spec, store)
    swarm = spec.topology.digest()
    roster = roster_of(spec)
    guard = guard_of(spec, identity, learner, initial, base, privacy)
    lookout = lookout_of(spec.topology, roster, learner, checkpoint)
    liar = None if spec.lying is None else spec.lying(learner, roster, None if guard is None else guard.sharing)
    me = spec.topology.nodes[spec.topology.index(spec.name)]
    neighbours = frozenset(spec.peers[name] for name in spec.topology.peer_list(spec.name))
    drawn = guard is not None and spec.topology.plan.drawn
    with journal_file.Journal.open(spec.journal) as book:
        feed = Feed(book)
        feed.attach(log_event)
        champions = Champions(store.models, learner, feed.write, time.time)
        async with (
            keeping_up(
                tail,
                store.database,
                keep=spec.keep,
                compute=ThreadCompute(),  # of its own: a batch need not wait for a training
                record=feed.write,
                wall_clock=time.time,
            ),
            open_workers(spec.topology.privacy.sharing, learner.parameters) as (machines, jobs),
            _listening(
                open_libp2p_transport(
                    identity,
                    me.listen,
                    neighbours,
                    spec.book,
                    Greeting(swarm=swarm, layout=learner.layout),
                    limits=TransportLimits(
                        wire=Limits(max_body=most_bytes_of(spec.topology, learner.parameters, guard))
                    ),
                    rng=random.Random(os.urandom(16)),
                ),
                me.listen,
            ) as transport,
        ):
            spec.book.publish(identity.peer_id, transport.address)
            health = health_of(
                spec.topology,
                spec.name,
                parameters=learner.parameters,
                address=transport.address,
                record=feed.write,
                wall_clock=time.time,
                watching=None if lookout is None else lambda: lookout.settings,
            )
            feed.attach(health.see)
            feed.write(
                journal.Started(
                    at=time.time(),
                    name=spec.name,
                    peer_id=identity.peer_id,
                    role="honest" if me.adversary is None else "adversary",
                    address=transport.address,
                    neighbours={name: spec.peers[name] for name in spec.topology.peer_list(spec.name)},
                    parameters=learner.parameters,
                    round=first_round,
                    rounds=spec.topology.rounds.count,
                    resumed=checkpoint is not None,
                    sharing=spec.topology.privacy.sharing,
                    dp=spec.topology.privacy.dp,
                    champion_version=learner.champion_version,
                    holdout_accuracy=learner.champion_holdout_accuracy if first_round else None,
                )
            )
            cells = cells_of(spec, guard, transport, first_round) if guard is not None and drawn else None

            sparing = spec.topology.rounds.send_threshold
            public = PublicCopy(sparing) if sparing > 0 else None
            levers = levers_of(spec.topology.privacy.sharing, lookout, learner, store.models)
            honest = levers.restore if liar is None else None
            recovery = recovery_of(spec.topology, roster, learner, honest, feed.write, checkpoint)

            def checkpoint_after(done: int) -> None:
                parts = learner.snapshot() | privacy.pack()
                parts |= {} if guard is None else pack_base(guard.base)
                parts |= {} if lookout is None else lookout.pack()
                parts |= {} if recovery is None else recovery.pack()
                parts |= pack_pause(runtime.paused)
                spec.state.save_checkpoint(Checkpoint(swarm, done, parts))
                champions.keep(done)

            champions.keep(first_round)
            runtime = Runtime(
                roster,
                terms_of(spec.topology),
                liar or learner,
                cells or (transport if public is None else SparingTransport(transport)),
                compute=ThreadCompute(),
                record=feed.write,
                checkpoint=checkpoint_after,
                wall_clock=time.time,
                private=None if guard is None else Privately(guard, machines, jobs),
                cells=cells,
                lookout=liar or lookout,
                recovery=recovery,
                public=public,
                levers=levers,
                paused=paused_in(checkpoint),
                enter=beginning(spec.state, key, spec.topology, checkpoint_after),
            )
            async with answer(feed, runtime.controls):
                reason = await live(runtime, first_round, stop, drain_s=spec.drain_s or spec.topology.rounds.deadline_s)
        times = os.times()  # of a worker process too, which has ended by now
        cpu_s = times.user + times.system + times.children_user + times.children_system
        feed.write(journal.Stopped(at=time.time(), reason=reason, cpu_s=cpu_s))


def _face_of(spec: NodeSpec, store: Store) -> Callable[[Feed, Controls], AbstractAsyncContextManager[None]]:
    """What answers for `spec`, where it has an API, which listens from now on."""
    if spec.api is None:
        return _faceless
    from node.api.face import answering  # noqa: PLC0415 - a node without an API does not wait a second for FastAPI

    return partial(
        answering,
        store=store,
        endpoint=spec.api,
        listener=listen(spec.api),
        topology=spec.topology,
        name=spec.name,
        state=spec.state,
        path=spec.journal,
        wall_clock=time.time,
    )


@asynccontextmanager
async def _faceless(feed: Feed, _: Controls) -> AsyncIterator[None]:
    why = "started without --api"
    feed.write(journal.ModuleChanged(at=time.time(), module="api", status="off", reason=why))
    yield


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
