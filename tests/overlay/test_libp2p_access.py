"""Strangers, impostors, floods and hostile members: refused, named, and felt by nobody else."""

from __future__ import annotations

import logging
import random
import struct
from contextlib import suppress
from dataclasses import replace

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

from consensus.messages import Contribution
from overlay.addresses import LOOPBACK
from overlay.discovery import StaticBook
from overlay.libp2p_link import LinkDown, _agree
from overlay.libp2p_transport import NO_HANDSHAKE, open_libp2p_transport
from overlay.transport import PeerDown, Received, Refused
from overlay.wire import Decoder, encode
from tests.overlay.libp2p_attackers import (
    HELLO,
    MULTISTREAM,
    assert_still_works,
    delimited,
    member_link,
    member_session,
    raw,
    read_to_end,
)
from tests.overlay.test_transport_conformance import contribution, pair, until, until_refused, until_up
from tests.overlay.transports import GREETING, QUICK, identity, open_libp2p_swarm, peer_id


@pytest.fixture
async def swarm():
    async with open_libp2p_swarm() as swarm:
        yield swarm


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
