"""The pictures of the README, made anew: `make pictures`, or `python -m tests.tools.pictures`.

Runs the default lab, looks at it with the console while it runs, and at its report with a headless Chromium once it is
over. Minutes. With `--run FOLDER` a run that is there already is looked at instead.

Exit 0: all were made. 1: one could not be; those that could are there.
"""

import argparse
import asyncio
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from node.console.app import Console, make_app
from node.console.sources.folder_source import FolderSource

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".readme"
TOPOLOGY = ROOT / "topologies" / "plant-8.toml"
SCREENS = {"console-overview.svg": "1", "console-peers.svg": "3"}
"""Picture → the key of the screen that it shows."""
REPORT = "report.png"
SIZE = (124, 32)
REPORT_SIZE = (1240, 1770)
SEEN_AFTER = 0.9
"""Of the rounds: what the console shows is under way, and something has happened."""
WITHIN_S = 900.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FONT = re.compile(r"@font-face \{.*?\}\n?", re.DOTALL)


def without_fonts(svg: str) -> str:
    """A picture that fetches nothing: textual's names fonts on a server of others."""
    svg = re.sub(r"font-family: ?Fira Code, ?monospace", "font-family: monospace", _FONT.sub("", svg))
    if "url(http" in svg:
        raise ValueError("the picture still names something on the network")
    return svg


async def look(
    run: Path, node: str, keys: dict[str, str], into: Path, rounds: int = 1, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Write a picture of each screen of `node`, once it has closed so many rounds. Raises `RuntimeError` where the run
    is over before.
    """
    app = make_app(FolderSource(run))
    async with app.run_test(size=SIZE) as pilot, asyncio.timeout(WITHIN_S):
        while not has_closed(app, node, rounds):
            over = is_over()
            await pilot.pause(0.5)
            if over and not has_closed(app, node, rounds):
                raise RuntimeError(f"the run is over, and {node} has not closed {rounds} rounds")
        app.desk.show(node)
        for name, key in keys.items():
            await pilot.press(key)
            await pilot.pause(0.3)
            app.paint(force=True)
            await pilot.pause()
            (into / name).write_text(without_fonts(app.export_screenshot(title=f"grapevine console · {node}")))
            print(f"made {into / name}")


def has_closed(app: Console, node: str, rounds: int) -> bool:
    """Whether the console knows of so many rounds of `node`."""
    return node in app.desk.views and app.desk.views[node].overview.round >= rounds


def photograph(page: Path, picture: Path) -> str | None:
    """A picture of a page by a headless browser; what is wrong where there is none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return f"no {picture.name}: none of {', '.join(BROWSERS)} is installed"
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={profile}"]
        size = f"--window-size={REPORT_SIZE[0]},{REPORT_SIZE[1]}"
        done = subprocess.run(
            [*command, size, f"--screenshot={picture}", page.resolve().as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if done.returncode != 0:
        return f"no {picture.name}: {browser} ended with {done.returncode}: {done.stderr[-300:]}"
    print(f"made {picture}")
    return None


def rounds_of(topology: Path) -> int:
    """How many rounds the file asks for."""
    found = re.search(r"^count = (\d+)", topology.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{topology} has no count of rounds")
    return int(found[1])


def run_and_look(run: Path, node: str, into: Path) -> None:
    """The default lab, and the console over it while it runs."""
    command = [str(Path(sys.executable).parent / "grapevine"), "lab", "up", str(TOPOLOGY), "--out", str(run)]
    lab = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not run.is_dir() and lab.poll() is None:
            lab_waits(lab)
        seen = int(rounds_of(TOPOLOGY) * SEEN_AFTER)
        asyncio.run(look(run, node, SCREENS, into, seen, lambda: lab.poll() is not None))
        lab.wait(WITHIN_S)
    finally:
        if lab.poll() is None:
            lab.terminate()
            lab.wait()


def lab_waits(lab: subprocess.Popen) -> None:
    """A moment, or until the lab ends."""
    try:
        lab.wait(0.2)
    except subprocess.TimeoutExpired:
        return


def main() -> int:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a run that is over")
    parser.add_argument("--node", default="press-1", help="which node the console shows")
    parser.add_argument("--into", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    into = arguments.into.resolve()
    if arguments.run is not None:
        asyncio.run(look(arguments.run, arguments.node, SCREENS, into))
        problem = photograph(arguments.run / "report.html", into / REPORT)
    else:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # the console shows where it looks
            run = Path("runs") / TOPOLOGY.stem
            run_and_look(run, arguments.node, into)
            problem = photograph(run / "report.html", into / REPORT)
    if problem is not None:
        print(problem, file=sys.stderr)
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main())
