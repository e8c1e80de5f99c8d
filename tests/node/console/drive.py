"""The app over a fixed source, its screen as text, and keys pressed by a program."""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

from node.console.app import make_app
from node.console.desk import Desk, Link
from node.console.sources.source import OrderRefused
from tests.node.console import material

NOW = material.BEGAN + 250
HERE = Path(__file__).parent


class Fixed:
    """All events at once, and a clock that stands. Takes orders and keeps them."""

    where = "https://press-1:8200"

    def __init__(self, nodes=None, state="live", refuse=None):
        self.nodes = {"press-1": material.events} if nodes is None else nodes
        self.state, self.refuse, self.orders, self.why = state, refuse, [], None

    async def run(self, desk):
        desk.clock = lambda: NOW
        for name, events in self.nodes.items():
            desk.add(name)
            desk.take(name, ((event, 100 * (number + 1)) for number, event in enumerate(events())))
        desk.tell(self.state)
        await asyncio.Event().wait()

    def deaf(self):
        return self.why

    async def order(self, order):
        if self.refuse:
            raise OrderRefused(self.refuse)
        self.orders.append(order)


class Silent(Fixed):
    """A journal: it takes no orders."""

    order = None


@asynccontextmanager
async def console(source=None, size=(80, 24)):
    """(app, pilot), with all events folded and painted."""
    app = make_app(source or Fixed())
    async with app.run_test(size=size, notifications=True) as pilot:
        while app.desk.link.state == "connecting":
            await pilot.pause(0.01)
        app.paint(force=True)
        await pilot.pause()
        yield app, pilot


def shown(app):
    """The screen as lines of text, without spaces at their ends."""
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


def text(app):
    return "\n".join(shown(app))


def desk_of(events, name="press-1"):
    """A desk with all of `events`, at `NOW`."""
    desk = Desk(Link("there"), clock=lambda: NOW)
    desk.take(name, ((event, 100 * (number + 1)) for number, event in enumerate(events)))
    return desk


async def until(app, pilot, words, within_s=20.0):
    """Wait until the screen shows `words`: as soon as it does, however slow the machine is."""
    deadline = time.monotonic() + within_s
    while words not in text(app):
        assert time.monotonic() < deadline, f"{words!r} does not come:\n{text(app)}"
        app.paint(force=True)
        await pilot.pause(0.08)


async def settle(app, pilot):
    """Everything that is folded is on the screen."""
    await pilot.pause()
    app.paint(force=True)
    await pilot.pause()
