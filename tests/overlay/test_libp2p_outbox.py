from __future__ import annotations

import numpy as np
import pytest
import trio

from consensus.messages import Contribution
from overlay.libp2p_limits import TransportLimits
from overlay.libp2p_outbox import Outbox, frame
from overlay.wire import Decoder, Message, Ping, Pong


def contribution(round_: int, parameters: int = 1) -> Contribution:
    return Contribution(round_, 0, np.zeros(parameters, np.float32))


def decoded(parts: list[bytes | memoryview]) -> list[Message]:
    return Decoder().receive(b"".join(parts))


async def test_what_is_put_comes_out_in_order_in_few_batches():
    outbox = Outbox(TransportLimits())
    for r in range(10):
        outbox.put(frame(contribution(r)))
    assert [m.round for m in decoded(await outbox.take())] == list(range(10))
    assert outbox.dropped == 0


async def test_a_batch_is_bounded_so_that_a_heartbeat_never_waits_long():
    outbox = Outbox(TransportLimits())
    for r in range(10):
        outbox.put(frame(contribution(r, parameters=50_000)))
    first = decoded(await outbox.take())
    outbox.put_urgent(frame(Pong(7)))
    second = decoded(await outbox.take())
    assert len(first) < 10
    assert second[0] == Pong(7)
    assert second[1].round == len(first)


async def test_too_many_drop_the_oldest_and_are_counted():
    outbox = Outbox(TransportLimits(outbox_messages=3))
    for r in range(5):
        outbox.put(frame(contribution(r)))
    assert outbox.dropped == 2
    assert [m.round for m in decoded(await outbox.take())] == [2, 3, 4]


async def test_too_many_bytes_drop_the_oldest_but_never_the_newest():
    outbox = Outbox(TransportLimits(outbox_bytes=1_000))
    for r in range(5):
        outbox.put(frame(contribution(r, parameters=10_000)))
    assert outbox.dropped == 4
    assert [m.round for m in decoded(await outbox.take())] == [4]


async def test_answers_to_a_flood_of_pings_fill_no_memory():
    outbox = Outbox(TransportLimits())
    for nonce in range(10_000):
        outbox.put_urgent(frame(Ping(nonce)))
    pings = decoded(await outbox.take())
    assert len(pings) < 20
    assert pings[-1] == Ping(9_999)


async def test_what_is_left_when_the_connection_goes_counts_as_dropped():
    outbox = Outbox(TransportLimits())
    outbox.put(frame(contribution(0)))
    outbox.clear()
    assert outbox.dropped == 1
    with trio.move_on_after(0.01):
        await outbox.take()
        pytest.fail("there was nothing to take")


async def test_a_taker_waits_for_the_first_frame(autojump_clock):
    outbox = Outbox(TransportLimits())
    async with trio.open_nursery() as nursery:

        async def take() -> None:
            assert [m.round for m in decoded(await outbox.take())] == [1]

        nursery.start_soon(take)
        await trio.sleep(5)
        outbox.put(frame(contribution(1)))


def test_an_impossible_message_is_refused_before_it_is_queued():
    with pytest.raises(ValueError, match="contribution"):
        frame(contribution(-1))
