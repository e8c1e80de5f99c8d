"""What `overlay.transport` promises, asked of every implementation in `tests.overlay.transports`.

Each test takes `clock` so that pytest-trio runs it on the implementation's clock.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import trio

from consensus.messages import Contribution
from overlay.transport import Event, PeerDown, PeerUp, Received, Refused, Transport
from overlay.wire import DIGEST_BYTES, Greeting, Limits, Message, Ping, encode
from tests.overlay.transports import GREETING, IMPLEMENTATIONS, Swarm, peer_id


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request):
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def clock(implementation):
    return implementation.clock()


@pytest.fixture
async def swarm(implementation):
    async with implementation.open() as swarm:
        yield swarm


def contribution(round_: int, parameters: int = 3) -> Contribution:
    return Contribution(round_, 0, np.full(parameters, round_, np.float32))


def frame(message: Message) -> bytes:
    return b"".join(encode(message))


HELLO = frame(GREETING)


async def until(swarm: Swarm, transport: Transport, wanted: Callable[[Event], bool]) -> list[Event]:
    """The events up to and including the first `wanted` one."""
    events: list[Event] = []
    try:
        with trio.fail_after(swarm.patience_s):
            while not events or not wanted(events[-1]):
                events.append(await transport.next_event())
    except trio.TooSlowError:
        pytest.fail(f"the event did not come; these did: {events}")
    return events


async def until_up(swarm: Swarm, transport: Transport, name: str) -> list[Event]:
    return await until(swarm, transport, lambda event: event == PeerUp(peer_id(name)))


async def until_down(swarm: Swarm, transport: Transport, name: str) -> list[Event]:
    return await until(swarm, transport, lambda event: isinstance(event, PeerDown) and event.peer == peer_id(name))


async def until_refused(swarm: Swarm, transport: Transport) -> Refused:
    event = (await until(swarm, transport, lambda event: isinstance(event, Refused)))[-1]
    assert isinstance(event, Refused)
    return event


async def until_rounds(swarm: Swarm, transport: Transport, last: int) -> list[int]:
    """The rounds received up to and including `last`."""
    events = await until(swarm, transport, lambda event: isinstance(event, Received) and event.message.round == last)
    return [event.message.round for event in events if isinstance(event, Received)]


async def calm(swarm: Swarm, transport: Transport) -> list[Event]:
    """What still comes within `calm_s`."""
    events: list[Event] = []
    with trio.move_on_after(swarm.calm_s):
        while True:
            events.append(await transport.next_event())
    return events


async def pair(swarm: Swarm) -> tuple[Transport, Transport]:
    anna, bert = await swarm.open("anna", "bert"), await swarm.open("bert", "anna")
    await until_up(swarm, anna, "bert")
    await until_up(swarm, bert, "anna")
    return anna, bert


# -- connecting -------------------------------------------------------------------------------------------------


async def test_a_transport_tells_its_identity_and_where_to_dial_it(clock, swarm):
    anna = await swarm.open("anna")
    assert anna.peer_id == peer_id("anna")
    assert anna.address.startswith("/")
    assert anna.address.endswith(f"/p2p/{peer_id('anna')}")


async def test_admitted_peers_come_up_once_each_whoever_opens_first(clock, swarm):
    names = ("anna", "bert", "cleo")
    nodes = {name: await swarm.open(name, *names) for name in names}
    for name, transport in nodes.items():
        others = {PeerUp(peer_id(other)) for other in names if other != name}
        events = [await _next(swarm, transport), await _next(swarm, transport)]
        assert set(events) == others
    for transport in nodes.values():
        assert await calm(swarm, transport) == []


async def _next(swarm: Swarm, transport: Transport) -> Event:
    return (await until(swarm, transport, lambda _: True))[0]


async def test_a_peer_that_opens_much_later_is_found(clock, swarm):
    anna = await swarm.open("anna", "bert")
    await trio.sleep(swarm.calm_s)
    await swarm.open("bert", "anna")
    await until_up(swarm, anna, "bert")


async def test_a_stranger_is_refused_by_name_and_address_and_never_comes_up(clock, swarm):
    bert = await swarm.open("bert", "cleo")
    anna = await swarm.open("anna", "bert")
    refused = await until_refused(swarm, bert)
    assert refused.peer == peer_id("anna")
    assert refused.address
    assert "stranger" in refused.reason
    assert not [event for event in await calm(swarm, anna) if isinstance(event, PeerUp)]


async def test_a_stranger_who_floods_is_counted_not_listed(clock, swarm):
    bert = await swarm.open("bert", "cleo")
    for _ in range(5):
        await swarm.intrude("anna", "bert", HELLO)
    await trio.sleep(swarm.calm_s)
    refused = await until_refused(swarm, bert)
    assert refused.count >= 5
    assert not [event for event in await calm(swarm, bert) if not isinstance(event, Refused)]


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (Greeting(b"\x99" * DIGEST_BYTES, GREETING.layout), "another topology"),
        (Greeting(GREETING.swarm, b"\x99" * DIGEST_BYTES), "another model layout"),
    ],
)
async def test_another_greeting_is_refused_on_both_sides_with_what_differs(clock, swarm, theirs, reason):
    anna = await swarm.open("anna", "bert")
    bert = await swarm.open("bert", "anna", greeting=theirs)
    for transport, other in ((anna, "bert"), (bert, "anna")):
        refused = await until_refused(swarm, transport)
        assert refused.peer == peer_id(other)
        assert reason in refused.reason


async def test_a_peer_that_comes_back_with_the_right_greeting_is_admitted(clock, swarm):
    anna = await swarm.open("anna", "bert")
    await swarm.open("bert", "anna", greeting=Greeting(b"\x99" * DIGEST_BYTES, GREETING.layout))
    await until_refused(swarm, anna)
    await swarm.close("bert")
    await swarm.open("bert", "anna")
    await until_up(swarm, anna, "bert")


# -- messages ---------------------------------------------------------------------------------------------------


async def test_messages_arrive_whole_in_order_and_from_whom_they_came(clock, swarm):
    anna, bert = await pair(swarm)
    sent = [Contribution(r, r % 32, np.random.default_rng(r).standard_normal(size).astype(np.float32))
            for r, size in enumerate((0, 1, 1_000, 100_000, 7))]  # fmt: skip
    for message in sent:
        anna.send(bert.peer_id, message)
    for message in sent:
        event = await _next(swarm, bert)
        assert isinstance(event, Received)
        assert event.peer == anna.peer_id
        assert isinstance(event.message, Contribution)
        assert (event.message.round, event.message.phase) == (message.round, message.phase)
        np.testing.assert_array_equal(event.message.vector, message.vector)
        assert event.message.vector.dtype == np.float32
        assert not event.message.vector.flags.writeable


async def test_messages_cross_in_both_directions(clock, swarm):
    anna, bert = await pair(swarm)
    for r in range(20):
        anna.send(bert.peer_id, contribution(r))
        bert.send(anna.peer_id, contribution(r))
    assert await until_rounds(swarm, bert, 19) == list(range(20))
    assert await until_rounds(swarm, anna, 19) == list(range(20))


async def test_sending_to_a_peer_that_is_not_on_the_list_is_an_error_of_ours(clock, swarm):
    anna = await swarm.open("anna", "bert")
    with pytest.raises(KeyError, match=peer_id("cleo")):
        anna.send(peer_id("cleo"), contribution(0))


async def test_sending_the_transports_own_messages_or_an_impossible_one_is_an_error_of_ours(clock, swarm):
    anna, bert = await pair(swarm)
    for message in (GREETING, Ping(1), Contribution(-1, 0, np.zeros(1, np.float32))):
        with pytest.raises(ValueError, match=r"transport's own|contribution\.round"):
            anna.send(bert.peer_id, message)


async def test_what_is_sent_to_a_peer_that_is_down_is_counted_and_never_comes(clock, swarm):
    anna = await swarm.open("anna", "bert")
    for r in range(5):
        anna.send(peer_id("bert"), contribution(r))
    assert anna.traffic()[peer_id("bert")].messages_dropped == 5
    bert = await swarm.open("bert", "anna")
    await until_up(swarm, anna, "bert")
    anna.send(peer_id("bert"), contribution(7))
    assert await until_rounds(swarm, bert, 7) == [7]


async def test_traffic_counts_bytes_of_every_admitted_peer(clock, swarm):
    anna, bert = await swarm.open("anna", "bert", "cleo"), await swarm.open("bert", "anna")
    await until_up(swarm, anna, "bert")
    anna.send(bert.peer_id, contribution(0, parameters=10_000))
    await until_rounds(swarm, bert, 0)
    sent, received = anna.traffic()[bert.peer_id], bert.traffic()[anna.peer_id]
    assert 40_000 < sent.bytes_sent < 60_000
    assert 40_000 < received.bytes_received < 60_000
    assert sent.messages_dropped == 0
    assert anna.traffic().keys() == {peer_id("bert"), peer_id("cleo")}
    assert anna.traffic()[peer_id("cleo")].bytes_sent == 0


# -- slow, flooding and hostile peers ----------------------------------------------------------------------------


async def test_a_peer_that_reads_nothing_loses_the_oldest_and_blocks_nobody(clock, swarm):
    bert = await swarm.open("bert", "anna", "cleo")
    anna, cleo = await swarm.open("anna", "bert"), await swarm.open("cleo", "bert")
    await until_up(swarm, anna, "bert")
    await until_up(swarm, cleo, "bert")
    heavy = np.zeros(128 * 1024, np.float32)  # 512 KiB: 200 of them are more than all windows and buffers hold
    for r in range(200):
        anna.send(bert.peer_id, Contribution(r, 0, heavy))
        await trio.sleep(0.001)
    cleo.send(bert.peer_id, contribution(1000))  # while nobody has read anything
    dropped = anna.traffic()[bert.peer_id].messages_dropped
    assert dropped > 0
    events = await until(swarm, bert, lambda event: isinstance(event, Received) and event.message.round == 199)
    rounds = [event.message.round for event in events if isinstance(event, Received) and event.peer == anna.peer_id]
    assert rounds == sorted(rounds)
    assert len(rounds) + anna.traffic()[bert.peer_id].messages_dropped == 200
    if not any(isinstance(event, Received) and event.peer == cleo.peer_id for event in events):
        await until_rounds(swarm, bert, 1000)


async def test_a_flood_of_one_peer_does_not_delay_another_while_the_node_reads(clock, swarm):
    bert = await swarm.open("bert", "anna", "cleo")
    anna, cleo = await swarm.open("anna", "bert"), await swarm.open("cleo", "bert")
    await until_up(swarm, anna, "bert")
    await until_up(swarm, cleo, "bert")
    for r in range(5_000):
        anna.send(bert.peer_id, contribution(r))
    cleo.send(bert.peer_id, contribution(10_000))
    await until_rounds(swarm, bert, 10_000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: bert\r\n\r\n", "not a frame"),
        (b"GRV\x63" + HELLO[4:], "wire version 99"),
        (b"GRV\x01" + (2**31).to_bytes(4, "big") + bytes(8), "header of 2147483648 bytes"),
        (b"GRV\x01" + (64).to_bytes(4, "big") + (2**40).to_bytes(8, "big"), "body of 1099511627776 bytes"),
        (HELLO[:-1] + b"\xff", "layout|greeting"),
        (frame(contribution(0)), "greeting"),
    ],
    ids=["http", "version", "long-header", "long-body", "altered", "no-greeting-first"],
)  # fmt: skip
async def test_bytes_that_are_no_greeting_are_refused_without_a_peer_coming_up(clock, swarm, data, reason):
    bert = await swarm.open("bert", "anna", "cleo")
    await swarm.intrude("anna", "bert", data)
    refused = await until_refused(swarm, bert)
    assert refused.peer == peer_id("anna")
    assert any(word in refused.reason for word in reason.split("|"))
    await _works_with_cleo(swarm, bert)


@pytest.mark.parametrize("data", [b"", HELLO[:20]], ids=["nothing", "half-a-greeting"])
async def test_a_peer_that_never_finishes_its_greeting_is_refused_in_time(clock, swarm, data):
    bert = await swarm.open("bert", "anna", "cleo")
    await swarm.intrude("anna", "bert", data)
    refused = await until_refused(swarm, bert)
    assert refused.peer == peer_id("anna")
    await _works_with_cleo(swarm, bert)


@pytest.mark.parametrize("fault", [b"\x00" * 64, HELLO], ids=["garbage", "second-greeting"])
async def test_a_fault_after_the_greeting_refuses_and_takes_the_peer_down(clock, swarm, fault):
    bert = await swarm.open("bert", "anna", "cleo")
    await swarm.intrude("anna", "bert", HELLO)
    await until_up(swarm, bert, "anna")
    await until_down(swarm, bert, "anna")
    await swarm.intrude("anna", "bert", HELLO + fault)
    events = await until(swarm, bert, lambda event: isinstance(event, Refused | PeerDown))
    # The fault may be seen before the greeting is acted upon, where both came in one piece.
    assert [type(event) for event in events] in ([PeerUp, Refused], [Refused])
    assert events[-1].peer == peer_id("anna")
    if len(events) == 2:
        assert isinstance((await until_down(swarm, bert, "anna"))[0], PeerDown)
    await _works_with_cleo(swarm, bert)


async def test_a_message_over_the_limits_of_the_receiver_is_refused(clock, swarm):
    anna = await swarm.open("anna", "bert")
    bert = await swarm.open("bert", "anna", limits=Limits(max_body=4_000))
    await until_up(swarm, anna, "bert")
    anna.send(bert.peer_id, contribution(0, parameters=1_000))
    assert await until_rounds(swarm, bert, 0) == [0]  # first: what comes in one piece with a fault is lost with it
    anna.send(bert.peer_id, contribution(1, parameters=1_001))
    refused = await until_refused(swarm, bert)
    assert "body of 4004 bytes, at most 4000" in refused.reason
    await until_down(swarm, bert, "anna")
    await until_up(swarm, bert, "anna")  # and is dialled again


async def test_a_peer_that_stalls_in_the_middle_of_a_message_goes_down_and_holds_up_nobody(clock, swarm):
    bert = await swarm.open("bert", "anna", "cleo")
    await swarm.intrude("anna", "bert", HELLO + frame(contribution(0, parameters=100_000))[:5_000])
    await until_up(swarm, bert, "anna")
    await _works_with_cleo(swarm, bert)
    await until_down(swarm, bert, "anna")


async def _works_with_cleo(swarm: Swarm, bert: Transport) -> None:
    """A round trip with an honest peer, whatever else has happened to `bert`."""
    cleo = await swarm.open("cleo", "bert")
    await until_up(swarm, cleo, "bert")
    cleo.send(bert.peer_id, contribution(0))
    await until(swarm, bert, lambda event: isinstance(event, Received) and event.peer == cleo.peer_id)


# -- loss and return ----------------------------------------------------------------------------------------------


async def test_a_peer_that_closes_goes_down_and_comes_up_again_when_it_returns(clock, swarm):
    anna, bert = await pair(swarm)
    await swarm.close("bert")
    assert [type(event) for event in await until_down(swarm, anna, "bert")] == [PeerDown]
    bert = await swarm.open("bert", "anna")
    assert [type(event) for event in await until_up(swarm, anna, "bert")] == [PeerUp]
    anna.send(bert.peer_id, contribution(3))
    assert await until_rounds(swarm, bert, 3) == [3]


async def test_a_peer_that_crashes_goes_down(clock, swarm):
    anna, _ = await pair(swarm)
    await swarm.crash("bert")
    (down,) = await until_down(swarm, anna, "bert")
    assert down.reason


async def test_a_peer_that_crashes_and_restarts_at_once_shows_as_down_then_up(clock, swarm):
    anna, _ = await pair(swarm)
    await swarm.crash("bert")
    bert = await swarm.open("bert", "anna")
    events = await until_up(swarm, anna, "bert")
    assert [type(event) for event in events] == [PeerDown, PeerUp]
    await until_up(swarm, bert, "anna")
    bert.send(anna.peer_id, contribution(4))
    assert await until_rounds(swarm, anna, 4) == [4]
    assert await calm(swarm, anna) == []


async def test_a_half_open_link_is_noticed_on_both_sides_and_mended(clock, swarm):
    anna, bert = await pair(swarm)
    await swarm.cut("anna", "bert")
    await until_down(swarm, anna, "bert")
    await until_down(swarm, bert, "anna")
    anna.send(bert.peer_id, contribution(1))
    assert anna.traffic()[bert.peer_id].messages_dropped >= 1
    await swarm.mend("anna", "bert")
    assert [type(event) for event in await until_up(swarm, anna, "bert")] == [PeerUp]
    assert [type(event) for event in await until_up(swarm, bert, "anna")] == [PeerUp]
    anna.send(bert.peer_id, contribution(2))
    assert await until_rounds(swarm, bert, 2) == [2]


async def test_a_cut_link_leaves_the_others_alone(clock, swarm):
    bert = await swarm.open("bert", "anna", "cleo")
    await swarm.open("anna", "bert")
    cleo = await swarm.open("cleo", "bert")
    await until_up(swarm, cleo, "bert")
    await swarm.cut("anna", "bert")
    await until_down(swarm, bert, "anna")
    cleo.send(bert.peer_id, contribution(5))
    assert await until_rounds(swarm, bert, 5) == [5]
    assert await calm(swarm, cleo) == []


async def test_up_and_down_alternate_through_many_restarts(clock, swarm):
    anna = await swarm.open("anna", "bert")
    for turn in range(3):
        await swarm.open("bert", "anna")
        await until_up(swarm, anna, "bert")
        await (swarm.crash if turn % 2 else swarm.close)("bert")
    events = await until_down(swarm, anna, "bert")
    assert [type(event) for event in events] == [PeerDown], events
