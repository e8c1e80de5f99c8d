"""What is seen of the node: from its view, where nothing waits, and from its log. Nothing here changes the node."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import trio
from fastapi import APIRouter, Depends, Path, Query, Response

from node.api.access import BEARER, Needs
from node.api.problems import Refusal, documented
from node.api.rates import Buckets, Rate
from node.api.schemas import (
    Health,
    LogRecord,
    LogsAnswer,
    OverviewAnswer,
    PeersAnswer,
    PeerSummary,
    Readiness,
    TopologyAnswer,
    TopologyNode,
)
from node.api.sources import Sources
from node.api.tokens import Token
from node.view import ModelView, ModuleView, PeerView
from node.view.read_models import NAME_MAX

PeerName = Annotated[str, Path(min_length=1, max_length=NAME_MAX, description="As in the topology file.")]
Since = Annotated[str, Query(pattern=r"^[0-9TZ:.+-]{0,40}$", description="ISO 8601, UTC: not before.")]
ROUNDS = 128
MOST_ROUNDS = 1024
LOG_RATE = Rate(per_s=0.5, burst=10)
"""Readings of the log, with one token: each takes a tenth of a second of the processor that plays the rounds."""
RECORDS = 200
MOST_RECORDS = 1000


def reads(sources: Sources) -> APIRouter:
    """The endpoints that a token with the scope `read` opens."""
    router = APIRouter(
        prefix="/v1",
        tags=["seen"],
        dependencies=[Depends(BEARER), Depends(Needs("read"))],
        responses=documented(401, 403, 429),
    )
    view = sources.view

    @router.get("/overview")
    async def overview() -> OverviewAnswer:
        """The node on one screen, and what is wrong now."""
        return OverviewAnswer(node=view.overview, alerts=view.alerts)

    @router.get("/model", responses=documented(422))
    async def model(
        since: Annotated[int, Query(ge=0, le=2**62, description="First round to give figures of.")] = 0,
        limit: Annotated[int, Query(ge=0, le=MOST_ROUNDS, description="Rounds at most, the newest.")] = ROUNDS,
    ) -> ModelView:
        """Champion, challenger, versions, and figures by round."""
        seen = view.model
        rounds = tuple(point for point in seen.rounds if point.round >= since)
        return replace(seen, rounds=rounds[len(rounds) - min(limit, len(rounds)) :])

    @router.get("/peers")
    async def peers() -> PeersAnswer:
        """All peers, those on the peer list first."""
        summaries = tuple(PeerSummary.model_validate(peer) for peer in view.peers.values())
        return PeersAnswer(peers=summaries, passed_over=view.peers_passed_over)

    @router.get("/peers/{name}", responses=documented(404, 422))
    async def peer(name: PeerName) -> PeerView:
        """One peer: reputation with the evidence behind each point, verdict, latency, bytes."""
        return known_peer(sources, name)

    @router.get("/modules/{module}", responses=documented(422))
    async def module(
        module: Annotated[
            Literal["privacy", "sharing", "detection", "transport"], Path(description="Part of the node.")
        ],
    ) -> ModuleView:
        """How a part of the node works, and its settings in force."""
        return view.modules[module]

    @router.get("/topology")
    async def topology() -> TopologyAnswer:
        """Who may talk to whom, with this node's belief of its peers."""
        return drawn(sources)

    return router


def log_reads(sources: Sources) -> APIRouter:
    """The endpoint that a token with the scope `logs` opens."""
    router = APIRouter(
        prefix="/v1",
        tags=["seen"],
        dependencies=[Depends(BEARER)],
        responses=documented(401, 403, 422, 429),
    )
    readings = Buckets(LOG_RATE)

    @router.get("/logs", response_model=LogsAnswer)
    async def logs(
        token: Annotated[Token, Depends(Needs("logs"))],
        level: Annotated[
            Literal["debug", "info", "warning", "error", "critical"], Query(description="Or above.")
        ] = "info",
        search: Annotated[str, Query(max_length=200, description="Somewhere in the record.")] = "",
        since: Since = "",
        limit: Annotated[int, Query(ge=1, le=MOST_RECORDS, description="The newest.")] = RECORDS,
    ) -> Response:
        """The newest lines of the log that fit, oldest first."""
        if wait_s := readings.take(token.id, trio.current_time()):
            raise Refusal(
                429,
                "the log was read with this token too often",
                f"Ask again in {wait_s:.1f} s.",
                {"Retry-After": str(int(wait_s) + 1)},
            )

        def work() -> bytes:
            records, complete = sources.log.read(level=level, search=search, since=since, limit=limit)
            found = tuple(LogRecord.model_validate(record) for record in records)
            return LogsAnswer(records=found, complete=complete).model_dump_json().encode()

        return Response(await sources.compute.run(work), media_type="application/json")

    return router


def probes(sources: Sources) -> APIRouter:
    """For whatever keeps the node running: no token, and nothing that needs one."""
    router = APIRouter(tags=["probes"], responses=documented(429))

    @router.get("/healthz")
    async def healthz() -> Health:
        """The process answers."""
        return Health()

    @router.get("/readyz", responses=documented(503))
    async def readyz() -> Readiness:
        """The node plays rounds, or has played all of them; 503 before the first and while it is paused."""
        node = sources.view.overview
        if node.state not in ("running", "finished"):
            raise Refusal(
                503,
                f"the node is {node.state}{f': {node.state_reason}' if node.state_reason else ''}",
                "Ask again: it goes on by itself unless an operator paused it.",
                {"Retry-After": "5"},
            )
        return Readiness(state=node.state, round=node.round, rounds=node.rounds)

    return router


def known_peer(sources: Sources, name: str) -> PeerView:
    """The peer `name`. Raises `Refusal` (404) where the node knows none."""
    peer = sources.view.peer(name)
    if peer is None:
        raise Refusal(404, "this node knows no peer of that name", "GET /v1/peers lists those that it knows.")
    return peer


def drawn(sources: Sources) -> TopologyAnswer:
    """The topology as this node sees it."""
    topology, peers, names = sources.topology, sources.view.peers, sources.topology.names
    nodes = []
    for name in names:
        peer = peers.get(name)
        nodes.append(
            TopologyNode(
                name=name,
                me=name == sources.name,
                neighbour=peer is not None and peer.neighbour,
                up=name == sources.name or (peer is not None and peer.up),
                reputation=None if peer is None else peer.reputation,
                verdict=None if peer is None else peer.verdict,
                last_bytes=0 if peer is None else peer.last_bytes,
            )
        )
    return TopologyAnswer(
        name=topology.name,
        family=topology.graph.family,
        committee=topology.consensus.committee,
        rule=topology.consensus.rule,
        digest=topology.digest().hex(),
        nodes=tuple(nodes),
        edges=tuple((names[a], names[b]) for a, b in topology.edges()),
    )
