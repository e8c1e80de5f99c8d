"""Every screen, at two sizes, as it stands in `screens/`. To write them anew: GRAPEVINE_WRITE_SCREENS=1 pytest …"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.node.console.drive import Fixed, console, shown

SCREENS = Path(__file__).parent / "screens"
NAMES = ("overview", "model", "peers", "modules", "logs", "swarm", "help")


async def _all(size):
    found = {}
    async with console(Fixed(), size) as (app, pilot):
        for number, name in enumerate(NAMES):
            await pilot.press(f"{number + 1}")
            if name == "peers":
                await pilot.press("down")  # the one in quarantine
            await pilot.pause()
            app.paint(force=True)
            await pilot.pause()
            found[name] = "\n".join(shown(app)) + "\n"
    return found


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
def test_every_screen_looks_as_it_did(size):
    found = asyncio.run(_all(size))
    wrong = []
    for name, screen in found.items():
        path = SCREENS / f"{name}-{size[0]}x{size[1]}.txt"
        if os.environ.get("GRAPEVINE_WRITE_SCREENS"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(screen)
        if path.read_text() != screen:
            wrong.append(f"{path.name} is now:\n{screen}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
def test_what_is_kept_of_the_screens_fills_them_and_holds_nothing_that_drives_a_terminal(size):
    for name in NAMES:
        lines = (SCREENS / f"{name}-{size[0]}x{size[1]}.txt").read_text().splitlines()
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]
        assert all(character.isprintable() for line in lines for character in line)
        assert lines[0].lstrip().startswith("❧ press-1")
        assert lines[-1].endswith("^p commands")
