import io
import subprocess
import sys

import pytest
from rich.console import Console

from node.console import watch
from node.console.watch import WatchedView
from node.lab.progress import LabProgress, NodeProgress


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100)


@pytest.fixture
def started(monkeypatch):
    """What would be the console is a process that ends with its standard input."""
    found = []

    def popen(command):
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found.append((command, process))
        return process

    class Instead:
        Popen, TimeoutExpired = staticmethod(popen), subprocess.TimeoutExpired

    monkeypatch.setattr(watch, "subprocess", Instead)
    yield found
    for _, process in found:
        process.kill()
        process.communicate()


def progress(status):
    return LabProgress("a lab", {"press-1": NodeProgress("press-1", 30, status=status)})


def test_the_terminal_is_the_console_s_until_it_is_closed(console, started, tmp_path):
    view = WatchedView(console, tmp_path)
    with view.open():
        view.show(progress("running"))
        assert console.file.getvalue() == ""
        ((command, process),) = started
        assert command[-2:] == ["--run", str(tmp_path)]
        process.communicate()  # somebody presses q
        view.show(progress("running"))
        assert "round 0/30" in console.file.getvalue()


def test_an_interrupted_lab_closes_the_console(console, started, tmp_path):
    view = WatchedView(console, tmp_path)
    with view.open():
        view.show(progress("running"))
    assert started[0][1].poll() is not None


def test_the_console_of_a_lab_that_is_done_stays_until_it_is_closed(console, started, tmp_path):
    view = WatchedView(console, tmp_path)
    with view.open():
        view.show(progress("finished"))
        process = started[0][1]
        assert process.poll() is None
        process.stdin.close()  # the only thing that ends it: open() waits for that
    assert process.returncode is not None
