from __future__ import annotations

import numpy as np
import trio

from consensus.messages import Contribution
from crypto.identity import Identity, PeerId
from overlay.inbox import MAX_REFUSALS, Inbox
from overlay.transport import Event, PeerUp, Received, Refused

ANNA, BERT = (Identity.from_seed(bytes([i]) * 32).peer_id for i in range(2))
MESSAGE = Contribution(0, 0, np.zeros(1, np.float32))


async def drain(inbox: Inbox) -> list[Event]:
    events = []
    with trio.move_on_after(1):
        while True:
            events.append(await inbox.get())
    return events


async def test_events_come_in_order(autojump_clock):
    inbox = Inbox(lambda _: None)
    events = [PeerUp(ANNA), Received(ANNA, MESSAGE), Refused(BERT, "/b", "stranger"), PeerUp(BERT)]
    for event in events:
        inbox.put(event)
    assert await drain(inbox) == events


async def test_get_waits_for_an_event(autojump_clock, nursery):
    inbox = Inbox(lambda _: None)

    async def put_later() -> None:
        await trio.sleep(5)
        inbox.put(PeerUp(ANNA))

    nursery.start_soon(put_later)
    assert await inbox.get() == PeerUp(ANNA)
    assert trio.current_time() >= 5


async def test_get_yields_to_other_tasks_though_events_wait(nursery):
    inbox, others = Inbox(lambda _: None), []

    async def other() -> None:
        others.append(None)

    for _ in range(3):
        inbox.put(PeerUp(ANNA))
    nursery.start_soon(other)
    for _ in range(3):
        await inbox.get()
    assert others


async def test_messages_are_counted_by_peer_until_they_are_fetched(autojump_clock):
    fetched: list[PeerId] = []
    inbox = Inbox(fetched.append)
    inbox.put(PeerUp(ANNA))
    for peer in (ANNA, BERT, ANNA):
        inbox.put(Received(peer, MESSAGE))
    assert (inbox.unfetched(ANNA), inbox.unfetched(BERT)) == (2, 1)
    await inbox.get()
    await inbox.get()
    assert (inbox.unfetched(ANNA), inbox.unfetched(BERT)) == (1, 1)
    assert fetched == [ANNA]


async def test_equal_refusals_are_one_event_while_they_wait(autojump_clock):
    inbox = Inbox(lambda _: None)
    for count in (1, 1, 3):
        inbox.put(Refused(ANNA, "/a", "stranger", count))
    inbox.put(Refused(ANNA, "/a", "another topology"))
    inbox.put(Refused(BERT, "/b", "stranger"))
    assert await drain(inbox) == [
        Refused(ANNA, "/a", "stranger", 5),
        Refused(ANNA, "/a", "another topology"),
        Refused(BERT, "/b", "stranger"),
    ]
    inbox.put(Refused(ANNA, "/a", "stranger"))
    assert await drain(inbox) == [Refused(ANNA, "/a", "stranger")]


async def test_a_flood_of_fresh_keys_stays_bounded_and_counted(autojump_clock):
    inbox = Inbox(lambda _: None)
    for number in range(10_000):
        inbox.put(Refused(PeerId(f"stranger {number}"), "/s", "stranger"))
    events = await drain(inbox)
    assert len(events) == MAX_REFUSALS + 1
    assert sum(event.count for event in events if isinstance(event, Refused)) == 10_000
    assert events[-1] == Refused(None, "", events[-1].reason, 10_000 - MAX_REFUSALS)
