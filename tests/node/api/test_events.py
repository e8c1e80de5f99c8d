"""The stream of events: nothing is missed and nothing comes twice, however often it breaks off."""

import json
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from node import journal
from node.api import events as module
from tests.node.api.harness import closed, open_face, problem_of
from tests.node.api.test_gate import Caller


class Reader:
    """An open stream, read event by event."""

    def __init__(self, receive):
        self._receive = receive
        self._text = b""
        self.beats = 0

    async def next(self):
        """The next (id, event)."""
        while True:
            while b"\n\n" in self._text:
                block, _, self._text = self._text.partition(b"\n\n")
                fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
                self.beats += b"" in fields
                if b"id" in fields:
                    return int(fields[b"id"]), json.loads(fields[b"data"])
            with trio.fail_after(60):
                self._text += await self._receive.receive()


@asynccontextmanager
async def reading(face, token, query="", last_event_id=None):
    """An open stream. Leaving is a disconnect."""
    send, receive = trio.open_memory_channel(0)
    gone = trio.Event()
    headers = [(b"authorization", f"Bearer {token}".encode())]
    headers += [] if last_event_id is None else [(b"last-event-id", str(last_event_id).encode())]
    caller = Caller(face.application.app, "/v1/events", headers=headers, method="GET")
    caller.scope["query_string"] = query.encode()
    asked = False

    async def on_receive():
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def on_send(message):
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message["body"]:
            await send.send(message["body"])

    async def run():
        with send:
            await face.application.app(caller.scope, on_receive, on_send)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with receive:
            yield Reader(receive)
            gone.set()
            with trio.fail_after(5):
                await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def lines_of(face):
    return [json.loads(line) for line in face.sources.journal.read_bytes().splitlines()]


async def test_events_are_the_journals_lines_from_the_first(face):
    async with reading(face, face.token("v"), "after=0") as stream:
        wanted = await lines_of(face)
        got = [await stream.next() for _ in wanted]
    assert [event for _, event in got] == wanted
    assert got[-1][0] == face.feed.last_id


async def test_without_an_id_only_what_comes_is_told(face):
    async with reading(face, face.token("v")) as stream:
        await trio.testing.wait_all_tasks_blocked()
        face.feed.write(closed(4))
        number, event = await stream.next()
    assert (number, event["round"]) == (face.feed.last_id, 4)


async def test_a_reader_that_is_cut_off_again_and_again_misses_nothing(face):
    token, got, last = face.token("v"), [], 0
    for number in range(4, 24):
        # Cut off after an event or two, while more are written.
        async with reading(face, token, "after=0", last_event_id=last or None) as stream:
            for _ in range(1 + number % 2):
                if last < face.feed.last_id:
                    last, event = await stream.next()
                    got.append(event)
            face.feed.write(closed(number))
    wanted = await lines_of(face)
    async with reading(face, token, f"after={last}") as stream:
        while len(got) < len(wanted):
            got.append((await stream.next())[1])
    assert got == wanted


async def test_a_reader_that_does_not_read_holds_up_nobody(face):
    async with reading(face, face.token("v"), "after=0") as slow:
        for number in range(4, 504):
            face.feed.write(closed(number))  # returns at once, or this test would never end
        async with reading(face, face.token("w")) as quick:
            await trio.testing.wait_all_tasks_blocked()
            face.feed.write(closed(504))
            assert (await quick.next())[1]["round"] == 504
        rounds = []
        while not rounds or rounds[-1] != 504:
            event = (await slow.next())[1]
            rounds += [event["round"]] if event["type"] == "round" else []
    assert rounds == list(range(505))


async def test_ids_that_are_none_are_refused(face):
    token = face.token("v")
    async with face.client(token) as client:
        for after in (1, face.feed.last_id - 1, face.feed.last_id + 1, 2**62):
            assert problem_of(await client.get(f"/v1/events?after={after}"))["status"] == 422
        for wrong in ("-1", "x", "9" * 19, "9" * 40, "1.5", ""):
            answer = await client.get("/v1/events", headers={"Last-Event-ID": wrong})
            assert problem_of(answer)["status"] == 422, wrong


async def test_a_revoked_token_ends_its_stream(face, autojump_clock):
    async with reading(face, face.token("v"), "after=0") as stream:
        for _ in await lines_of(face):
            await stream.next()
        await trio.testing.wait_all_tasks_blocked()
        face.tokens.revoke("v", face.now)
        with trio.fail_after(2 * module.HEARTBEAT_S), pytest.raises(trio.EndOfChannel):
            await stream.next()
        assert stream.beats == 1


async def test_there_is_room_for_so_many_and_no_more(face):
    token, other = face.token("v"), face.token("w")
    async with reading(face, other), trio.open_nursery() as nursery:

        async def hold(task_status):
            async with reading(face, token):
                task_status.started()
                await trio.sleep_forever()

        for _ in range(module.MOST_STREAMS_A_TOKEN):
            await nursery.start(hold)
        await trio.testing.wait_all_tasks_blocked()
        async with face.client(token) as client:
            problem = problem_of(await client.get("/v1/events"))
        assert (problem["status"], "8 streams are open with this token, 9 in all" in problem["detail"]) == (429, True)
        nursery.cancel_scope.cancel()
    async with reading(face, token) as stream:
        await trio.testing.wait_all_tasks_blocked()
        face.feed.write(closed(4))
        await stream.next()


async def test_streams_end_when_the_node_does(tmp_path):
    async with open_face(tmp_path) as face:
        face.feed.write(journal.Ready(at=1, up=0, expected=1))
        async with reading(face, face.token("v"), "after=0") as stream:
            await stream.next()
            await trio.testing.wait_all_tasks_blocked()
            face.application.streams.close()
            with pytest.raises(trio.EndOfChannel):
                await stream.next()
