import asyncio

from rich.style import Style
from rich.text import Text
from textual.app import App

from node.console.drawing.cells import rows_of
from node.console.sheet import Sheet
from tests.node.console.drive import console, settle


class Numbers(Sheet):
    """A number in each row."""

    DEFAULT_CSS = "Numbers { width: 1fr; height: 1fr; }"
    values = ("1", "2", "3")
    drawn = 0

    def draw(self, width, height):
        self.drawn += 1
        return rows_of(Text("\n".join(self.values)), width, height, Style())


def test_only_rows_that_differ_are_painted_and_a_new_size_is_drawn_whole():
    async def run():
        app = App()
        async with app.run_test(size=(20, 5)) as pilot:
            sheet = Numbers()
            await app.mount(sheet)
            await pilot.pause()
            asked = []
            sheet.refresh = lambda *regions: asked.append(regions)
            before = sheet._strips[:]
            sheet.values = ("1", "two", "3")
            sheet.renew()
            ((region,),) = asked
            assert (region.y, region.height, region.width) == (1, 1, 20)
            assert [now is then for now, then in zip(sheet._strips, before, strict=True)] == [
                True, False, True, True, True,
            ]  # fmt: skip
            asked.clear()
            sheet.renew()
            assert asked == []
            del sheet.refresh
            drawn = sheet.drawn
            await pilot.resize_terminal(10, 4)
            await pilot.pause()
            assert sheet.drawn > drawn
            assert [strip.text for strip in sheet.render_lines(sheet.size.region)] == [
                "1         ", "two       ", "3         ", " " * 10,
            ]  # fmt: skip
            assert [strip.text for strip in sheet.render_lines(sheet.size.region.shrink((1, 7, 1, 1)))] == ["wo", "  "]

    asyncio.run(run())


def test_colours_are_left_out_where_the_user_wants_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def run():
        async with console() as (app, pilot):
            await settle(app, pilot)
            styles = [segment.style for strip in app.pane._strips for segment in strip]
            colours = [style.color.triplet for style in styles if style and style.color]
            assert colours
            assert all(red == green == blue for red, green, blue in colours)

    asyncio.run(run())


def test_a_plot_is_drawn_again_only_when_the_rounds_are_others():
    async def run():
        async with console() as (app, pilot):
            plot = app.pane._accuracy
            calls = []
            real, plot._draw_text = plot._draw_text, lambda *args: calls.append(1) or real(*args)
            app.desk.edition += 1
            await settle(app, pilot)
            assert calls == []
            (view,) = app.desk.views.values()
            view._model.edition += 1
            await settle(app, pilot)
            assert calls == [1]

    asyncio.run(run())
