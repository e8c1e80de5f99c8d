"""Real processes over loopback: the run, the crash, the interruption, the attack."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess

import pytest

from node import journal
from tests.node.lab.processes import GRAPEVINE, ROOT, eventually, is_alive, lab_up, peak_memory_mb

pytestmark = pytest.mark.processes
RING = ROOT / "topologies" / "ring-8.toml"
PLANT = ROOT / "topologies" / "open-8.toml"
PLANT_NODES = [f"press-{i}" for i in range(1, 9)]
PARAMETERS = 4810
FLOODED_ROUNDS = 50


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


def test_a_lab_that_is_killed_leaves_no_node_behind_and_its_folder_can_be_reported(tmp_path):
    out = tmp_path / "run"
    with lab_up(PLANT, out, "--rounds", "100000") as lab:
        eventually(lambda: all(lab.rounds(name) for name in PLANT_NODES))
        pids = [lab.pid(name) for name in PLANT_NODES]
        lab.process.kill()
        eventually(lambda: not any(map(is_alive, pids)), within_s=15)
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


def attack(port: int, connections: int) -> None:
    """Raw connections that announce gigabytes, send noise, and stay."""
    noise = os.urandom(4096)
    payloads = [b"\xff" * 64, (1 << 30).to_bytes(4, "big") + noise, b"GET / HTTP/1.1\r\n\r\n", noise, b""]
    with contextlib.ExitStack() as stack:
        for index in range(connections):
            with contextlib.suppress(OSError):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=2))
                connection.sendall(payloads[index % len(payloads)])


def test_strangers_and_floods_are_refused_named_and_harmless(tmp_path):
    with lab_up(PLANT, tmp_path / "run", "--rounds", str(FLOODED_ROUNDS), "--json") as lab:
        eventually(lambda: all(len(lab.rounds(name)) >= 3 for name in PLANT_NODES))
        started = next(event for event in lab.events("press-1") if isinstance(event, journal.Started))
        memory_before = peak_memory_mb(lab.pid("press-1"))
        attack(int(started.address.split("/")[4]), 400)
        attacked = len(lab.rounds("press-1"))
        memory = peak_memory_mb(lab.pid("press-1")) - memory_before
        lab.process.communicate(timeout=240)
        assert lab.process.returncode in (0, 1)
    assert memory < 100
    quiet = statistics.median(event.round_s for event in lab.rounds("press-1")[attacked + 5 :])
    assert statistics.median(event.round_s for event in lab.rounds("press-1")[:attacked]) < 4 * quiet
    for name in PLANT_NODES:
        assert [event.round for event in lab.rounds(name)] == list(range(FLOODED_ROUNDS))
        assert all(event.deadline_missed == () and len(event.present) == 7 for event in lab.rounds(name))
    refused = [event for event in lab.events("press-1") if isinstance(event, journal.Refused)]
    assert sum(event.count for event in refused) >= 100
    assert all(event.reason for event in refused)
    assert len(refused) < 500
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["summary"]["honest_accuracy_mean"] > 0.95
