"""Every way in which libp2p 0.8.1 was seen to break, and every attack on it: none takes our transport down.

A new release of libp2p is taken up when these pass.
"""

from __future__ import annotations

import logging
import random
import signal
import struct
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.exceptions import SwarmException
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.protocol_muxer.exceptions import MultiselectClientError, MultiselectError
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr
from trio.testing import MockClock

from consensus.messages import Contribution
from overlay import libp2p_socket
from overlay.addresses import LOOPBACK
from overlay.discovery import StaticBook
from overlay.libp2p_link import Authenticator, LinkDown, _agree, open_link
from overlay.libp2p_noise import NoiseSession
from overlay.libp2p_socket import Socket
from overlay.libp2p_transport import NO_HANDSHAKE, open_libp2p_transport
from overlay.transport import PeerDown, Received, Refused
from overlay.wire import Decoder, encode
from tests.overlay.test_transport_conformance import contribution, pair, until, until_refused, until_rounds, until_up
from tests.overlay.transports import GREETING, QUICK, identity, open_libp2p_swarm, peer_id

HELLO = b"".join(encode(GREETING))
MULTISTREAM = b"\x13/multistream/1.0.0\n"


@pytest.fixture
async def swarm():
    async with open_libp2p_swarm() as swarm:
        yield swarm


def delimited(text: bytes) -> bytes:
    return bytes([len(text) + 1]) + text + b"\n"


async def raw(swarm, name: str) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", swarm.ports[name])


async def read_to_end(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        with trio.fail_after(20):
            while more := await stream.receive_some():
                data += more
    except trio.BrokenResourceError:
        pass
    return data


def tasks_and_sockets() -> tuple[int, int]:
    return trio.lowlevel.current_statistics().tasks_living, len(list(Path("/proc/self/fd").iterdir()))


async def assert_still_works(swarm, anna, bert) -> list[Refused]:
    """The pair was not disturbed: messages pass, and no event comes but refusals, which it returns."""
    anna.send(bert.peer_id, contribution(77))
    events = await until(swarm, bert, lambda event: isinstance(event, Received) and event.message.round == 77)
    refusals = [event for event in events[:-1] if isinstance(event, Refused)]
    assert len(refusals) == len(events) - 1, events
    return refusals


@asynccontextmanager
async def member_session(swarm, name: str, target: str):
    """An authenticated Noise session of a hostile member, whose next bytes are up to the test."""
    socket = Socket(await raw(swarm, target), "", is_initiator=True, silence_s=QUICK.silence_s)
    session = await Authenticator(identity(name)).outbound(socket, peer_id(target))
    try:
        yield session, socket
    finally:
        socket.shut()


@asynccontextmanager
async def member_link(swarm, name: str, target: str):
    async with (
        member_session(swarm, name, target) as (session, socket),
        open_link(session, socket, opener=True) as link,
    ):
        yield link


@asynccontextmanager
async def sessions():
    """Two ends of an authenticated session over real sockets."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        far = await listener.accept()
        left = Socket(near, "near", is_initiator=True, silence_s=1.0)
        right = Socket(far, "far", is_initiator=False, silence_s=1.0)
        dialled: list[NoiseSession] = []
        done = trio.Event()

        async def dial() -> None:
            dialled.append(await Authenticator(identity("anna")).outbound(left, peer_id("bert")))
            done.set()

        nursery.start_soon(dial)
        accepted = await Authenticator(identity("bert")).inbound(right)
        await done.wait()
        yield (dialled[0], left), (accepted, right)
        left.shut()
        right.shut()


# -- stability ----------------------------------------------------------------------------------------------------


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


# -- identity and access ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [PLAINTEXT_PROTOCOL_ID, "/tls/1.0.0", "/secio/1.0.0", "/noise/2"])
async def test_no_other_security_protocol_is_spoken(swarm, protocol):
    await swarm.open("bert", "anna")
    stream = await raw(swarm, "bert")
    async with stream:
        await stream.send_all(MULTISTREAM + delimited(protocol.encode()))
        assert await read_to_end(stream) == MULTISTREAM + delimited(b"na")


async def test_an_identity_cannot_be_forged_over_plaintext(swarm):
    bert = await swarm.open("bert", "anna")
    victim = create_new_key_pair(identity("anna").seed)  # the attacker needs its public half alone
    host = new_host(key_pair=victim, sec_opt={PLAINTEXT_PROTOCOL_ID: InsecureTransport(victim)})
    async with host.run(listen_addrs=[]):
        info = info_from_p2p_addr(_addr(bert))
        with pytest.raises(SwarmException), trio.fail_after(20):
            await host.get_network().dial_addr(info.addrs[0], info.peer_id)
        await host.close()
    refused = await until_refused(swarm, bert)
    assert refused.peer is None
    assert refused.reason == NO_HANDSHAKE


def _addr(transport) -> Multiaddr:
    return Multiaddr(transport.address)


async def test_a_stranger_learns_after_its_handshake_and_not_a_byte_later(swarm):
    bert = await swarm.open("bert", "cleo")
    async with member_session(swarm, "anna", "bert") as (session, _):
        with suppress(ConnectionClosedError):
            await session.write(bytes(1000))
        with pytest.raises(ConnectionClosedError):
            await session.read(1)  # not even the multiplexer is offered
    assert (await until_refused(swarm, bert)).peer == peer_id("anna")


async def test_whoever_answers_with_another_key_is_not_taken_for_the_peer(swarm):
    await swarm.open("cleo", "anna")
    wrong = f"/ip4/127.0.0.1/tcp/{swarm.ports['cleo']}/p2p/{peer_id('bert')}"

    class Book:
        def publish(self, peer_id, address): ...

        def lookup(self, peer_id):
            return wrong

    async with open_libp2p_transport(
        identity("anna"),
        "/ip4/127.0.0.1/tcp/0",
        [peer_id("bert")],
        Book(),
        GREETING,
        limits=QUICK,
        rng=random.Random(1),
    ) as anna:
        refused = await until_refused(swarm, anna)
        assert refused.peer is None
        assert refused.address == wrong
        assert "another PeerId" in refused.reason


async def test_the_peer_that_should_not_dial_is_turned_away(swarm):
    anna = await swarm.open("anna", "bert")
    with pytest.raises(LinkDown):
        async with member_link(swarm, "bert", "anna") as link:
            await link.receive(1)
    refused = await until_refused(swarm, anna)
    assert refused.peer == peer_id("bert")
    assert "lower PeerId dials" in refused.reason


async def test_a_stock_libp2p_peer_is_understood(swarm):
    """On the other end: py-libp2p's own host, Noise and yamux, with its identify streams."""
    bert = await swarm.open("bert", "anna")
    keys = create_new_key_pair(identity("anna").seed)
    noise = NoiseTransport(keys, noise_privkey=new_x25519_key_pair().private_key)
    host = new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_opt={TProtocol("/yamux/1.0.0"): Yamux})
    async with host.run(listen_addrs=[]):
        info = info_from_p2p_addr(_addr(bert))
        await host.get_network().dial_addr(info.addrs[0], info.peer_id)
        stream = await host.new_stream(info.peer_id, [TProtocol("/grapevine/1")])
        big = Contribution(3, 0, np.arange(200_000, dtype=np.float32))
        await stream.write(HELLO + b"".join(encode(big)))
        await until_up(swarm, bert, "anna")
        event = (await until(swarm, bert, lambda event: isinstance(event, Received)))[-1]
        np.testing.assert_array_equal(event.message.vector, big.vector)
        bert.send(peer_id("anna"), big)
        decoder, got = Decoder(), []
        with trio.fail_after(20):
            while not any(isinstance(message, Contribution) for message in got):
                got += decoder.receive(await stream.read(65536))
        assert got[0] == GREETING
        np.testing.assert_array_equal(got[-1].vector, big.vector)
        await host.close()


# -- floods -------------------------------------------------------------------------------------------------------


def _attacks() -> dict[str, bytes]:
    gigabyte = b"\x80\x80\x80\x80\x04"  # as a varint
    return {
        "random": random.Random(3).randbytes(4096),
        "1-GB-protocol-name": gigabyte + bytes(4096),
        "endless-varint": b"\xff" * 4096,
        "huge-noise-message": MULTISTREAM + delimited(b"/noise") + b"\xff\xff" + bytes(65535),
        "bad-utf8-protocol": MULTISTREAM + delimited(b"\xff\xfe"),
        "noise-of-zeros": MULTISTREAM + delimited(b"/noise") + (struct.pack(">H", 48) + bytes(48)) * 3,
    }


@pytest.mark.parametrize("attack", _attacks())
async def test_strangers_bytes_are_cut_off_and_named(swarm, attack):
    anna_bert = await pair(swarm)
    for _ in range(3):
        stream = await raw(swarm, "bert")
        async with stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(_attacks()[attack])
            answer = await read_to_end(stream)
            assert len(answer) < 1024
    refused = await until_refused(swarm, anna_bert[1])
    assert refused.peer is None
    assert refused.address.startswith("/ip4/127.0.0.1/tcp/")
    await assert_still_works(swarm, *anna_bert)


class _Announcer:
    """A channel on which a name of a gigabyte is announced, and comes."""

    def __init__(self) -> None:
        self._head = MULTISTREAM + b"\x80\x80\x80\x80\x04"
        self.read_bytes = 0

    async def read(self, n=None):
        await trio.lowlevel.checkpoint()
        data, self._head = (self._head[:n], self._head[n:]) if self._head else (bytes(min(n, 1 << 16)), b"")
        self.read_bytes += len(data)
        return data

    async def write(self, data): ...

    async def close(self): ...


@pytest.mark.parametrize("propose", [True, False])
async def test_what_a_peer_announces_is_not_read(propose):
    channel = _Announcer()
    with pytest.raises((MultiselectError, MultiselectClientError)):
        await _agree(channel, "/noise", propose=propose)
    assert channel.read_bytes < 2048


async def test_a_thousand_connections_disturb_nobody_and_are_told_in_a_few_lines(swarm):
    anna, bert = await pair(swarm)
    streams = []
    for number in range(1_000):
        with suppress(OSError, trio.BrokenResourceError):  # most are reset at once
            streams.append(await raw(swarm, "bert"))
            if number % 2:
                await streams[-1].send_all(random.Random(number).randbytes(64))
    told = await assert_still_works(swarm, anna, bert)
    with trio.fail_after(swarm.patience_s):
        while sum(refused.count for refused in told) < 990:  # of some nothing is left to be seen when they are taken up
            event = await bert.next_event()
            assert isinstance(event, Refused)
            told.append(event)
    assert len(told) < 100
    for stream in streams:
        await stream.aclose()


async def test_idle_connections_do_not_keep_an_honest_peer_out(swarm):
    limits = replace(QUICK, upgrade_s=60.0, half_open_per_address=8)  # longer than this test waits
    async with open_libp2p_transport(
        identity("bert"), LOOPBACK, [peer_id("anna")], StaticBook({}), GREETING, limits=limits, rng=random.Random(1)
    ) as bert:
        swarm.ports["bert"] = int(bert.address.split("/")[4])
        idle = [await raw(swarm, "bert") for _ in range(limits.half_open_per_address)]
        await swarm.open("anna", "bert")
        await until_up(swarm, bert, "anna")
        for stream in idle:
            await stream.aclose()


async def test_a_member_that_ignores_its_window_is_cut_off_before_it_fills_the_memory(swarm):
    bert = await swarm.open("bert", "anna")
    sent = 0
    async with member_link(swarm, "anna", "bert") as link:
        await link.send([HELLO])
        await until_up(swarm, bert, "anna")
        huge = b"".join(encode(contribution(0, 1_000_000)))
        with suppress(LinkDown), trio.fail_after(30):
            while sent < 400 << 20:  # bert's node fetches nothing
                link._stream.send_window = 1 << 30
                await link.send([huge])
                sent += len(huge)
    assert sent < 200 << 20
    refused = await until_refused(swarm, bert)
    assert refused.peer == peer_id("anna")
    assert "window" in refused.reason


async def test_a_member_that_announces_a_frame_of_a_gigabyte_is_cut_off(swarm):
    bert = await swarm.open("bert", "anna")
    async with member_link(swarm, "anna", "bert") as link:
        await link.send([HELLO])
        await until_up(swarm, bert, "anna")
        await link._muxer._write_frame(struct.pack("!BBHII", 0, 0, 0, link._stream.stream_id, 1 << 30))
        await until(swarm, bert, lambda event: isinstance(event, PeerDown))


async def test_a_member_that_opens_stream_after_stream_is_cut_off(swarm):
    bert = await swarm.open("bert", "anna")
    async with member_link(swarm, "anna", "bert") as link:
        await link.send([HELLO])
        await until_up(swarm, bert, "anna")
        with suppress(MuxedStreamError, ConnectionClosedError), trio.fail_after(20):
            for _ in range(200):
                await link._muxer.open_stream()
        refused = await until_refused(swarm, bert)
    assert refused.peer == peer_id("anna")
    assert "streams" in refused.reason


async def test_nothing_is_printed_whatever_comes_in(swarm, capfd, monkeypatch):
    logger = logging.getLogger("libp2p")  # pytest hangs its own handlers there, and they would swallow what we look for
    monkeypatch.setattr(logger, "handlers", [h for h in logger.handlers if type(h) is logging.NullHandler])
    _, bert = await pair(swarm)
    for data in _attacks().values():
        stream = await raw(swarm, "bert")
        async with stream:
            await stream.send_all(data)
            await read_to_end(stream)
    async with member_session(swarm, "anna", "bert") as (session, _):
        await session.write(bytes(100))
    await swarm.nursery.start(_serve_garbage, swarm)  # in place of cleo, whom anna dials
    with pytest.raises(LinkDown):
        async with member_link(swarm, "anna", "cleo"):
            pass
    await swarm.close("anna")
    await until(swarm, bert, lambda event: isinstance(event, PeerDown))
    assert capfd.readouterr() == ("", "")


async def _serve_garbage(swarm, task_status) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(b"\x05ssh-\n" * 10)
            await read_to_end(stream)

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    swarm.ports["cleo"] = listener.socket.getsockname()[1]
    task_status.started()
    await trio.serve_listeners(answer, [listener])


async def test_closing_leaves_no_task_and_no_socket():
    before = tasks_and_sockets()
    async with open_libp2p_swarm() as swarm:
        anna, bert = await pair(swarm)
        await swarm.close("anna")
        await until(swarm, bert, lambda event: event == PeerDown(anna.peer_id, event.reason))
    await trio.sleep(0.05)
    after = tasks_and_sockets()
    assert after == before
