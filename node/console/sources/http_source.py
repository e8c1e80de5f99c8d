"""A live node, through its API: events as a stream that is taken up where it broke, orders as requests."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx

from node import journal
from node.console.desk import Desk
from node.console.orders import Order
from node.console.sources.answers import bounded, problem_of
from node.console.sources.node_log import NodeLog
from node.console.sources.pace import Pace
from node.console.sources.source import OrderRefused
from node.console.sources.stream import Frame, Splitter
from node.errors import UserError
from node.words import plain

CONNECT_S: Final = 5.0
SILENT_S: Final = 25.0
"""The node says something every ten seconds; when it has not for so long, it is gone."""
ORDER_S: Final = 120.0
"""An order is answered when it is done: between two rounds."""
WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


class HttpSource:
    """The node at `url`, seen and told with `token`."""

    def __init__(self, url: str, token: str, ca: Path | None = None) -> None:
        """`ca` vouches for a certificate that this machine does not know. Raises UserError for what cannot be used."""
        self._url = checked_url(url)
        self._token = token
        self._trust: ssl.SSLContext | bool = True
        if ca is not None:
            self._trust = _trusting(ca)

    @property
    def where(self) -> str:
        """The address, without the scheme."""
        return self._url.host if self._url.port is None else f"{self._url.host}:{self._url.port}"

    @property
    def host(self) -> str:
        """Of the address."""
        return self._url.host

    def deaf(self) -> str | None:
        """As `Operator.deaf`; the node itself says why not."""
        return None

    async def run(self, desk: Desk) -> None:
        """Follow until cancelled; over broken connections and restarts of the node."""
        failures, log = 0, NodeLog()
        while True:
            try:
                async with self._client() as client:
                    await self._edges(client, desk)
                    reading = asyncio.create_task(log.follow(client, desk))
                    try:
                        async for _ in self._follow(client, desk):
                            failures = 0
                    finally:
                        reading.cancel()
                desk.tell("stale", "the node closed the stream")
            except httpx.HTTPError as error:
                desk.tell("stale", _reason(error))
            except _Denied as denied:
                desk.tell("stale", str(denied))
            await asyncio.sleep(WAITS_S[min(failures, len(WAITS_S) - 1)])
            failures += 1

    async def order(self, order: Order) -> None:
        """Have it done. Raises OrderRefused with what the node says."""
        path, body = request_of(order)
        try:
            async with self._client() as client, client.stream("POST", path, json=body, timeout=ORDER_S) as answer:
                content = await bounded(answer)
        except httpx.HTTPError as error:
            raise OrderRefused(f"the node cannot be reached: {_reason(error)}") from error
        if answer.status_code != httpx.codes.OK:
            raise OrderRefused(problem_of(answer.status_code, content))

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._token}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(CONNECT_S, read=SILENT_S),
            verify=self._trust,
            trust_env=False,  # the token is for the node: no proxy of the environment sees it
        )

    async def _follow(self, client: httpx.AsyncClient, desk: Desk) -> AsyncIterator[None]:
        """One connection; yields with every piece of the stream."""
        after = desk.views[desk.current].last_id if desk.current else 0
        async with client.stream("GET", "/v1/events", params={"after": after}) as answer:
            if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY and after:
                desk.forget(desk.current)  # another journal than the one we read: from its beginning
                return
            if answer.status_code != httpx.codes.OK:
                raise _Denied(problem_of(answer.status_code, await bounded(answer)))
            desk.tell("live")
            splitter, pace = Splitter(), Pace(desk)
            async for piece in answer.aiter_raw():  # as in `bounded`
                for frame in splitter.feed(piece):
                    self._take(desk, frame)
                    if pace.over:
                        await pace.rest()
                yield

    def _take(self, desk: Desk, frame: Frame) -> None:
        event = journal.parse(frame.data)
        if event is not None:
            name = event.name if isinstance(event, journal.Started) else self.where
            desk.take(desk.current or plain(name), [(event, frame.id)])

    async def _edges(self, client: httpx.AsyncClient, desk: Desk) -> None:
        """The graph of the swarm, where the token may see it; the drawing shows the peer list otherwise."""
        async with client.stream("GET", "/v1/topology") as answer:
            content = await bounded(answer)
        if answer.status_code != httpx.codes.OK:
            return
        try:
            edges = json.loads(content)["edges"]
            desk.edges = tuple((plain(str(one)), plain(str(other))) for one, other in edges)
        except (ValueError, KeyError, TypeError, RecursionError):
            return


class _Denied(Exception):  # noqa: N818 - the node's refusal, not ours
    """The node answers, and does not let us in."""


def checked_url(url: str) -> httpx.URL:
    """`url`, where a token may go there. Raises UserError."""
    try:
        parsed = httpx.URL(url if "://" in url else f"http://{url}")
    except (httpx.InvalidURL, ValueError) as error:
        raise UserError(f"{plain(url)} is no address: {error}", "Give http://127.0.0.1:PORT or https://…") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UserError(f"{plain(url)} is no address of an API", "Give http://127.0.0.1:PORT or https://HOST:PORT.")
    if parsed.scheme == "http" and not is_loopback(parsed.host):
        raise UserError(
            f"{plain(url)}: the token would cross the network in clear text",
            "Use https, or a tunnel: ssh -L 8200:127.0.0.1:8200 HOST, and then http://127.0.0.1:8200.",
        )
    return parsed


def request_of(order: Order) -> tuple[str, dict[str, str | float | int]]:
    """Path and body of the request that has `order` done."""
    body: dict[str, str | float | int] = {"reason": order.reason}
    if order.action in ("pause", "resume"):
        return f"/v1/controls/{order.action}", body
    if order.action == "roll-back":
        return "/v1/controls/roll-back", body | {"version": int(order.target)}
    if order.action == "quarantine":
        body["seconds"] = order.seconds
    return f"/v1/peers/{quote(order.target, safe='')}/{order.action}", body


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trusting(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"{ca} cannot be used: {error}", "Give the certificate, in PEM, that signed the node's."
        ) from None


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ReadTimeout):
        return f"it has said nothing for {SILENT_S:.0f} s"
    return plain(str(error) or type(error).__name__)
