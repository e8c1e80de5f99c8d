"""A node's API without the node: its journal, feed and view are real, what it is told is written down."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from node import journal, journal_file
from node.api.app import Application, create_app
from node.api.gate import LOOPBACK_HOSTS, Limits
from node.api.logs import LogFile
from node.api.sources import Sources
from node.api.tokens import SCOPES_OF, TokenFile, mint
from node.compute import InlineCompute
from node.controls import ControlRefused
from node.feed import Feed
from node.store.store import Store, open_store
from node.store.tail import Tail
from node.view import View
from overlay.topology import Topology

NOW = 1_760_000_000.0
NAMES = ("press-1", "press-2", "press-3")


class Told:
    """Controls that note what they are told, and refuse what the test says."""

    def __init__(self) -> None:
        self.orders: list[tuple] = []
        self.refusal: ControlRefused | None = None

    async def _order(self, *order) -> None:
        await trio.lowlevel.checkpoint()
        if self.refusal is not None:
            raise self.refusal
        self.orders.append(order)

    async def pause(self, actor, reason):
        await self._order("pause", actor, reason)

    async def resume(self, actor, reason):
        await self._order("resume", actor, reason)

    async def quarantine(self, actor, peer_name, seconds, reason):
        await self._order("quarantine", actor, peer_name, seconds, reason)

    async def release(self, actor, peer_name, reason):
        await self._order("release", actor, peer_name, reason)

    async def roll_back(self, actor, version, reason):
        await self._order("roll-back", actor, version, reason)

    async def revoke(self, actor, peer_name, reason):
        await self._order("revoke", actor, peer_name, reason)


class Face:
    """One API and what is behind it. `now` moves when the test says so."""

    def __init__(self, folder: Path, book: journal_file.Journal, limits: Limits, store: Store) -> None:
        self.now = NOW
        self.told = Told()
        self.feed, self.view = Feed(book), View()
        self.feed.attach(self.view.see)
        self.tokens = TokenFile(folder / "tokens.json")
        self.sources = Sources(
            topology=Topology.of(
                {"name": "plant", "graph": {"family": "ring"}, "node": tuple({"name": n} for n in NAMES)}, "a test"
            ),
            name="press-1",
            view=self.view,
            feed=self.feed,
            journal=folder / "journal.jsonl",
            controls=self.told,
            store=store,
            compute=InlineCompute(),
            tokens=self.tokens,
            log=LogFile(folder / "log.jsonl"),
            wall_clock=lambda: self.now,
            hosts=LOOPBACK_HOSTS,
            limits=limits,
        )
        self.application: Application = create_app(self.sources)

    @property
    def warmed(self) -> bool:
        """Whether the first request, which makes the endpoints ready, is past."""
        return self.application.inner.middleware_stack is not None

    def token(self, name, role="viewer", scopes=None, lasts_s=None) -> str:
        token, text = mint(
            name,
            role,
            SCOPES_OF[role] if scopes is None else scopes,
            now=self.now,
            expires_at=None if lasts_s is None else self.now + lasts_s,
            randbytes=os.urandom,
        )
        self.tokens.add(token)
        return text

    def client(self, token: str | None = None, **options) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.application.app, **options)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    def keep(self) -> None:
        """Bring what happened into the store."""
        Tail(self.sources.store.database, self.sources.journal).catch_up()

    def live(self) -> None:
        """A node that has played three rounds, distrusts one peer, and is paused by nobody."""
        write = self.feed.write
        write(started())
        write(journal.Connected(at=NOW, peer="press-2", up=1))
        write(journal.Ready(at=NOW, up=1, expected=2))
        write(journal.ModuleChanged(at=NOW, module="detection", status="running", settings={"penalty": 25}))
        for number in range(3):
            write(closed(number))
        write(
            journal.Evidence(
                at=NOW, round=3, peer="press-2", kind="distance", severity="high", reason="far from all others"
            )
        )
        write(
            journal.VerdictChanged(
                at=NOW,
                round=3,
                peer="press-2",
                before="trusted",
                after="quarantined",
                until=NOW + 120,
                reason="too far",
            )
        )
        write(closed(3, reputation={"press-2": 42.0}))


def started() -> journal.Started:
    return journal.Started(
        at=NOW,
        name="press-1",
        peer_id="12D3KooWtest",
        address="/ip4/127.0.0.1/tcp/4001",
        neighbours={"press-2": "12D3Koo2", "press-3": "12D3Koo3"},
        parameters=100,
        round=0,
        rounds=10,
        resumed=False,
        champion_version=0,
    )


def closed(number: int, **changes) -> journal.RoundClosed:
    figures = dict(
        at=NOW + number,
        round=number,
        outcome="averaged",
        present=("press-2",),
        absent=("press-3",),
        train_s=0.1,
        exchange_s=0.1,
        round_s=0.2,
        loss=0.5,
        holdout_loss=0.4,
        holdout_accuracy=0.9,
        consensus_distance=0.1,
        bytes_sent=1000,
        bytes_received=2000,
        champion_version=number,
    )
    return journal.RoundClosed(**(figures | changes))


@asynccontextmanager
async def open_face(folder: Path, limits: Limits | None = None) -> AsyncIterator[Face]:
    with journal_file.Journal.open(folder / "journal.jsonl") as book, open_store(None, folder) as store:
        yield Face(folder, book, limits or Limits(), store)


def problem_of(answer: httpx.Response) -> dict:
    """The problem that an answer is; it must be one, and say why."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return problem
