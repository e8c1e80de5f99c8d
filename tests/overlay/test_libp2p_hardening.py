"""Every way in which libp2p 0.8.1 was seen to break by itself: none takes our transport down.

A new release of libp2p is taken up when this and `test_libp2p_access.py` pass.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import trio
from libp2p.io.exceptions import ConnectionClosedError
from trio.testing import MockClock

from consensus.messages import Contribution
from overlay import libp2p_socket
from overlay.libp2p_link import open_link
from overlay.libp2p_transport import open_libp2p_transport
from overlay.transport import PeerDown, Received
from overlay.wire import Decoder, encode
from tests.overlay.libp2p_attackers import (
    HELLO,
    MULTISTREAM,
    assert_still_works,
    delimited,
    member_link,
    member_session,
    sessions,
    tasks_and_sockets,
)
from tests.overlay.test_transport_conformance import contribution, pair, until, until_rounds, until_up
from tests.overlay.transports import GREETING, QUICK, identity, open_libp2p_swarm, peer_id


@pytest.fixture
async def swarm():
    async with open_libp2p_swarm() as swarm:
        yield swarm


@pytest.mark.parametrize(
    "name", [b"\xff\xfe\xfd", b"/grapevine/2", b"", b"a" * 120], ids=["utf8", "unknown", "empty", "long"]
)
async def test_a_bad_protocol_name_on_a_stream_ends_that_stream_alone(swarm, name):
    bert = await swarm.open("bert", "anna", "cleo")
    cleo = await swarm.open("cleo", "bert")
    await until_up(swarm, bert, "cleo")
    async with member_link(swarm, "anna", "bert") as link:
        await link.send([HELLO])
        await until_up(swarm, bert, "anna")
        stray = await link._muxer.open_stream()
        await stray.write(MULTISTREAM + delimited(name))
        await link.send([b"".join(encode(contribution(1)))])
        assert await until_rounds(swarm, bert, 1) == [1]
    cleo.send(bert.peer_id, contribution(2))
    await until(swarm, bert, lambda event: isinstance(event, Received) and event.message.round == 2)


async def test_a_bad_protocol_name_on_the_first_stream_is_survived(swarm):
    anna_bert = await pair(swarm)
    async with member_session(swarm, "anna", "bert") as (session, _):
        await session.write(MULTISTREAM + delimited(b"\xff\xfe"))
        await trio.sleep(0.1)
    await assert_still_works(swarm, *anna_bert)


async def test_a_peer_that_vanishes_in_the_middle_of_a_frame_takes_nothing_with_it(swarm):
    bert = await swarm.open("bert", "anna", "cleo")
    cleo = await swarm.open("cleo", "bert")
    await until_up(swarm, bert, "cleo")
    for _ in range(5):
        async with member_link(swarm, "anna", "bert") as link:
            await link.send([HELLO, b"".join(encode(contribution(0, 10_000)))[:5_000]])
            await until_up(swarm, bert, "anna")
    cleo.send(bert.peer_id, contribution(9))
    await until(swarm, bert, lambda event: isinstance(event, Received) and event.message.round == 9)


async def test_connections_come_and_go_without_number_and_leave_no_task_or_socket(swarm):
    bert = await swarm.open("bert", "anna")
    async with member_link(swarm, "anna", "bert") as link:  # what is made once is there now
        await link.send([HELLO])
        await until_up(swarm, bert, "anna")
    await until(swarm, bert, lambda event: isinstance(event, PeerDown))
    before = tasks_and_sockets()
    for _ in range(40):
        async with member_link(swarm, "anna", "bert") as link:
            await link.send([HELLO])
            await until_up(swarm, bert, "anna")
        await until(swarm, bert, lambda event: isinstance(event, PeerDown))
    await trio.sleep(0.1)
    after = tasks_and_sockets()
    assert after == before


async def test_a_cancelled_write_ends_the_session_instead_of_corrupting_it():
    async with sessions() as ((left, _), (right, _)):
        await left.write(b"whole")
        assert await right.read(5) == b"whole"
        with trio.move_on_after(0.05) as scope:
            await left.write(bytes(64 << 20))  # more than the system buffers, and nobody reads
        assert scope.cancelled_caught
        with pytest.raises(ConnectionClosedError, match="cut short"):
            await left.write(b"more")


async def test_a_cancelled_send_before_the_write_begins_harms_nothing():
    async with sessions() as ((left, _), (right, _)):
        for number in range(30):
            with trio.CancelScope() as scope:
                scope.cancel()
                await trio.lowlevel.checkpoint()
                await left.write(b"never")
            await left.write(bytes([number]))
            assert await right.read(1) == bytes([number])


async def test_frames_in_any_number_of_pieces_are_put_together(monkeypatch):
    monkeypatch.setattr(libp2p_socket, "RECEIVE_BYTES", 300)  # stock gives up at the 102nd piece
    payload = random.Random(1).randbytes(300_000)
    async with sessions() as ((left, _), (right, _)), trio.open_nursery() as nursery:
        nursery.start_soon(left.write, payload)
        assert await right.read(len(payload)) == payload


@pytest.fixture
def clock_to_jump():
    return MockClock(rate=1.0)  # real time, until a test jumps


async def test_a_reader_that_pauses_longer_than_yamux_waits_loses_nothing(clock_to_jump):
    message = Contribution(0, 0, np.arange(8 << 20, dtype=np.float32))  # 32 MiB: more than the window
    async with sessions() as ((left, left_socket), (right, right_socket)), trio.open_nursery() as nursery:

        async def send() -> None:
            async with open_link(left, left_socket, opener=True) as link:
                await link.send(encode(message))
                await trio.sleep_forever()

        nursery.start_soon(send)
        async with open_link(right, right_socket, opener=False) as link:
            await trio.sleep(0.3)  # the sender runs into its window
            clock_to_jump.jump(6)  # stock resets the stream after 5 s without credit
            await trio.sleep(0.1)
            decoder, got = Decoder(), []
            while not got:
                got = decoder.receive(await link.receive(decoder.wanted))
        np.testing.assert_array_equal(got[0].vector, message.vector)
        nursery.cancel_scope.cancel()


@pytest.mark.processes
async def test_a_frozen_process_goes_down_and_stalls_neither_the_others_nor_the_close(tmp_path):
    script = textwrap.dedent(
        """
        import random, sys, trio
        from overlay.libp2p_transport import open_libp2p_transport
        from overlay.discovery import StaticBook
        from tests.overlay.transports import GREETING, QUICK, identity, peer_id
        async def main():
            peers = [peer_id("anna"), peer_id("bert")]
            async with open_libp2p_transport(identity("cleo"), "/ip4/127.0.0.1/tcp/0", peers, StaticBook({}), GREETING,
                                             limits=QUICK, rng=random.Random(1)) as cleo:
                print(cleo.address, flush=True)
                while True:
                    await cleo.next_event()
        trio.run(main)
        """
    )
    command = [sys.executable, "-c", script]
    frozen = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=Path.cwd())
    try:
        with trio.fail_after(60):
            address = (await frozen.stdout.receive_some()).decode()
        async with open_libp2p_swarm() as swarm:
            book = {peer_id("cleo"): address.strip()}
            async with _two_around(swarm, book) as (anna, bert):
                await until_up(swarm, bert, "cleo")
                frozen.send_signal(signal.SIGSTOP)
                for r in range(40):
                    bert.send(peer_id("cleo"), Contribution(r, 0, np.zeros(1 << 18, np.float32)))
                down = (await until(swarm, bert, lambda event: isinstance(event, PeerDown)))[-1]
                assert down.peer == peer_id("cleo")
                assert "no sign of life" in down.reason
                anna.send(bert.peer_id, contribution(5))
                await until(swarm, bert, lambda event: isinstance(event, Received))
                frozen.send_signal(signal.SIGCONT)
                await until_up(swarm, bert, "cleo")
                frozen.send_signal(signal.SIGSTOP)
                for r in range(40):
                    bert.send(peer_id("cleo"), Contribution(r, 0, np.zeros(1 << 18, np.float32)))
                await trio.sleep(0.1)  # now a write hangs, and leaving must not
                began = trio.current_time()
            assert trio.current_time() - began < QUICK.silence_s
    finally:
        frozen.kill()
        with trio.CancelScope(shield=True):
            await frozen.wait()
            await frozen.stdout.aclose()


@asynccontextmanager
async def _two_around(swarm, addresses):
    class Book:
        def publish(self, peer_id, address):
            addresses[peer_id] = address

        def lookup(self, peer_id):
            return addresses.get(peer_id)

    book = Book()
    peers = [peer_id(name) for name in ("anna", "bert", "cleo")]
    common = dict(admitted=peers, book=book, greeting=GREETING, limits=QUICK, rng=random.Random(2))
    loopback = "/ip4/127.0.0.1/tcp/0"
    async with (
        open_libp2p_transport(identity("anna"), loopback, **common) as anna,
        open_libp2p_transport(identity("bert"), loopback, **common) as bert,
    ):
        book.publish(bert.peer_id, bert.address)
        await until_up(swarm, anna, "bert")
        yield anna, bert


async def test_nobody_is_dialled_but_admitted_peers_of_higher_id():
    asked = []

    class Book:
        def publish(self, peer_id, address): ...

        def lookup(self, peer_id):
            asked.append(peer_id)

    admitted = [peer_id(name) for name in ("anna", "bert", "cleo")]
    async with open_libp2p_transport(
        identity("bert"), "/ip4/127.0.0.1/tcp/0", admitted, Book(), GREETING, limits=QUICK, rng=random.Random(1)
    ):
        await trio.sleep(0.3)
    assert set(asked) == {peer_id("cleo")}


async def test_closing_leaves_no_task_and_no_socket():
    before = tasks_and_sockets()
    async with open_libp2p_swarm() as swarm:
        anna, bert = await pair(swarm)
        await swarm.close("anna")
        await until(swarm, bert, lambda event: event == PeerDown(anna.peer_id, event.reason))
    await trio.sleep(0.05)
    after = tasks_and_sockets()
    assert after == before
