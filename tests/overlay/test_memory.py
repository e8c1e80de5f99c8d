"""What the memory network adds to the conformance suite: chance from a seed, conditions, partitions, virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from consensus.messages import Contribution
from overlay.memory import Conditions, MemoryNetwork, open_memory_network
from overlay.memory_end import MemoryTransport
from overlay.transport import Event, PeerDown, PeerUp, Received, Refused
from overlay.wire import encode
from tests.overlay.transports import GREETING, peer_id

NAMES = ("anna", "bert", "cleo", "dora")
IDS = [peer_id(name) for name in NAMES]


def contribution(round_: int, parameters: int = 1) -> Contribution:
    return Contribution(round_, 0, np.zeros(parameters, np.float32))


@asynccontextmanager
async def opened(
    conditions: Conditions, *, seed: int = 1, names: int = 2
) -> AsyncIterator[tuple[MemoryNetwork, list[MemoryTransport]]]:
    """A complete graph of nodes, all up, with nothing else in their inboxes."""
    async with open_memory_network(seed, conditions) as network, AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(network.open(me, IDS[:names], GREETING)) for me in IDS[:names]]
        for node in nodes:
            for _ in range(names - 1):
                assert isinstance(await node.next_event(), PeerUp)
        yield network, nodes


async def take(node: MemoryTransport, seconds: float) -> list[tuple[float, Event]]:
    """What comes in the next `seconds`, with the time of each."""
    events = []
    with trio.move_on_after(seconds):
        while True:
            event = await node.next_event()
            events.append((trio.current_time(), event))
    return events


def rounds(events: list[tuple[float, Event]]) -> list[int]:
    return [event.message.round for _, event in events if isinstance(event, Received)]


# -- conditions ---------------------------------------------------------------------------------------------------


async def test_a_message_takes_the_latency(autojump_clock):
    async with opened(Conditions(latency_s=0.25)) as (_, (anna, bert)):
        sent_at = trio.current_time()
        anna.send(bert.peer_id, contribution(0))
        ((at, _),) = await take(bert, 5)
    assert at - sent_at == pytest.approx(0.25, abs=0.0011)
    assert anna.traffic()[bert.peer_id].round_trip_s == pytest.approx(0.5)


async def test_jitter_varies_the_latency_and_never_reorders_one_peer(autojump_clock):
    async with opened(Conditions(latency_s=0.01, jitter_s=0.1)) as (_, (anna, bert)):
        delays = []
        for r in range(50):
            anna.send(bert.peer_id, contribution(2 * r))
            anna.send(bert.peer_id, contribution(2 * r + 1))
            sent_at = trio.current_time()
            events = await take(bert, 1)
            assert rounds(events) == [2 * r, 2 * r + 1]
            delays.append(events[0][0] - sent_at)
    assert min(delays) < 0.04
    assert max(delays) > 0.08
    assert 0.01 <= min(delays) <= max(delays) <= 0.1111


async def test_jitter_reorders_different_peers(autojump_clock):
    async with opened(Conditions(latency_s=0.01, jitter_s=0.1), names=3) as (_, (anna, bert, cleo)):
        firsts = set()
        for r in range(20):
            anna.send(cleo.peer_id, contribution(r))
            bert.send(cleo.peer_id, contribution(r))
            (_, first), _ = await take(cleo, 1)
            firsts.add(first.peer)
    assert firsts == {anna.peer_id, bert.peer_id}


async def test_loss_is_the_stated_probability_and_keeps_the_order(autojump_clock):
    async with opened(Conditions(loss=0.25)) as (_, (anna, bert)):
        received = []
        for r in range(1000):
            anna.send(bert.peer_id, contribution(r))
            received += rounds(await take(bert, 0.01))
    assert received == sorted(set(received))
    assert 680 <= len(received) <= 820  # five standard deviations


async def test_bandwidth_spaces_messages_out_and_the_queue_drops_the_oldest(autojump_clock):
    head, body = encode(contribution(0, 1000))
    size = len(head) + len(body)
    async with opened(Conditions(latency_s=0, bandwidth_bytes_s=size)) as (_, (anna, bert)):  # one message a second
        start = trio.current_time()
        for r in range(80):
            anna.send(bert.peer_id, contribution(r, 1000))
        events = await take(bert, 200)
    assert rounds(events) == [0, *range(16, 80)]  # one on the way, 64 queued, the oldest of the queue dropped
    assert [at - start for at, _ in events] == pytest.approx(list(range(1, 66)), abs=0.002)
    assert anna.traffic()[bert.peer_id].messages_dropped == 15


@pytest.mark.parametrize(
    "wrong", [{"latency_s": -1}, {"loss": 1.5}, {"loss": float("nan")}, {"bandwidth_bytes_s": 0}, {"tick_s": 0}]
)
def test_impossible_conditions_are_refused(wrong):
    with pytest.raises(ValueError, match="loss within"):
        Conditions(**wrong)


async def test_an_identity_is_open_once(autojump_clock):
    async with opened(Conditions()) as (network, _):
        with pytest.raises(ValueError, match="open already"):
            async with network.open(IDS[0], [], GREETING):
                pass


# -- partitions and crashes -----------------------------------------------------------------------------------------


async def test_a_partition_is_noticed_after_the_detection_delay_and_only_across_it(autojump_clock):
    async with opened(Conditions(detection_s=2.0), names=4) as (network, nodes):
        start = trio.current_time()
        network.partition([IDS[:2], IDS[2:]])
        for number, node in enumerate(nodes):
            events = await take(node, 0.01) if number else await take(node, 3)
            far = set(IDS[2:] if number < 2 else IDS[:2])
            assert {event.peer for _, event in events if isinstance(event, PeerDown)} == far
            assert len(events) == 2
            if not number:
                assert all(at - start == pytest.approx(2.0) for at, _ in events)
        nodes[0].send(IDS[1], contribution(1))
        nodes[0].send(IDS[2], contribution(1))
        assert rounds(await take(nodes[1], 1)) == [1]
        network.heal()
        assert {event for _, event in await take(nodes[0], 5)} == {PeerUp(IDS[2]), PeerUp(IDS[3])}


async def test_peers_that_a_partition_does_not_name_are_one_more_group(autojump_clock):
    async with opened(Conditions(detection_s=1.0), names=4) as (network, nodes):
        network.partition([IDS[:1]])
        assert {event.peer for _, event in await take(nodes[0], 2)} == set(IDS[1:])
        assert [event.peer for _, event in await take(nodes[3], 2)] == [IDS[0]]


async def test_a_cut_that_is_mended_in_time_goes_unnoticed_and_what_was_queued_arrives(autojump_clock):
    async with opened(Conditions(latency_s=0.1, detection_s=2.0)) as (network, (anna, bert)):
        anna.send(bert.peer_id, contribution(0))  # on its way: lost
        network.cut(*IDS[:2])
        anna.send(bert.peer_id, contribution(1))  # queued: kept
        await trio.sleep(1.5)
        network.mend(*IDS[:2])
        assert rounds(await take(bert, 0.4)) == [1]
        network.cut(*IDS[:2])  # the notice of the first cut is void: this one has its own
        await trio.sleep(1.0)
        assert await take(anna, 0.5) == []
        assert [type(event) for _, event in await take(anna, 1.0)] == [PeerDown]


async def test_what_is_queued_when_the_link_goes_is_counted_and_gone(autojump_clock):
    async with opened(Conditions(detection_s=1.0)) as (network, (anna, bert)):
        network.cut(*IDS[:2])
        for r in range(5):
            anna.send(bert.peer_id, contribution(r))
        assert anna.traffic()[bert.peer_id].messages_dropped == 0
        await trio.sleep(2)
        assert anna.traffic()[bert.peer_id].messages_dropped == 5
        network.heal()
        assert rounds(await take(bert, 5)) == []


async def test_a_crashed_node_hears_nothing_and_may_open_again_beside_its_old_self(autojump_clock):
    async with opened(Conditions(detection_s=5.0)) as (network, (anna, bert)):
        network.crash(IDS[1])
        async with network.open(IDS[1], IDS[:1], GREETING) as again:
            assert [type(event) for _, event in await take(anna, 2)] == [PeerDown, PeerUp]
            anna.send(IDS[1], contribution(3))
            assert [type(event) for _, event in await take(again, 10)] == [PeerUp, Received]
            assert await take(anna, 10) == []
        assert await take(bert, 10) == []


async def test_no_time_passes_and_no_event_comes_when_nothing_happens(autojump_clock):
    async with opened(Conditions(), names=4) as (_, nodes):
        assert [await take(node, 3600) for node in nodes] == [[]] * 4


# -- determinism ------------------------------------------------------------------------------------------------------


async def _gossip(seed: int, history: list[object]) -> None:
    """Four nodes, ten rounds, loss, jitter, a partition and a restart; each fetches in its own task."""
    conditions = Conditions(latency_s=0.005, jitter_s=0.05, loss=0.1, detection_s=0.3, redial_s=0.1)

    async def node(network: MemoryNetwork, me: int) -> None:
        async with network.open(IDS[me], IDS, GREETING) as transport, trio.open_nursery() as nursery:
            nursery.start_soon(partial(listen, me, transport))
            for r in range(10):
                await trio.sleep(0.1)
                for peer in transport.traffic():
                    transport.send(peer, contribution(r))
            await trio.sleep(2)
            history.append((me, sorted(transport.traffic().items())))
            nursery.cancel_scope.cancel()

    async def listen(me: int, transport: MemoryTransport) -> None:
        while True:
            match await transport.next_event():
                case Received(peer, message):
                    history.append((me, trio.current_time(), peer, message.round))
                case event:
                    history.append((me, trio.current_time(), event))

    async with open_memory_network(seed, conditions) as network, trio.open_nursery() as nursery:
        for me in range(4):
            nursery.start_soon(node, network, me)
        await trio.sleep(0.35)
        network.partition([IDS[:2], IDS[2:]])
        await trio.sleep(0.4)
        network.heal()


def history(seed: int) -> list[object]:
    """By node: trio shuffles its tasks, and the order of tasks of one instant is nothing that a node can see."""
    events: list[object] = []
    trio.run(_gossip, seed, events, clock=MockClock(autojump_threshold=0))
    return [[event for event in events if event[0] == me] for me in range(4)]


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    one = history(1)
    assert sum(map(len, one)) > 80
    assert any(isinstance(event[-1], PeerDown) for event in one[0])
    assert all(history(1) == one for _ in range(3))
    assert history(2) != one


# -- a hostile member -------------------------------------------------------------------------------------------------


async def test_a_raw_hello_is_judged_like_any_bytes(autojump_clock):
    async with (
        open_memory_network(1) as network,
        network.open(IDS[0], IDS[1:], GREETING) as anna,
        network.open(IDS[1], IDS[:1], GREETING, raw_hello=b"\xff" * 64) as mallory,
    ):
        ((_, refused),) = await take(anna, 5)
        assert await take(mallory, 1) == []
    assert isinstance(refused, Refused)
    assert (refused.peer, refused.address) == (IDS[1], mallory.address)
    assert "not a frame" in refused.reason
