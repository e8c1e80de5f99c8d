import asyncio
import contextlib
import gzip
import itertools
import json
import tracemalloc

import httpx
import pytest

from node.console.orders import Order
from node.console.sources import node_log
from node.console.sources.answers import problem_of
from node.console.sources.http_source import HttpSource, checked_url, request_of
from node.console.sources.source import Operator, OrderRefused
from node.errors import UserError
from tests.node.console import material
from tests.node.console.sources.fake_node import Node, served
from tests.node.console.sources.harness import on_its_loop, record, running, texts, until


def lines_of(events):
    return [event.model_dump_json().encode() for event in events]


@on_its_loop
async def test_a_stream_that_breaks_is_taken_up_where_it_broke():
    node = Node(lines_of(material.opening()))
    async with served(node) as source, running(source) as desk:
        await until(lambda: desk.link.state == "stale")
        assert desk.current == "press-1"
        assert desk.edges == (("press-1", "press-2"),)
        seen = desk.scene().view.last_id
        assert seen == 100 * len(node.lines)
        node.lines += lines_of(material.rounds(2))
        node.let_go.clear()
        await until(lambda: desk.link.state == "live" and desk.scene().overview.round == 2)
        assert f"after={seen} " in node.requests[-1][0]
        assert all("Bearer gv_secret" in head for _, head, _ in node.requests)


@on_its_loop
async def test_a_token_that_is_not_let_in_is_stale_with_the_node_s_words():
    node = Node([])
    node.status = 401
    async with served(node) as source, running(source) as desk:
        await until(lambda: desk.link.state == "stale")
        assert desk.link.detail == "no such peer \N{REPLACEMENT CHARACTER}[2J Look at the list."


@on_its_loop
async def test_a_node_with_another_journal_is_read_from_its_beginning():
    node = Node(lines_of(material.opening()))
    async with served(node) as source, running(source) as desk:
        await until(lambda: desk.link.state == "stale")
        node.status = 422
        await until(lambda: desk.scene().view.last_id == 0)
        node.status = 200
        await until(lambda: desk.scene().view.last_id > 0)


@on_its_loop
async def test_orders_are_requests_and_refusals_are_told():
    node = Node([])
    async with served(node) as source:
        assert isinstance(source, Operator)
        await source.order(Order("quarantine", "press-2", "noisy", 60.0))
        line, _, body = node.requests[-1]
        assert line.startswith("POST /v1/peers/press-2/quarantine ")
        assert body in ('{"reason":"noisy","seconds":60.0}', '{"reason": "noisy", "seconds": 60.0}')
        node.status = 409
        with pytest.raises(OrderRefused, match="Look at the list"):
            await source.order(Order("pause", reason="x"))
    with pytest.raises(OrderRefused, match="cannot be reached"):
        await source.order(Order("pause", reason="x"))


def test_orders_have_their_paths():
    assert request_of(Order("roll-back", "3", "scrap")) == (
        "/v1/controls/roll-back",
        {"reason": "scrap", "version": 3},
    )
    assert request_of(Order("resume", reason="on")) == ("/v1/controls/resume", {"reason": "on"})
    assert request_of(Order("release", "../x?y", "r"))[0] == "/v1/peers/..%2Fx%3Fy/release"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"detail": 3}', b"null", b"x" * 10_000])
def test_any_answer_gives_a_line(content):
    said = problem_of(500, content)
    assert said
    assert said.isprintable()
    assert len(said) <= 400


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:8200", "http://plant.example", "ftp://127.0.0.1", "http://", "http://[::"]
)
def test_a_token_goes_nowhere_in_clear_text(url):
    with pytest.raises(UserError):
        checked_url(url)


@pytest.mark.parametrize("url", ["127.0.0.1:8200", "http://localhost:1", "http://[::1]:8200", "https://plant.example"])
def test_loopback_and_tls_are_where_a_token_may_go(url):
    assert checked_url(url).host


# --- its log ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    for name in ("EVERY_S", "REFUSED_S", "LOOK_S"):
        monkeypatch.setattr(node_log, name, 0.02)


@pytest.mark.usefixtures("impatient")
@on_its_loop
async def test_the_log_of_a_node_is_read_while_somebody_looks_each_record_once():
    node = Node(lines_of(material.opening()))
    node.records = [record("one"), record("round 0 closed", kind="round", id=7), record("two")]
    node.let_go.clear()
    async with served(node) as source, running(source) as desk:
        await until(lambda: desk.link.state == "live" and desk.current)
        await asyncio.sleep(0.1)
        assert not any("/v1/logs" in line for line, _, _ in node.requests)
        desk.reads_log = True
        await until(lambda: texts(desk) == ["one", "two"])
        node.records += [record("three"), record("four", 5)]  # of a time that was answered already, and of a later one
        await until(lambda: len(texts(desk)) == 4)
        asked = len(node.requests)
        await until(lambda: len(node.requests) > asked + 3)
        assert texts(desk) == ["one", "two", "three", "four"]
        assert "level=debug" in node.requests[-1][0]
        node.log_status = 403
        await until(lambda: desk.log_problem == "this token is not for the log")
        node.log_status = 200
        await until(lambda: desk.log_problem == "")
        node.let_go.set()  # the stream breaks: the next connection goes on where the log was
        await until(lambda: sum("/v1/events" in line for line, _, _ in node.requests) > 1)
        node.let_go.clear()
        node.records.append(record("five", 9))
        await until(lambda: len(texts(desk)) == 5)
        assert texts(desk) == ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b"[]",
        b'{"records": 3}',
        b'{"records": [3, {"timestamp": 4}, {}]}',
        b'{"records": [{"timestamp": "\\ud800"}]}',  # it could not be asked for again
        b"\xff",
    ],
)
def test_what_is_no_answer_has_no_records(content):
    assert node_log.records_of(content) == []


@on_its_loop
async def test_a_log_that_stays_at_one_time_is_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(node_log, "MOST_KNOWN", 4)
    asked = itertools.count()

    def answer(request):
        told = {"records": [record(str(next(asked)), more=number) for number in range(3)]}
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(told).encode()))

    log = node_log.NodeLog()
    async with httpx.AsyncClient(base_url="http://node", transport=httpx.MockTransport(answer)) as client:
        for _ in range(4):
            assert len(await log._ask(client)) == 3
            assert len(log._newest) <= 4


# --- what is no node --------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def impostor(answer):
    """A source of something that answers every request with what `answer` writes."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield HttpSource(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "gv_token")


async def nested(writer, status=b"403 Forbidden"):
    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n" + b"[" * 100_000)
    await writer.drain()


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden"])
@on_its_loop
async def test_json_nested_without_end_ends_no_source(status):
    async with impostor(lambda writer: nested(writer, status)) as source, running(source) as desk:
        await until(lambda: desk.link.state == "stale")


@on_its_loop
async def test_an_order_hears_no_more_than_a_refusal_is_long():
    sent = 0

    async def endless(writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()
            sent += 1

    async with impostor(endless) as source:
        with pytest.raises(OrderRefused, match="403"):
            await source.order(Order("pause", reason="maintenance"))
    assert sent < 64
    async with impostor(nested) as source:
        with pytest.raises(OrderRefused, match="403"):
            await source.order(Order("pause", reason="maintenance"))


@on_its_loop
async def test_what_comes_packed_is_not_unpacked():
    packed = gzip.compress(bytes(1 << 25))

    async def answer(writer):
        head = f"HTTP/1.1 403 Forbidden\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        await writer.drain()

    async with impostor(answer) as source:
        tracemalloc.start()
        try:
            with pytest.raises(OrderRefused, match="the node answers 403"):
                await source.order(Order("pause", reason="maintenance"))
            assert tracemalloc.get_traced_memory()[1] < 1 << 23
        finally:
            tracemalloc.stop()
