"""The tutorial's two machines: two network namespaces, joined by a cable that is pulled, do what its blocks say."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from node import journal, journal_file
from tests.documents import TUTORIAL, Block, block, blocks, environment
from tests.node.lab.processes import eventually

WITHIN_S = 120.0
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(shutil.which("ip") is None, reason="there is no `ip` (iproute2) for network namespaces"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces"),
]


class Machine:
    """A network namespace with one end of the cable, and a folder to type in."""

    def __init__(self, number, folder):
        self.name = f"press-{number}"
        self.namespace = f"grapevine-{os.getpid()}-{number}"
        self.address = f"192.168.1.1{number}/24"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.journal = self.folder / self.name / "journal.jsonl"
        self.started = []

    def ip(self, *words):
        subprocess.run(["ip", "-n", self.namespace, *words], check=True, capture_output=True, text=True)

    def cable(self, state):
        self.ip("link", "set", "cable", state)

    def type(self, block):
        """Run a block of the tutorial, and give what it prints on stdout."""
        done = subprocess.run(self._shell(block), **self._here(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, what):
        """What the API says, to the token that the tutorial has made."""
        asking = f'curl -sSf -H "Authorization: Bearer $(cat token)" http://127.0.0.1:8200/v1/{what}'
        return json.loads(self.type(Block("sh", asking)))

    def leave_running(self, block):
        """The same for one that runs until it is told to stop."""
        with (self.folder / "terminal").open("ab") as terminal:
            process = subprocess.Popen(
                self._shell(block), **self._here(), stdout=terminal, stderr=terminal, start_new_session=True
            )
        self.started.append(process)

    def _shell(self, block):
        return ["ip", "netns", "exec", self.namespace, "bash", "-euo", "pipefail", "-c", block.text]

    def _here(self):
        return {"cwd": self.folder, "env": environment(), "stdin": subprocess.DEVNULL}

    def events(self, kind):
        return [e for e in journal_file.read(self.journal) if isinstance(e, kind)] if self.journal.exists() else []

    def rounds_with(self, other):
        return [e for e in self.events(journal.RoundClosed) if e.present == (other.name,)]

    def pauses(self):
        """How often it paused, and how often it went on."""
        return len(self.events(journal.Paused)), len(self.events(journal.Unpaused))

    def terminal(self):
        return (self.folder / "terminal").read_text()

    def remove(self):
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False, capture_output=True)


@pytest.fixture
def machines(tmp_path):
    """Both, at the addresses that the tutorial's file gives them."""
    one, two = both = Machine(1, tmp_path), Machine(2, tmp_path)
    with contextlib.ExitStack() as stack:
        for machine in both:
            made = subprocess.run(
                ["ip", "netns", "add", machine.namespace], check=False, capture_output=True, text=True
            )
            if made.returncode != 0:
                pytest.skip(f"this machine lets nobody make network namespaces: {made.stderr.strip()}")
            stack.callback(machine.remove)
        one.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", two.namespace)
        for machine in both:
            machine.ip("link", "set", "lo", "up")
            machine.ip("address", "add", machine.address, "dev", "cable")
            machine.cable("up")
        yield both


def lies_on(machine, block):
    """Whether the tutorial has it typed there."""
    return block.head.startswith((f"on {machine.name}", "on both"))


def told(text, machines):
    """The tutorial's file with the keys that the machines printed, in their order."""

    def make_key(machine):
        (init,) = [x for x in blocks(TUTORIAL) if lies_on(machine, x) and "node init" in x.text]
        return machine.type(init).strip()

    with ThreadPoolExecutor() as pool:  # two machines do not wait for each other
        for line in pool.map(make_key, machines):
            text = text.replace('peer_id = "12D3KooW…"', line, 1)
    return text


def both(machines, condition, within_s=WITHIN_S):
    eventually(lambda: all(map(condition, machines)), within_s)


def test_two_machines_learn_together_and_outlive_a_pulled_cable(machines):
    one, two = machines
    other = {one: two, two: one}
    file = told(block(TUTORIAL, 'name = "two"', "toml").text, machines)
    for machine in machines:
        (machine.folder / "two.toml").write_text(file)
        assert "two" in machine.type(block(TUTORIAL, "topology check two.toml"))
    for machine in machines:
        (start,) = [x for x in blocks(TUTORIAL) if lies_on(machine, x) and "node start" in x.text]
        machine.leave_running(start)
    both(machines, lambda machine: len(machine.rounds_with(other[machine])) >= 10)

    one.cable("down")
    assert not any(machine.events(journal.Finished) for machine in machines), "the cable was pulled too late"
    one.type(block(TUTORIAL, "token make"))
    both(machines, lambda machine: machine.pauses() == (1, 0))
    before = {machine: len(machine.events(journal.RoundClosed)) for machine in machines}
    assert "paused below its quorum" in one.type(block(TUTORIAL, "node status"))
    one.cable("up")
    both(machines, lambda machine: machine.pauses() == (1, 1))

    both(machines, lambda machine: machine.events(journal.Finished))
    assert one.ask("overview")["node"]["up"] == [two.name]
    one.type(block(TUTORIAL, "mkdir -p backup"))
    with contextlib.closing(sqlite3.connect(one.folder / "backup" / "store.db")) as store:
        assert store.execute("SELECT count(*) FROM rounds").fetchone()[0] > 10
    for machine in machines:
        machine.type(block(TUTORIAL, "kill $(cat press-?/lock)"))
        assert machine.started[0].wait(30) == 0
        closed = machine.events(journal.RoundClosed)
        together = machine.rounds_with(other[machine])
        assert [e.round for e in closed][-1] == 79
        assert len(together) >= len(closed) - 1  # none but the round in which the cable was pulled
        assert sum(e.round >= before[machine] for e in together) > 10
        assert closed[-1].holdout_accuracy > max(0.9, closed[0].holdout_accuracy)
        assert "Traceback" not in machine.terminal()
