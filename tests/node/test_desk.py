"""What is said at the desk before an order goes anywhere."""

import math

import pytest
import trio
import trio.testing

from crypto.identity import PeerId
from node.controls import MAX_QUARANTINE_S, MAX_TEXT, ControlRefused
from node.desk import WAITING, Desk


def desk():
    written = []
    return Desk({"n1": PeerId("peer 1")}, written.append), written


async def obey(desk_, orders):
    while (order := await desk_.next()) is not None:
        orders.append(order)
        order.settle()


async def test_an_order_is_written_down_before_it_is_done_and_done_before_the_caller_hears(autojump_clock):
    at, written = desk()
    heard = []

    async def ask():
        with pytest.raises(ControlRefused, match="no"):
            await at.quarantine("ops", "n1", 30.0, "noise")
        heard.append("no")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert [(o.action, o.actor, o.target, o.reason) for o in written] == [("quarantine", "ops", "n1", "noise")]
        order = await at.next()
        assert (order.peer, order.seconds, order.words, heard) == ("peer 1", 30.0, "by ops: noise", [])
        order.settle(ControlRefused("no", "ask another"))
    assert heard == ["no"]


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 2 * MAX_QUARANTINE_S])
async def test_a_quarantine_that_is_none_is_refused_and_not_written(seconds):
    at, written = desk()
    with pytest.raises(ControlRefused):
        await at.quarantine("ops", "n1", seconds, "")
    assert written == []


async def test_what_names_nothing_is_refused_and_not_written():
    at, written = desk()
    for order in (at.release("ops", "n9\x1b[2J" * 100, ""), at.revoke("ops", "", ""), at.roll_back("ops", -1, "")):
        with pytest.raises(ControlRefused) as refused:
            await order
        assert refused.value.problem.isprintable()
        assert len(refused.value.problem) < 2 * MAX_TEXT
    assert written == []


async def test_texts_are_one_short_printable_line(autojump_clock):
    at, written = desk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey, at, [])
        await at.pause("o\nps", "\x1b[31m" + "x" * 1000)
        at.end()
    assert written[0].actor == "o ps"
    assert written[0].reason.isprintable()
    assert len(written[0].reason) <= MAX_TEXT


async def test_too_many_at_once_are_refused_and_all_others_done(autojump_clock):
    at, written = desk()
    done, refused = [], []

    async def ask(number):
        try:
            await at.pause(f"ops {number}", "")
            done.append(number)
        except ControlRefused:
            refused.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(WAITING + 5):
            nursery.start_soon(ask, number)
        await trio.testing.wait_all_tasks_blocked()
        assert (len(refused), at.waiting, len(written)) == (5, WAITING, WAITING)
        nursery.start_soon(obey, at, [])
        await trio.testing.wait_all_tasks_blocked()
        at.end()
    assert len(done) == WAITING


async def test_a_node_that_ends_does_what_waits_and_takes_no_more(autojump_clock):
    at, _ = desk()
    orders = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(at.pause, "ops", "")
        await trio.testing.wait_all_tasks_blocked()
        at.end()
        assert not at.over
        with pytest.raises(ControlRefused, match="stopping"):
            await at.resume("ops", "")
        await obey(at, orders)
    assert [order.action for order in orders] == ["pause"]
    assert at.over
