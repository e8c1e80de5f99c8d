"""The node's figures for Prometheus: read from the view when asked for, in a registry of the application's own.

Prometheus' own library writes out a label in as much time as the rest of the node needs for an answer. What follows
from the view is therefore kept until the next event, and the API's own times, which each request changes, are written
here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from node.api.access import BEARER, Needs
from node.api.problems import documented
from node.view import Overview, View

STATES: Final = ("awaited", "gathering", "running", "paused", "finished", "stopped")
STATUSES: Final = ("running", "degraded", "off", "unknown")
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


_BOUNDS: Final = (*map(str, SECONDS), "+Inf")
_HEAD: Final = """# HELP grapevine_api_request_seconds From the gate to the end of the answer, event streams left out.
# TYPE grapevine_api_request_seconds histogram
"""


class Metrics:
    """What one application tells."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._seen, self._process = CollectorRegistry(), CollectorRegistry()
        self._seen.register(_Seen(view))
        ProcessCollector(registry=self._process)
        self._requests: dict[tuple[str, str, int], _Times] = {}
        self._text = -1, b""
        """Of the view, and the event after which it was written."""

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the endpoint's pattern: what a caller writes makes no series."""
        key = method, route, status
        times = self._requests.get(key)
        if times is None:
            times = self._requests[key] = _Times(*key)
        times.note(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        if self._text[0] != self._view.last_id:
            self._text = self._view.last_id, generate_latest(self._seen)
        requests = _HEAD + "".join(times.text() for times in self._requests.values())
        return self._text[1] + generate_latest(self._process) + requests.encode()


class _Times:
    """How long answers of one kind took."""

    def __init__(self, method: str, route: str, status: int) -> None:
        # No character of these would have to be escaped: patterns are the application's own.
        labels = f'method="{method}",route="{route}",status="{status}"'
        name = "grapevine_api_request_seconds"
        self._heads = [f'{name}_bucket{{le="{bound}",{labels}}} ' for bound in _BOUNDS]
        self._count, self._total = f"{name}_count{{{labels}}} ", f"{name}_sum{{{labels}}} "
        self._counts = [0] * len(_BOUNDS)
        self._sum = 0.0

    def note(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def text(self) -> str:
        lines, count = [], 0
        for head, here in zip(self._heads, self._counts, strict=True):
            count += here
            lines.append(f"{head}{count}.0\n")
        return "".join((*lines, f"{self._count}{count}.0\n", f"{self._total}{self._sum!r}\n"))


class _Seen(Collector):
    """What the view shows at this moment."""

    def __init__(self, view: View) -> None:
        self._view = view

    def describe(self) -> list[Metric]:
        """Nothing: asked for when it is registered, before there is anything to see."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family a figure; those that are not known yet are left out."""
        node = self._view.overview
        yield from _gauges(node)
        yield from _counters(node)
        state = GaugeMetricFamily("grapevine_state", "1 at the state that the node is in.", labels=("state",))
        for name in STATES:
            state.add_metric((name,), float(node.state == name))
        yield state
        yield from self._of_modules()
        yield from self._of_peers()

    def _of_modules(self) -> Iterator[Metric]:
        modules = GaugeMetricFamily("grapevine_module", "1 at the status of each part.", labels=("module", "status"))
        for module in self._view.modules.values():
            for status in STATUSES:
                modules.add_metric((module.name, status), float(module.status == status))
        yield modules

    def _of_peers(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("grapevine_peer_up", "1 where the peer is connected.", labels=("peer",))
        reputation = GaugeMetricFamily("grapevine_peer_reputation", "Of 100.", labels=("peer",))
        averaged = GaugeMetricFamily(
            "grapevine_peer_averaged", "0 where it is quarantined or evicted.", labels=("peer",)
        )
        latency = GaugeMetricFamily("grapevine_peer_latency_seconds", "There and back.", labels=("peer",))
        for peer in self._view.peers.values():
            up.add_metric((peer.name,), float(peer.up))
            reputation.add_metric((peer.name,), peer.reputation)
            averaged.add_metric((peer.name,), float(peer.verdict not in ("quarantined", "evicted")))
            if peer.latency_ms is not None:
                latency.add_metric((peer.name,), peer.latency_ms / 1000)
        yield from (up, reputation, averaged, latency)


def _gauges(node: Overview) -> Iterator[Metric]:
    figures = (
        ("grapevine_round", "Rounds closed.", node.round),
        ("grapevine_rounds", "Rounds that there are to be.", node.rounds),
        ("grapevine_champion_version", "Of the model in use.", node.champion_version),
        ("grapevine_champion_accuracy", "Of the model in use, on the holdout, of 1.", node.champion_accuracy),
        ("grapevine_challenger_accuracy", "Of the working model, on the holdout, of 1.", node.challenger_accuracy),
        ("grapevine_consensus_distance", "To the vectors averaged in the last round.", node.consensus_distance),
        ("grapevine_epsilon", "Epsilon that may have left the node.", node.epsilon),
        ("grapevine_epsilon_budget", "Epsilon that may leave the node.", node.epsilon_budget),
        ("grapevine_round_seconds", "The last round took.", node.round_s),
        ("grapevine_neighbours", "On the peer list.", len(node.neighbours)),
        ("grapevine_neighbours_up", "Of those, connected.", len(node.up)),
    )
    for name, text, value in figures:
        if value is not None:
            yield GaugeMetricFamily(name, text, value=value)


def _counters(node: Overview) -> Iterator[Metric]:
    figures = (
        ("grapevine_bytes_sent", "To all peers.", node.bytes_sent),
        ("grapevine_bytes_received", "From all peers.", node.bytes_received),
        ("grapevine_void_rounds", "Rounds that averaged nothing.", node.void_rounds),
        ("grapevine_refused", "Strangers and broken connections.", node.refused),
        ("grapevine_faults", "Messages that no honest peer sends.", node.faults),
        ("grapevine_restarts", "Times that the node resumed.", node.restarts),
    )
    for name, text, value in figures:
        yield CounterMetricFamily(name, text, value=value)


def metrics_route(metrics: Metrics) -> APIRouter:
    """The endpoint that a token with the scope `read` opens."""
    router = APIRouter(
        tags=["probes"], dependencies=[Depends(BEARER), Depends(Needs("read"))], responses=documented(401, 403, 429)
    )

    @router.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus' text format.",
                "content": {"text/plain": {"schema": {"type": "string"}, "example": "grapevine_round 17.0\n"}},
            }
        },
    )
    async def metrics_() -> Response:
        """Figures of the node, its peers, its process and this API."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
