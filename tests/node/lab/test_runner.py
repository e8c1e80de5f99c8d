"""Real processes over loopback: the run, the interruption, what cannot start."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from rich.console import Console

from node import journal
from node.api.endpoint import Endpoint
from node.errors import RunError
from node.lab import runner
from node.lab.progress import View
from node.lab.runner import run_lab
from overlay.topology import load_topology
from tests.node.lab.processes import GRAPEVINE, ROOT, eventually, is_alive, lab_up

pytestmark = pytest.mark.processes
RING = ROOT / "topologies" / "ring-8.toml"
PLANT = ROOT / "topologies" / "open-8.toml"
PLANT_NODES = [f"press-{i}" for i in range(1, 9)]
PARAMETERS = 4810


def test_a_ring_runs_and_reports(tmp_path):
    out = tmp_path / "run"
    with lab_up(RING, out, "--rounds", "10", "--json") as lab:
        stdout, stderr = lab.process.communicate(timeout=120)
    assert lab.process.returncode == 0, stderr
    report = json.loads(stdout)
    assert report == json.loads((out / "report.json").read_text())
    assert report["rounds"] == 10
    assert len(report["nodes"]) == 8
    assert all(node["rounds_completed"] == 10 and len(node["accuracy"]) == 10 for node in report["nodes"])
    summary = report["summary"]
    assert 0.8 < summary["honest_accuracy_min"] <= summary["honest_accuracy_mean"] < 1
    assert summary["bytes_per_node_round"] <= 1.1 * 2 * 4 * PARAMETERS
    assert report["baselines"]["local_only_mean"] < summary["honest_accuracy_mean"] < report["baselines"]["centralised"]
    assert (out / "report.html").stat().st_size > 10_000
    assert list((out / "plots").glob("*.png"))
    locks = list(out.glob("*/state/lock"))
    assert len(locks) == 8
    assert not any(is_alive(int(lock.read_text())) for lock in locks)


def test_an_interruption_stops_everything_and_still_reports(tmp_path):
    with lab_up(PLANT, tmp_path / "run", "--rounds", "100000") as lab:
        eventually(lambda: all(lab.rounds(name) for name in PLANT_NODES))
        pids = [lab.pid(name) for name in PLANT_NODES]
        lab.process.send_signal(signal.SIGINT)
        assert lab.wait(30) == 130
        assert not any(map(is_alive, pids))
    for name in PLANT_NODES:
        assert isinstance(lab.events(name)[-1], journal.Stopped)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["interrupted"] is True
    assert (tmp_path / "run" / "report.html").exists()


def test_bad_input_leaves_the_folder_as_it_was(tmp_path):
    out = tmp_path / "run"
    with lab_up(RING, out, "--dataset", "csv:nowhere.csv") as lab:
        _, stderr = lab.process.communicate(timeout=60)
    assert lab.process.returncode == 2
    assert "nowhere.csv" in stderr
    assert not out.exists()


@pytest.mark.parametrize("step", ["make_keys", "make_shards", "write_record"])
@pytest.mark.parametrize("existed", [False, True])
def test_a_disk_that_is_full_before_a_node_runs_is_two_lines_and_leaves_nothing(tmp_path, monkeypatch, step, existed):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(runner, "_fork_server", lambda *_, **__: None)  # nothing is forked
    monkeypatch.setattr(runner, "make_shards", lambda *_: 1)
    monkeypatch.setattr(runner, step, full)
    out = tmp_path / "run"
    if existed:
        out.mkdir()
    with pytest.raises(RunError, match=f"{out} cannot be written: No space left") as caught:
        run_lab(load_topology(RING), out, View(Console()))
    assert caught.value.remedy
    assert not any(out.iterdir()) if existed else not out.exists()


def test_a_port_that_is_taken_is_found_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = Endpoint("127.0.0.1", taken.getsockname()[1] - 1)
        with pytest.raises(RunError, match="cannot listen at"):
            run_lab(load_topology(RING), tmp_path / "run", View(Console()), second)
    assert not (tmp_path / "run").exists()


def test_a_lab_that_is_killed_leaves_no_node_behind_and_its_folder_can_be_reported(tmp_path):
    out = tmp_path / "run"
    with lab_up(PLANT, out, "--rounds", "100000") as lab:
        eventually(lambda: all(lab.rounds(name) for name in PLANT_NODES))
        pids = [lab.pid(name) for name in PLANT_NODES]
        lab.process.kill()
        eventually(lambda: not any(map(is_alive, pids)))
    run = subprocess.run([str(GRAPEVINE), "report", str(out)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (out / "report.html").exists()


def test_a_run_is_never_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with lab_up(RING, tmp_path, "--rounds", "1") as lab:
        _, stderr = lab.process.communicate(timeout=60)
    assert lab.process.returncode == 2
    assert "is not empty" in stderr
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_ctrl_c_does_not_reach_the_fork_server_while_it_imports():
    """It goes to the whole terminal group, and an import that it cuts short leaves libraries by halves."""
    code = """
import signal, sys
from multiprocessing import forkserver
from pathlib import Path
from node.lab import runner
from overlay.topology import load_topology

runner.PRELOAD.clear()
runner._fork_server(load_topology(Path("topologies/plant-8.toml")), answering=False)
status = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text()
blocked = int(status.split("SigBlk:")[1].split()[0], 16)
assert blocked >> signal.SIGINT - 1 & 1, status
assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []), "and here it is heard"
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
