"""The real console, in a real terminal, on a real running node: what a person does by key stands in API and journal."""

import shutil
import subprocess
import sys
import time

import httpx
import pytest

from node import journal, journal_file
from tests.ports import free_ports

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: no terminal to drive"),
]
WITHIN_S = 90.0
TOPOLOGY = """
name = "console-3"
seed = 5
[task]
dataset = "digits"
model = "linear"
[rounds]
count = 5000
deadline_s = 10.0
quorum = 0.3
[graph]
family = "complete"
[consensus]
committee = "neighbourhood"
rule = "mean"
[[node]]
name = "press-1"
[[node]]
name = "press-2"
[[node]]
name = "press-3"
"""


def wait(found, what):
    """What `found` gives as soon as it is something."""
    deadline = time.monotonic() + WITHIN_S
    while not (result := found()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.1)
    return result


@pytest.fixture
def lab(tmp_path):
    """(folder of the run, port of the first node's API); the rounds of all nodes are paused."""
    topology, out, port = tmp_path / "three.toml", tmp_path / "run", free_ports(3).start
    topology.write_text(TOPOLOGY)
    command = [sys.executable, "-m", "node.cli.main", "lab", "up", str(topology), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--api", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        for number in range(3):
            wait(lambda number=number: pause(out, port + number), f"node {number} does not pause")
        yield out, port
    finally:
        process.kill()  # its nodes end with it, and no report is made that nobody reads
        process.communicate(timeout=60)


def pause(out, port):
    """Whether the node pauses now; not while it does not answer yet."""
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/controls/pause",
            json={"reason": "the test has time"},
            headers={"Authorization": f"Bearer {(out / 'token').read_text().strip()}"},
            timeout=30,
        )
    except (httpx.HTTPError, OSError):
        return False
    return answer.status_code == httpx.codes.OK


class Terminal:
    """A terminal of 100 × 30 that a command runs in."""

    def __init__(self, folder, command):
        self._socket = str(folder / "tmux")
        self._tmux("new-session", "-d", "-x", "100", "-y", "30", command)

    def _tmux(self, *words):
        done = subprocess.run(["tmux", "-S", self._socket, *words], capture_output=True, text=True, check=False)
        return done.stdout

    def keys(self, *keys):
        self._tmux("send-keys", *keys)

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def shows(self, words):
        wait(lambda: words in self.screen(), lambda: f"{words!r} does not come:\n{self.screen()}")

    def close(self):
        self._tmux("kill-server")


def test_a_person_sees_filters_and_quarantines_and_api_and_journal_have_it(lab, tmp_path):
    out, port = lab
    command = f"{sys.executable} -m node.cli.main console http://127.0.0.1:{port} --token-file {out / 'token'}"
    terminal = Terminal(tmp_path, f"TERM=xterm-256color {command}; sleep 60")
    try:
        terminal.shows("● LIVE")
        terminal.shows("‖ PAUSED")
        terminal.keys("4")
        terminal.shows("Detection")
        terminal.keys("5")
        terminal.shows("the test has time")
        terminal.keys("/")
        terminal.shows("search in what is told")
        terminal.keys("-l", "lab asked to pause")
        terminal.shows("1 of ")
        assert " closed: " not in terminal.screen()
        terminal.keys("Enter")

        terminal.keys("3", "x")  # as fast as a person who knows: the second key comes before the first is painted
        terminal.shows("Quarantine press-2?")
        terminal.keys("-l", "noisy bearing")
        terminal.keys("Enter")
        terminal.shows("✖ QUARANTINED")

        answer = httpx.get(
            f"http://127.0.0.1:{port}/v1/peers/press-2",
            headers={"Authorization": f"Bearer {(out / 'token').read_text().strip()}"},
        )
        assert answer.json()["verdict"] == "quarantined"
        told = journal_file.read(out / "press-1" / "journal.jsonl")
        (order,) = [event for event in told if isinstance(event, journal.Operated) and event.action == "quarantine"]
        assert (order.actor, order.target, order.reason) == ("lab", "press-2", "noisy bearing")
        assert any(isinstance(event, journal.VerdictChanged) and event.after == "quarantined" for event in told)

        terminal.keys("q")
        wait(lambda: "LIVE" not in terminal.screen(), "the console does not close")
    finally:
        terminal.close()
        assert not (out / "report.html").exists()  # the lab still ran: closing a console stops nothing
