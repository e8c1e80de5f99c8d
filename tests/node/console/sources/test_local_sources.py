import asyncio
import json
import time

import pytest

from node import journal, journal_file
from node.console.orders import Order
from node.console.sources.folder_source import FolderSource
from node.console.sources.journal_source import JournalSource
from node.console.sources.source import Operator, OrderRefused, Playback
from node.errors import UserError
from tests.node.console import material
from tests.node.console.sources.fake_node import Node, served
from tests.node.console.sources.harness import on_its_loop, record, running, texts, until

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
            with journal_file.Journal.open(tmp_path / name / "journal.jsonl") as book:
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
        with journal_file.Journal.open(tmp_path / "press-2" / "journal.jsonl") as book:
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
        with journal_file.Journal.open(folder / "press-1" / "journal.jsonl") as book:
            book.write(material.module("api", url=url))
        async with running(source := FolderSource(folder)) as desk:
            await until(lambda desk=desk: desk.views and desk.views["press-1"].modules["api"].status == "running")
            assert source.deaf()


def test_a_folder_that_is_not_there_is_an_error_of_the_input(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        FolderSource(tmp_path / "none")


# --- logs on disk -----------------------------------------------------------------------------------------------------


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
