"""What outlives a process, and how one ends: two real nodes, one with an API."""

import json
import os
import signal
import subprocess
import urllib.request

import pytest
from typer.testing import CliRunner

from consensus.messages import Vector
from node import journal, journal_file
from node.cli.main import app
from node.controls import ControlRefused
from node.errors import StateError
from node.life import levers_of, pack_pause, paused_in
from node.state import Checkpoint
from tests.node.lab.processes import GRAPEVINE, eventually
from tests.ports import free_ports

FILE = """
name = "pair"
[task]
dataset = "digits"
model = "linear"
local_epochs = 8
[rounds]
count = 100000
deadline_s = 5.0
[graph]
family = "complete"
"""


def invoke(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


class Pair:
    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        *ports, self.api = free_ports(3)
        tables = [
            f'[[node]]\nname = "{name}"\nlisten = "/ip4/127.0.0.1/tcp/{port}"\n'
            + invoke("node", "init", "--name", name, "--state", str(folder / name))
            for name, port in zip("ab", ports, strict=True)
        ]
        (folder / "pair.toml").write_text(FILE + "\n".join(tables))
        self.token = invoke("token", "make", "ops", "--state", str(folder / "a"), "--role", "operator")

    def start(self, name):
        api = ["--api", f"127.0.0.1:{self.api}"] if name == "a" else []
        command = [str(GRAPEVINE), "node", "start", "--topology", "pair.toml", "--name", name, "--state", name, *api]
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def events(self, name, kind=journal.RoundClosed):
        return [e for e in journal_file.read(self.folder / name / "journal.jsonl") if isinstance(e, kind)]

    def order(self, action):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api}/v1/controls/{action}",
            json.dumps({"reason": "a test"}).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200


@pytest.fixture
def pair(tmp_path):
    made = Pair(tmp_path)
    yield made
    for process in made.processes.values():
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.processes
def test_a_pause_survives_kill_9_and_sigterm_lets_a_round_finish(pair):
    for name in "ab":
        pair.start(name)
    eventually(lambda: len(pair.events("b")) >= 3)
    pair.order("pause")
    played = len(pair.events("a"))
    eventually(lambda: [e.cause for e in pair.events("b", journal.Paused)] == ["quorum"])
    pair.processes["a"].kill()
    pair.processes["a"].wait()
    pair.start("a")
    eventually(lambda: len(pair.events("a", journal.Paused)) == 2)
    again = pair.events("a", journal.Paused)[-1]
    assert (again.cause, again.reason) == ("operator", "by ops: a test")
    assert len(pair.events("a")) == played

    pair.order("resume")
    eventually(lambda: len(pair.events("a")) > played)
    operated = [(e.actor, e.action) for e in pair.events("a", journal.Operated)]
    assert operated == [("ops", "pause"), ("ops", "resume")]
    assert len(pair.events("b", journal.Unpaused)) == 1

    before = len(pair.events("a"))
    eventually(lambda: len(pair.events("a")) > before)
    before = len(pair.events("a"))
    pair.processes["a"].send_signal(signal.SIGTERM)
    assert pair.processes["a"].wait(60) == 0
    assert len(pair.events("a")) in (before + 1, before + 2)  # told in the middle of one, or just after
    assert pair.events("a", journal.Stopped)[-1].reason == "SIGTERM"
    eventually(lambda: [e.cause for e in pair.events("b", journal.Paused)] == ["quorum"] * 2)
    pair.processes["b"].send_signal(signal.SIGTERM)
    assert pair.processes["b"].wait(60) == 0
    log = (pair.folder / "a" / "log.jsonl").read_text()
    assert "ops asked to pause: a test" in log
    assert pair.token not in log


# --- what a checkpoint says -------------------------------------------------------------------------------------------


def test_a_pause_in_a_checkpoint_is_one_or_an_error():
    assert paused_in(None) is None
    assert paused_in(Checkpoint(b"", 3, pack_pause(None))) is None
    assert paused_in(Checkpoint(b"", 3, pack_pause("by ops"))) == "by ops"
    with pytest.raises(StateError):
        paused_in(Checkpoint(b"", 3, {"paused": 1}))


class Kept:
    def load(self, version: int) -> bytes:
        if version == 1:
            return b"\0\0\0"  # cut short
        raise StateError("none", "choose another")


class Room:
    def reinstate(self, champion: Vector) -> None:
        raise AssertionError("nothing to reinstate")


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_is_not_there_or_damaged_is_refused(version):
    with pytest.raises(ControlRefused):
        levers_of("none", None, Room(), Kept()).restore(version)


def test_nobody_is_quarantined_where_nobody_can_be_left_out():
    class Watch:
        order = "an order"

    assert levers_of("shamir", Watch(), Room(), Kept()).believe == "an order"
    assert levers_of("masks", Watch(), Room(), Kept()).believe is None
    assert levers_of("none", None, Room(), Kept()).believe is None
