import asyncio
import contextlib
import json
import time
from functools import wraps
from urllib.parse import unquote

import pytest

from node import journal
from node.console.desk import Desk, Link
from node.console.orders import Order
from node.console.sources import node_log
from node.console.sources.answers import problem_of
from node.console.sources.folder_source import FolderSource
from node.console.sources.http_source import HttpSource, checked_url, request_of
from node.console.sources.journal_source import JournalSource
from node.console.sources.source import Operator, OrderRefused, Playback
from node.errors import UserError
from tests.node.console import material


def on_its_loop(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


@contextlib.asynccontextmanager
async def running(source):
    """The desk that `source` brings events to."""
    desk = Desk(Link(source.where))
    task = asyncio.create_task(source.run(desk))
    try:
        yield desk
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(found):
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


# --- a journal ------------------------------------------------------------------------------------------------------


@on_its_loop
async def test_a_replay_steps_by_round_goes_on_rewinds_and_ends(tmp_path):
    source = JournalSource(material.write(tmp_path / "journal.jsonl"), speed=1000)
    source.toggle()
    async with running(source) as desk:
        await until(lambda: desk.link.state == "paused" and desk.views)
        assert desk.scene().overview.round == 0
        source.step()
        await until(lambda: desk.scene().overview.round == 1)
        source.step()
        source.step()
        await until(lambda: desk.scene().overview.round == 3)
        await asyncio.sleep(0.15)
        assert desk.scene().overview.round == 3  # paused
        source.toggle()
        await until(lambda: desk.link.state == "ended")
        assert desk.scene().overview.round == material.ROUNDS
        source.toggle()
        source.rewind()
        await until(lambda: desk.scene().overview.round == 0)


@on_its_loop
async def test_a_replay_keeps_the_distance_of_its_events_times_the_speed(tmp_path):
    source = JournalSource(material.write(tmp_path / "journal.jsonl"), speed=100)
    began = time.monotonic()
    async with running(source) as desk:
        await until(lambda: desk.views and desk.scene().overview.round == 10)
        passed = time.monotonic() - began
    assert passed >= 49 / 100  # round 9 closes 50 s after the start
    assert desk.clock() >= material.BEGAN + 50


def test_the_speed_has_its_steps_and_its_ends(tmp_path):
    source = JournalSource(material.write(tmp_path / "journal.jsonl"), speed=9)
    assert source.speed == 10
    for _ in range(20):
        source.faster()
    assert source.speed == 1000
    for _ in range(20):
        source.slower()
    assert source.speed == 1
    assert isinstance(source, Playback)
    assert not isinstance(source, Operator)


def test_a_journal_that_is_not_there_is_an_error_of_the_input(tmp_path):
    with pytest.raises(UserError, match="is no file"):
        JournalSource(tmp_path / "none")


# --- a run's folder -------------------------------------------------------------------------------------------------


@on_its_loop
async def test_a_run_is_followed_while_nodes_come_and_write(tmp_path):
    async with running(FolderSource(tmp_path)) as desk:
        await until(lambda: desk.link.state == "connecting" and desk.link.detail)
        material.write(tmp_path / "press-10" / "journal.jsonl")
        material.write(tmp_path / "press-2" / "journal.jsonl")
        await until(lambda: len(desk.views) == 2)
        assert list(desk.views) == ["press-2", "press-10"]
        assert desk.current == "press-2"
        await until(lambda: desk.views["press-10"].overview.round == material.ROUNDS)
        await until(lambda: desk.link.state == "live")
        for name in desk.views:
            with journal.Journal.open(tmp_path / name / "journal.jsonl") as book:
                book.write(journal.Stopped(at=1.0, reason="told to"))
        await until(lambda: desk.link.state == "ended")


@on_its_loop
async def test_orders_to_a_run_go_to_the_node_that_is_shown_with_the_token_of_the_run(tmp_path):
    node = Node([])
    (tmp_path / "token").write_text("gv_run\n")
    async with served(node) as there, running(source := FolderSource(tmp_path)) as desk:
        assert source.deaf() == "No node has begun yet."
        material.write(tmp_path / "press-1" / "journal.jsonl")
        material.write(tmp_path / "press-2" / "journal.jsonl")
        with journal.Journal.open(tmp_path / "press-2" / "journal.jsonl") as book:
            book.write(material.module("api", url=str(there._url)))
        await until(lambda: len(desk.views) == 2 and source.deaf() and desk.views["press-2"].overview.round)
        assert source.deaf() == "press-1 has no API (no --api was given): start with --api HOST:PORT."
        with pytest.raises(OrderRefused, match="has no API"):
            await source.order(Order("pause", reason="maintenance"))
        desk.show("press-2")
        await until(lambda: source.deaf() is None)
        await source.order(Order("pause", reason="maintenance"))
        line, head, body = node.requests[-1]
        assert line == "POST /v1/controls/pause HTTP/1.1"
        assert "Bearer gv_run" in head
        assert "maintenance" in body
        (tmp_path / "token").unlink()
        assert "no token" in source.deaf()


@on_its_loop
async def test_the_token_of_a_run_goes_to_no_other_machine(tmp_path):
    (tmp_path / "token").write_text("gv_run\n")
    for number, url in enumerate(("https://203.0.113.7:8200", "http://203.0.113.7:8200", "", "http://[")):
        folder = tmp_path / str(number)
        material.write(folder / "press-1" / "journal.jsonl")
        (folder / "token").write_text("gv_run\n")
        with journal.Journal.open(folder / "press-1" / "journal.jsonl") as book:
            book.write(material.module("api", url=url))
        async with running(source := FolderSource(folder)) as desk:
            await until(lambda desk=desk: desk.views and desk.views["press-1"].modules["api"].status == "running")
            assert source.deaf()


def test_a_folder_that_is_not_there_is_an_error_of_the_input(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        FolderSource(tmp_path / "none")


# --- a node ---------------------------------------------------------------------------------------------------------


class Node:
    """An HTTP server by hand, so that it can break off where no server would."""

    def __init__(self, lines):
        self.lines, self.requests, self.status = lines, [], 200
        self.records, self.log_status = [], 200
        self.let_go = asyncio.Event()  # a stream that is not held breaks off at once
        self.let_go.set()

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[16:]) for line in head.splitlines() if line.lower().startswith("content-length: ")), 0)
        body = (await reader.readexactly(length)).decode() if length else ""
        self.requests.append((head.splitlines()[0], head, body))
        if "/v1/logs" in head:
            self.answer(writer, self.log_status, self.log(head))
        elif "/v1/topology" in head:
            self.answer(writer, 200, b'{"edges": [["press-1", "press-2"]]}')
        elif self.status != 200 or "POST" in head:
            self.answer(writer, self.status, b'{"detail": "no such peer \\u001b[2J", "remedy": "Look at the list."}')
        else:
            after = int(head.split("after=")[1].split()[0])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for number, line in enumerate(self.lines, 1):
                if 100 * number > after:
                    writer.write(b"id: %d\ndata: %s\n\n" % (100 * number, line))
            await writer.drain()
            await self.let_go.wait()
        with contextlib.suppress(OSError):
            writer.close()

    def log(self, head):
        """What the API answers: records at the time that is asked for or later."""
        if self.log_status != 200:
            return b'{"detail": "this token is not for the log"}'
        since = unquote(head.split("since=")[1].split("&")[0])
        records = [record for record in self.records if record["timestamp"] >= since]
        return json.dumps({"records": records, "complete": True}).encode()

    def answer(self, writer, status, body):
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)


@contextlib.asynccontextmanager
async def served(node):
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    async with server:
        yield HttpSource(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "gv_secret")
        node.let_go.set()


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


def record(event, second=0, **more):
    stamp = f"2025-10-09T08:53:{20 + second:02}.000000Z"
    return {"timestamp": stamp, "level": "info", "event": event, "node": "press-1", **more}


def texts(desk):
    return [line.text for line in desk.scene().records.among([])]


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
    "content", [b"", b"[" * 100_000, b"[]", b'{"records": 3}', b'{"records": [3, {"timestamp": 4}, {}]}', b"\xff"]
)
def test_what_is_no_answer_has_no_records(content):
    assert node_log.records_of(content) == []


def write_log(folder, *records):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in records)


@on_its_loop
async def test_the_log_of_the_node_that_is_shown_is_read_from_the_folder_of_a_run(tmp_path):
    for name in ("press-1", "press-2"):
        material.write(tmp_path / name / "journal.jsonl")
        write_log(tmp_path / name / "state", record(f"of {name}"))
    async with running(FolderSource(tmp_path)) as desk:
        await until(lambda: len(desk.views) == 2)
        desk.reads_log = True
        await until(lambda: texts(desk) == ["of press-1"])
        desk.show("press-2")
        await until(lambda: texts(desk) == ["of press-2"])
        write_log(tmp_path / "press-2" / "state", record("more", 1))
        await until(lambda: texts(desk) == ["of press-2", "more"])


@on_its_loop
async def test_the_log_beside_a_journal_is_replayed_with_it(tmp_path):
    source = JournalSource(material.write(tmp_path / "journal.jsonl"), speed=1000)
    write_log(tmp_path / "state", record("early", 1), record("late", 39))  # the journal begins at second 20
    source.toggle()
    async with running(source) as desk:
        desk.reads_log = True
        await until(lambda: desk.views)
        source.step()
        await until(lambda: texts(desk) == ["early"])
        source.toggle()
        await until(lambda: texts(desk) == ["early", "late"])
        source.toggle()
        source.rewind()
        await until(lambda: desk.scene().overview.round == 0 and texts(desk) == [])


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
