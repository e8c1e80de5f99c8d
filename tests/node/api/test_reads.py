"""What is seen of a node over HTTP is what its view shows."""

import dataclasses
import json
import threading

import httpx
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from node import journal
from node.api.app import create_app
from node.api.metrics import SECONDS, Metrics
from node.api.reads import LOG_RATE
from node.compute import ThreadCompute
from tests.node.api.harness import closed, problem_of

SEEN = (
    "/v1/overview",
    "/v1/model",
    "/v1/peers",
    "/v1/peers/press-2",
    "/v1/modules/detection",
    "/v1/topology",
    "/v1/logs",
)


async def test_the_overview_is_the_views_and_says_what_is_wrong(face):
    async with face.client(face.token("v")) as client:
        answer = (await client.get("/v1/overview")).json()
    assert answer["node"]["name"] == "press-1"
    assert answer["node"]["round"] == 4
    assert answer["node"]["last_id"] == face.feed.last_id
    assert any("press-2 quarantined: too far" in alert["text"] for alert in answer["alerts"])


async def test_the_model_has_the_newest_rounds_that_were_asked_for(face):
    async with face.client(face.token("v")) as client:
        rounds = [p["round"] for p in (await client.get("/v1/model?limit=2")).json()["rounds"]]
        since = [p["round"] for p in (await client.get("/v1/model?since=1")).json()["rounds"]]
        none = (await client.get("/v1/model?limit=0")).json()
    assert rounds == [2, 3]
    assert since == [1, 2, 3]
    assert none["rounds"] == []
    assert none["champion_version"] == 3


async def test_a_peer_comes_with_the_evidence_behind_each_point(face):
    async with face.client(face.token("v")) as client:
        answer = (await client.get("/v1/peers/press-2")).json()
        listed = (await client.get("/v1/peers")).json()["peers"]
    assert answer["verdict"] == "quarantined"
    assert [(e["kind"], e["before"], e["after"]) for e in answer["evidence"]] == [("distance", 100.0, 42.0)]
    assert [(p["name"], p["reputation"]) for p in listed] == [("press-2", 42.0), ("press-3", 100.0)]
    assert all("evidence" not in peer for peer in listed)


async def test_a_peer_that_nobody_knows_is_a_404(face):
    async with face.client(face.token("v")) as client:
        problem = problem_of(await client.get("/v1/peers/press-9"))
    assert problem["status"] == 404
    assert "GET /v1/peers" in problem["remedy"]


async def test_the_topology_has_every_node_and_edge(face):
    async with face.client(face.token("v")) as client:
        answer = (await client.get("/v1/topology")).json()
    assert sorted(map(sorted, answer["edges"])) == [
        ["press-1", "press-2"],
        ["press-1", "press-3"],
        ["press-2", "press-3"],
    ]
    nodes = {node["name"]: node for node in answer["nodes"]}
    assert nodes["press-1"]["me"]
    assert (nodes["press-2"]["up"], nodes["press-2"]["reputation"]) == (True, 42.0)
    assert not nodes["press-3"]["up"]
    assert answer["digest"] == face.sources.topology.digest().hex()


async def test_a_warm_api_is_ready_and_no_request_is_counted_that_nobody_made(face):
    assert not face.warmed
    await face.application.warm()
    assert face.warmed
    async with face.client(face.token("v")) as client:
        assert 'route="/healthz"' not in (await client.get("/metrics")).text


async def test_modules_say_how_they_work(face):
    async with face.client(face.token("v")) as client:
        answer = (await client.get("/v1/modules/detection")).json()
        assert (answer["status"], answer["settings"]) == ("running", {"penalty": 25})
        assert problem_of(await client.get("/v1/modules/secrets"))["status"] == 422


async def test_readiness_follows_the_node(face):
    async with face.client() as client:
        assert (await client.get("/readyz")).json() == {"state": "running", "round": 4, "rounds": 10}
        face.feed.write(journal.Paused(at=1, round=4, cause="operator", reason="maintenance"))
        problem = problem_of(await client.get("/readyz"))
        assert problem["status"] == 503
        assert "maintenance" in problem["detail"]
        assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_metrics_are_of_this_node_alone(face):
    async with face.client(face.token("v")) as client:
        await client.get("/v1/peers/press-9")
        text = (await client.get("/metrics")).text
    assert "grapevine_round 4.0" in text
    assert 'grapevine_peer_averaged{peer="press-2"} 0.0' in text
    assert 'grapevine_state{state="running"} 1.0' in text
    assert 'grapevine_api_request_seconds_count{method="GET",route="/v1/peers/{name}",status="404"} 1.0' in text
    assert "process_resident_memory_bytes" in text


async def test_metrics_are_what_prometheus_reads(face):
    """As its own parser has them, and those of the API as its own library counts them."""
    theirs = CollectorRegistry()
    times = Histogram("x", "y", ("method", "route", "status"), buckets=SECONDS, registry=theirs)
    mine = Metrics(face.view)
    for number in range(200):
        labels, seconds = ("GET", f"/v1/{'{name}' if number % 3 else 'x'}", 200 + number % 2), number / 150
        mine.note(*labels, seconds)
        times.labels(*map(str, labels)).observe(seconds)
    mine.note("GET", "on the bound", 200, 0.005)
    times.labels("GET", "on the bound", "200").observe(0.005)

    def samples(text, family):
        return {
            (sample.name.removeprefix(family), *sorted(sample.labels.items())): sample.value
            for found in text_string_to_metric_families(text)
            for sample in found.samples
            if found.name == family and not sample.name.endswith("_created")
        }

    text = mine.text().decode()
    wanted = samples(generate_latest(theirs).decode(), "x")
    assert len(wanted) == 5 * (len(SECONDS) + 3)
    assert samples(text, "grapevine_api_request_seconds") == wanted
    assert len({found.name for found in text_string_to_metric_families(text)}) == text.count("# TYPE")


async def test_metrics_follow_the_node(face):
    mine = Metrics(face.view)
    assert b"grapevine_round 4.0" in mine.text()
    face.feed.write(closed(4))
    assert b"grapevine_round 5.0" in mine.text()


async def test_the_log_is_not_read_where_the_rounds_are_played(face):
    read_in = []

    class Reading:
        def read(self, **_):
            read_in.append(threading.get_ident())
            return [], True

    sources = dataclasses.replace(face.sources, log=Reading(), compute=ThreadCompute())
    transport = httpx.ASGITransport(create_app(sources).app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers={"Authorization": f"Bearer {face.token('v')}"}
    ) as client:
        assert (await client.get("/v1/logs")).json() == {"records": [], "complete": True}
    assert read_in != [threading.get_ident()]
    assert len(read_in) == 1


@pytest.mark.parametrize("path", [*SEEN, "/v1/events", "/metrics"])
async def test_nothing_is_seen_without_a_token(face, path):
    async with face.client() as client:
        answer = await client.get(path)
    assert problem_of(answer)["status"] == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_log_is_filtered(face):
    def line(second, level, event):
        return json.dumps(
            {"timestamp": f"2026-01-01T00:00:{second:02}Z", "level": level, "event": event, "round": second}
        )

    old = [line(1, "info", "old one")]
    new = [line(2, "debug", "quiet"), "torn", line(3, "warning", "Loud one"), line(4, "info", "last one")]
    path = face.sources.log.path
    path.with_name("log.jsonl.1").write_text("\n".join(old) + "\n")
    path.write_text("\n".join(new) + "\n" + line(5, "error", "being written")[:20])
    async with face.client(face.token("v")) as client:

        async def events(query):
            answer = (await client.get(f"/v1/logs?{query}")).json()
            return [record["event"] for record in answer["records"]], answer["complete"]

        assert await events("") == (["old one", "Loud one", "last one"], True)
        assert await events("level=warning") == (["Loud one"], True)
        assert await events("level=debug&search=QUIET") == (["quiet"], True)
        assert await events("search=one&limit=2") == (["Loud one", "last one"], False)
        assert await events("since=2026-01-01T00:00:03Z") == (["Loud one", "last one"], True)
        assert problem_of(await client.get("/v1/logs?level=loud"))["status"] == 422


async def test_one_token_does_not_read_the_log_all_the_time(face):
    """A megabyte is read for an answer, on the processor that plays the rounds."""
    async with face.client(face.token("eager")) as client, face.client(face.token("calm")) as other:
        statuses = [(await client.get("/v1/logs")).status_code for _ in range(20)]
        assert statuses == [200] * int(LOG_RATE.burst) + [429] * (20 - int(LOG_RATE.burst))
        refused = await client.get("/v1/logs")
        assert "Ask again in" in problem_of(refused)["remedy"]
        assert int(refused.headers["retry-after"]) >= 1
        assert (await other.get("/v1/logs")).status_code == 200
        assert (await client.get("/v1/overview")).status_code == 200
