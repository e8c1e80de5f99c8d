import asyncio
import time

from node.console import desk as desks
from node.console.desk import Desk, Link
from node.console.sources.pace import SLICE_S, Pace
from tests.node.console.drive import console


def test_a_slice_ends_and_begins_anew_after_a_rest():
    async def run():
        pace = Pace(Desk(Link("there")))
        assert not pace.over
        pace._began -= SLICE_S
        assert pace.over
        await pace.rest()
        assert not pace.over

    asyncio.run(run())


def test_events_wait_while_a_key_is_answered_and_not_for_whoever_leans_on_one(monkeypatch):
    monkeypatch.setattr(desks, "ATTENTIVE_S", 0.05)

    async def run():
        desk = Desk(Link("there"))
        pace = Pace(desk)
        began = time.monotonic()
        desk.attend()
        await pace.rest()
        assert time.monotonic() - began >= 0.05
        desk.attend()  # again at once
        assert desk.attention_s <= 0

    asyncio.run(run())


def test_a_key_has_the_attention_of_the_desk():
    async def run():
        async with console() as (app, pilot):
            calls = []
            app.desk = Listening(calls)
            await pilot.press("f5")
            assert calls

    class Listening(Desk):
        def __init__(self, calls):
            super().__init__(Link("there"))
            self.calls = calls

        def attend(self):
            self.calls.append(1)

    asyncio.run(run())
