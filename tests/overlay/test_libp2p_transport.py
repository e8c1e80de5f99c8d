"""What is the libp2p transport's own: who dials when, heartbeats, counters, addresses. The rest: conformance suite."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from consensus.messages import Contribution
from overlay.addresses import LOOPBACK
from overlay.libp2p_limits import TransportLimits
from overlay.libp2p_transport import open_libp2p_transport
from overlay.transport import PeerDown, Received
from tests.overlay.test_transport_conformance import calm, contribution, pair, until, until_up
from tests.overlay.transports import GREETING, QUICK, identity, open_libp2p_swarm, peer_id


@pytest.fixture
async def swarm():
    async with open_libp2p_swarm() as swarm:
        yield swarm


class Book:
    def __init__(self, addresses):
        self.addresses = addresses

    def publish(self, peer_id, address):
        self.addresses[peer_id] = address

    def lookup(self, peer_id):
        return self.addresses.get(peer_id)


def opened(name, admitted, book, *, limits=QUICK, seed=1, listen=LOOPBACK):
    peers = [peer_id(other) for other in admitted]
    return open_libp2p_transport(identity(name), listen, peers, book, GREETING, limits=limits, rng=random.Random(seed))


def closed_port(name: str) -> str:
    return f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(name)}"


# -- dialling -----------------------------------------------------------------------------------------------------


async def dial_times(monkeypatch, seed: int, within_s: float, limits: TransportLimits) -> list[float]:
    """When a peer that never answers is dialled, in virtual time."""
    times = []

    async def refuse(host, port):
        times.append(trio.current_time())
        raise ConnectionRefusedError

    monkeypatch.setattr(trio, "open_tcp_stream", refuse)
    began = trio.current_time()
    async with opened("anna", ["bert"], Book({peer_id("bert"): closed_port("bert")}), limits=limits, seed=seed):
        await trio.sleep(within_s)
    return [time - began for time in times]


async def test_dials_back_off_with_jitter_up_to_a_bound(autojump_clock, monkeypatch):
    limits = TransportLimits(redial_first_s=0.1, redial_most_s=10.0)
    times = await dial_times(monkeypatch, 1, 300.0, limits)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] < 0.01
    for turn, gap in enumerate(gaps):
        bound = min(0.1 * 2**turn, 10.0)
        assert 0.5 * bound - 1e-6 <= gap <= bound + 1e-6
    assert max(gaps) > 5
    assert len({round(gap, 3) for gap in gaps[-10:]}) > 5  # jitter, not a beat that nodes share


async def test_the_jitter_is_the_callers(autojump_clock, monkeypatch):
    once = await dial_times(monkeypatch, 1, 60.0, QUICK)
    again = await dial_times(monkeypatch, 1, 60.0, QUICK)
    other = await dial_times(monkeypatch, 2, 60.0, QUICK)
    assert once == pytest.approx(again)
    assert once != pytest.approx(other)


async def test_a_new_address_in_the_book_ends_the_back_off():
    patient = replace(QUICK, redial_first_s=60.0, redial_most_s=60.0)
    book = Book({peer_id("bert"): closed_port("bert")})
    async with open_libp2p_swarm() as swarm, opened("anna", ["bert"], book, limits=patient) as anna:
        await trio.sleep(0.2)
        async with opened("bert", ["anna"], Book({})) as bert:
            book.publish(bert.peer_id, bert.address)
            await until_up(swarm, anna, "bert")


async def test_a_dial_into_a_black_hole_ends(monkeypatch, autojump_clock):
    dials = []

    async def hang(host, port):
        dials.append(port)
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", hang)
    async with opened("anna", ["bert"], Book({peer_id("bert"): closed_port("bert")})):
        await trio.sleep(20 * QUICK.upgrade_s)
    assert len(dials) > 5


# -- heartbeats ---------------------------------------------------------------------------------------------------


async def test_an_idle_connection_stays_up_and_its_round_trip_is_known(swarm):
    anna, bert = await pair(swarm)
    with trio.move_on_after(2 * QUICK.silence_s):
        pytest.fail(f"unexpected {await anna.next_event()}")
    for transport, other in ((anna, bert), (bert, anna)):
        round_trip_s = transport.traffic()[other.peer_id].round_trip_s
        assert round_trip_s is not None
        assert 0 < round_trip_s < QUICK.silence_s


@pytest.fixture
def clock_to_jump():
    return MockClock(rate=1.0)  # real time, until a test jumps


async def test_a_process_that_was_stopped_does_not_blame_its_peers(clock_to_jump):
    limits = replace(QUICK, silence_s=3.0)
    book = Book({})
    async with (
        open_libp2p_swarm() as swarm,
        opened("anna", ["bert"], book, limits=limits) as anna,
        opened("bert", ["anna"], book, limits=limits) as bert,
    ):
        book.publish(bert.peer_id, bert.address)
        await until_up(swarm, anna, "bert")
        await until_up(swarm, bert, "anna")
        clock_to_jump.jump(60)
        assert await calm(swarm, anna) == []


# -- counters -----------------------------------------------------------------------------------------------------


async def test_bytes_are_those_of_the_socket_on_both_sides(swarm):
    anna, bert = await pair(swarm)
    for r in range(5):
        anna.send(bert.peer_id, Contribution(r, 0, np.zeros(100_000, np.float32)))
    await until(swarm, bert, lambda event: isinstance(event, Received) and event.message.round == 4)
    await swarm.close("anna")
    await until(swarm, bert, lambda event: isinstance(event, PeerDown))
    sent, received = anna.traffic()[bert.peer_id], bert.traffic()[anna.peer_id]
    assert received.bytes_received == pytest.approx(sent.bytes_sent, abs=500)  # a last heartbeat may be lost
    assert sent.bytes_received == pytest.approx(received.bytes_sent, abs=500)
    payload = 5 * 400_000
    frames = math.ceil(payload / 65_519) * 18  # Noise: length and tag
    assert payload + frames < sent.bytes_sent < payload + frames + 5_000  # the rest is the handshake, yamux, headers


async def test_counters_outlive_the_connection(swarm):
    anna, bert = await pair(swarm)
    before = anna.traffic()[bert.peer_id]
    await swarm.close("bert")
    await until(swarm, anna, lambda event: isinstance(event, PeerDown))
    await swarm.open("bert", "anna")
    await until_up(swarm, anna, "bert")
    after = anna.traffic()[bert.peer_id]
    assert after.bytes_sent > before.bytes_sent > 0
    assert after.bytes_received > before.bytes_received > 0


async def test_what_waits_for_a_lost_peer_is_counted_as_dropped(swarm):
    anna, bert = await pair(swarm)
    await swarm.cut("anna", "bert")
    heavy = np.zeros(1 << 20, np.float32)
    for r in range(30):
        anna.send(bert.peer_id, Contribution(r, 0, heavy))
    await until(swarm, anna, lambda event: isinstance(event, PeerDown))
    assert anna.traffic()[bert.peer_id].messages_dropped > 0


# -- addresses ----------------------------------------------------------------------------------------------------


async def test_the_address_has_the_real_port_and_the_peer_id():
    async with opened("anna", [], Book({})) as anna:
        head, _, tail = anna.address.partition("/p2p/")
        assert tail == anna.peer_id == peer_id("anna")
        *_, port = head.split("/")
        await (await trio.open_tcp_stream("127.0.0.1", int(port))).aclose()


async def test_a_port_that_is_taken_is_an_error_that_says_what_to_do():
    async with opened("anna", [], Book({})) as anna:
        taken = anna.address.partition("/p2p/")[0]
        with pytest.raises(OSError, match="no other node at this port"):
            async with opened("bert", [], Book({}), listen=taken):
                pass


@pytest.mark.parametrize("listen", ["", "127.0.0.1:80", "/ip4/0.0.0.0/tcp/1", "/ip4/127.0.0.1/udp/1", "/memory/1"])
async def test_an_address_of_another_form_is_refused(listen):
    with pytest.raises(ValueError, match=r"address|dial|udp"):
        async with opened("anna", [], Book({}), listen=listen):
            pass


async def test_our_own_identity_on_the_admission_list_is_passed_over():
    async with opened("anna", ["anna", "bert"], Book({})) as anna:
        assert anna.traffic().keys() == {peer_id("bert")}
        with pytest.raises(KeyError):
            anna.send(anna.peer_id, contribution(0))


async def test_sizes_around_every_boundary_arrive(swarm):
    """Noise messages, yamux frames, joined parts and windows all have an edge somewhere."""
    anna, bert = await pair(swarm)
    edges = (65_519, 4 * 65_519, 65_536, 256 * 1024, 1 << 20, 4 << 20)
    sizes = [(edge + off) // 4 for edge in edges for off in (-72, -60, -12, -4, 0, 4, 72)]
    rng = np.random.default_rng(5)
    for r, size in enumerate(sizes):
        vector = rng.integers(0, 1 << 30, size).astype(np.float32)
        anna.send(bert.peer_id, Contribution(r, 0, vector))
        event = (await until(swarm, bert, lambda event: isinstance(event, Received)))[-1]
        np.testing.assert_array_equal(event.message.vector, vector)
