"""The feed: every event once, in order, to the journal and to all listeners, whichever thread wrote it."""

import pytest
import trio
import trio.testing

from node import journal, journal_file
from node.errors import StateError
from node.feed import Feed, is_id, read_from


def ready(number: int) -> journal.Ready:
    return journal.Ready(at=number, up=number, expected=9)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


@pytest.fixture
def book(path):
    with journal_file.Journal.open(path) as book:
        yield book


async def test_an_id_is_the_offset_of_the_lines_end(book, path):
    feed, seen = Feed(book), []
    feed.attach(lambda event, at: seen.append((event, at)))
    feed.write(ready(1))
    feed.write(ready(2))
    first, second = path.read_bytes().splitlines(keepends=True)
    assert seen == [(ready(1), len(first)), (ready(2), len(first) + len(second))]
    assert feed.last_id == path.stat().st_size


async def test_ids_go_on_where_the_process_before_ended(path):
    with journal_file.Journal.open(path) as book:
        Feed(book).write(ready(1))
    before = path.stat().st_size
    with journal_file.Journal.open(path) as book:
        feed = Feed(book)
        assert feed.last_id == before
        feed.write(ready(2))
    assert read_from(path, before, 1000)[0] == [(feed.last_id, ready(2).model_dump_json().encode())]


async def test_what_cannot_be_written_down_is_an_error_in_two_lines(book, path, full_after):
    feed = Feed(book)
    with full_after(0), pytest.raises(StateError, match=r"journal\.jsonl cannot be written: File too large"):
        feed.write(ready(1))
    feed.write(ready(2))
    assert journal_file.read(path) == [ready(2)]


async def test_events_of_other_threads_come_on_the_loop_in_the_journals_order(book, path):
    feed, seen = Feed(book), []
    feed.attach(lambda event, end: seen.append((int(event.at), end)))

    def work(start: int) -> None:
        for number in range(start, start + 200):
            feed.write(ready(number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, work, 1000)
        nursery.start_soon(trio.to_thread.run_sync, work, 2000)
        for number in range(200):
            feed.write(ready(number))
            await trio.lowlevel.checkpoint()
    await feed.beyond(path.stat().st_size - 1)
    written = [int(journal.parse(line).at) for line in path.read_bytes().splitlines()]
    assert [at for at, _ in seen] == written
    assert len(written) == 600
    assert [end for _, end in seen] == sorted({end for _, end in seen})


async def test_a_listener_that_writes_is_heard_by_all_in_order(book):
    feed, seen = Feed(book), []

    def answer(event, _id):
        if event.at == 1:
            feed.write(ready(2))

    feed.attach(answer)
    feed.attach(lambda event, _id: seen.append(event.at))
    feed.write(ready(1))
    assert seen == [1, 2]


async def test_waiting_ends_with_the_next_event(book, autojump_clock):
    feed = Feed(book)
    with trio.move_on_after(5) as patience:
        await feed.beyond(feed.last_id)
    assert patience.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.beyond, feed.last_id)
        await trio.testing.wait_all_tasks_blocked()
        feed.write(ready(1))
    assert await feed.beyond(0) == feed.last_id


async def test_reading_in_pieces_misses_nothing_and_passes_over_torn_lines(book, path):
    feed = Feed(book)
    feed.write(ready(1))
    with path.open("ab") as file:
        file.write(b'{"type": "rea\n' * 50)
    feed.write(ready(2))
    with path.open("ab") as file:
        file.write(b'{"type":"ready","at":3')  # being written
    at, end, pieces = [], -1, 0
    start = 0
    while start != end:
        end = start
        lines, start = read_from(path, end, 100)
        assert all(is_id(path, line_end) for line_end, _ in lines)
        at += [journal.parse(line).at for _, line in lines]
        pieces += 1
    assert at == [1, 2]
    assert start == feed.last_id
    assert pieces > 3


async def test_what_is_no_id_is_known(book, path):
    feed = Feed(book)
    feed.write(ready(1))
    assert is_id(path, 0)
    assert is_id(path, feed.last_id)
    assert not is_id(path, feed.last_id - 1)
    assert not is_id(path, feed.last_id + 1)
    assert not is_id(path, 2**63)
    assert not is_id(path, -1)
