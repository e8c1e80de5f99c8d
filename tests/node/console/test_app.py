"""Scenarios over one app each: to start an app costs more than to use it."""

import asyncio
from functools import partial, wraps

from textual.widgets import Input

from node import journal
from node.console.logs.pane import LogsPane
from node.console.peers.pane import PeersPane
from tests.node.console import material
from tests.node.console.drive import Fixed, Silent, console, settle, text, until


def driven(test):
    """The test on the loop of the console."""

    @wraps(test)
    def run():
        asyncio.run(test())

    return run


@driven
async def test_orders_are_given_after_a_question_a_reason_and_a_yes():
    source = Fixed()
    async with console(source) as (app, pilot):
        await pilot.press("3", "x")
        await until(app, pilot, "Quarantine press-2?")
        await pilot.press("enter")
        await until(app, pilot, "Say why")
        app.screen.query_one("#seconds", Input).value = "nan"
        await pilot.press(*"noisy", "enter")
        await until(app, pilot, "as a number above 0")
        assert source.orders == []
        app.screen.query_one("#seconds", Input).value = "60"
        await pilot.press("enter")
        await until(app, pilot, "Done: Quarantine press-2")
        (order,) = source.orders
        assert (order.action, order.target, order.reason, order.seconds) == ("quarantine", "press-2", "noisy", 60)

        await pilot.press("r")
        await until(app, pilot, "Release press-2?")
        await pilot.press("a", "escape")
        await settle(app, pilot)
        assert isinstance(app.pane, PeersPane)
        assert len(source.orders) == 1

        await pilot.press("2", "down", "down", "b")
        await until(app, pilot, "Restore version 28?")
        await pilot.press(*"scrap", "enter")
        await until(app, pilot, "Done: Restore")
        assert (source.orders[1].action, source.orders[1].target) == ("roll-back", "28")

        source.refuse = "nobody knows it [/] [bold]"
        await pilot.press("o")
        await until(app, pilot, "Pause rounds?")
        await pilot.press("a", "enter")
        await until(app, pilot, "Refused: nobody knows it [/] [bold]")


@driven
async def test_a_journal_takes_no_orders_and_says_so():
    async with console(Silent()) as (app, pilot):
        await pilot.press("3", "x")
        await until(app, pilot, "takes no orders")


@driven
async def test_why_a_node_takes_no_orders_is_said_before_anything_is_asked():
    source = Fixed()
    source.why = "press-1 has no API: start with --api HOST:PORT."
    async with console(source) as (app, pilot):
        await pilot.press("o")
        await until(app, pilot, "press-1 has no API")
        assert "Pause rounds?" not in text(app)


@driven
async def test_logs_are_filtered_searched_paused_cleared_and_reset():
    async with console() as (app, pilot):
        await pilot.press("5")
        await until(app, pilot, "INFO  round 39 closed")
        assert "charged" not in text(app)  # level debug
        await pilot.press("l", "l")
        await until(app, pilot, "fault of press-5")
        assert "INFO" not in text(app)

        await pilot.press("l", "slash", *"ROLLED")
        await until(app, pilot, "rolled back to version 21")
        assert "round 39" not in text(app)
        await pilot.press("escape", "slash", *"[/red]")
        await until(app, pilot, "“[/red]”")
        assert "fault of press-5" in text(app)
        await pilot.press("enter", "r")
        await until(app, pilot, "INFO  round 39 closed")

        await pilot.press("p")
        app.desk.take("press-1", [(journal.Finished(at=material.BEGAN + 999, rounds=77), 10**6)])
        await until(app, pilot, "PAUSED, 1 waiting")
        assert "all 77 rounds done" not in text(app)
        await pilot.press("p")
        await until(app, pilot, "all 77 rounds done")

        await pilot.press("up", "up")
        await until(app, pilot, "SCROLLED")
        rows = app.query_one(LogsPane).rows
        under = rows.selected
        more = [(journal.Connected(at=1.0, peer="press-2", up=1), 10**6 + 1 + n) for n in range(1000)]
        app.desk.take("press-1", more)
        await until(app, pilot, "of 1,024")
        assert rows.selected == under

        record = {"timestamp": "2025-10-09T08:58:00Z", "level": "error", "event": "a disk is full", "path": "/x"}
        app.desk.note("press-1", [record])
        await until(app, pilot, "of 1,025")
        await pilot.press("slash", *"DISK")
        await until(app, pilot, "✖ ERROR a disk is full  path=/x")
        await pilot.press("escape", "c")
        await settle(app, pilot)
        assert "a disk is full" not in text(app)
        app.desk.take("press-1", [(journal.Finished(at=material.BEGAN + 999, rounds=78), 10**7)])
        await until(app, pilot, "all 78 rounds done")
        assert "press-2 connected" not in text(app)


@driven
async def test_nodes_theme_palette_clipboard_and_size_are_at_hand():
    nodes = {"press-1": material.events, "press-2": partial(iter, [])}
    async with console(Fixed(nodes)) as (app, pilot):
        assert "❧ press-1 [ 1/2 ]" in text(app)
        await pilot.press("right_square_bracket")
        await until(app, pilot, "❧ press-2 [ 2/2 ]")
        assert "Nothing is known yet" in text(app)
        await pilot.press("right_square_bracket", "3", "y")
        await until(app, pilot, "❧ press-1 [ 1/2 ]")
        assert app.clipboard == "12D3KooWPress2"

        dark = app.current_theme.dark
        await pilot.press("t")
        await settle(app, pilot)
        assert app.current_theme.dark is not dark
        assert "✖ QUARANTINED" in text(app)

        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"screen 6")
        await until(app, pilot, "The swarm screen")
        await pilot.press("down", "enter")
        await until(app, pilot, "━ busy")

        for size in ((24, 7), (1, 1)):
            await pilot.resize_terminal(*size)
            for number in range(7):
                app.action_pane(number)
                await settle(app, pilot)


@driven
async def test_before_the_first_event_every_screen_says_what_it_awaits_and_a_broken_connection_is_stale():
    async with console(Fixed({"press-1": partial(iter, [])}, state="stale")) as (app, pilot):
        assert "▲ STALE" in text(app).splitlines()[0]
        await until(app, pilot, "Not known before the node begins")
        assert "in the open" not in text(app), "nothing is said of privacy before it is known"
        for number, words in enumerate(
            (
                "The node has not begun",
                "No promotion yet",
                "No peer yet",
                "NOT TOLD",
                "No event yet",
                "No peer list yet",
            )
        ):
            app.action_pane(number)
            await until(app, pilot, words)
