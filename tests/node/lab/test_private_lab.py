"""Real processes whose updates are secret: a killed node, a killed worker."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from node import journal
from tests.node.lab.processes import ROOT, eventually, is_alive, lab_up

pytestmark = pytest.mark.processes
FOLDER = ROOT / "topologies"
NODES = [f"press-{i}" for i in range(1, 9)]


def faults(lab):
    return [event for name in NODES for event in lab.events(name) if isinstance(event, journal.Faulted)]


def workers(lab):
    """Node process → the worker process that it has started."""
    nodes = {lab.pid(name) for name in NODES}
    found = {}
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent in nodes and b"node.worker" in (process / "cmdline").read_bytes():
                found[parent] = int(process.name)
    return found


def assert_one_model(lab, report, rounds):
    assert all(node["rounds_completed"] == rounds for node in report["nodes"])
    assert len({node["accuracy"][-1] for node in report["nodes"]}) == 1
    assert report["summary"]["honest_accuracy_mean"] > report["baselines"]["local_only_mean"]
    assert report["summary"]["consensus_distance"] is None
    assert not faults(lab)
    assert all(event.outcome == "averaged" for name in NODES for event in lab.rounds(name))


def test_a_killed_node_is_done_without_blamed_by_nobody_and_takes_part_again(tmp_path):
    with lab_up(FOLDER / "private-8.toml", tmp_path / "run", "--rounds", "18") as lab:
        eventually(lambda: len(lab.rounds("press-3")) >= 5)
        killed = lab.pid("press-3")
        os.kill(killed, signal.SIGKILL)
        assert lab.wait(240) in (0, 1)
        assert lab.pid("press-3") != killed
    assert not faults(lab)
    starts = [event for event in lab.events("press-3") if isinstance(event, journal.Started)]
    assert [(start.resumed, start.sharing) for start in starts] == [(False, "shamir"), (True, "shamir")]
    played = [event.round for event in lab.rounds("press-3")]
    assert len(played) == len(set(played)), "a round was played twice"
    assert starts[1].round > max(number for number in played if number < starts[1].round)
    assert any("press-3" in event.present for event in lab.rounds("press-1")[-5:])
    for name in NODES:
        if name != "press-3":
            rounds = lab.rounds(name)
            assert [event.round for event in rounds] == list(range(18))
            assert all(event.outcome == "averaged" for event in rounds)
            assert sum("press-3" in event.deadline_missed for event in rounds) <= 1
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    finals = {node["accuracy"][-1] for node in report["nodes"]}
    assert len(finals) == 1, "all end with one model"


def test_a_killed_worker_costs_its_node_a_retry_and_none_is_left_behind(tmp_path):
    with lab_up(FOLDER / "ckks-8.toml", tmp_path / "run", "--rounds", "8") as lab:
        eventually(lambda: all(lab.rounds(name) for name in NODES), within_s=120)
        started = workers(lab)
        node, worker = next(iter(started.items()))
        os.kill(worker, signal.SIGKILL)
        assert lab.wait(240) in (0, 1)
    assert not is_alive(node)
    assert not any(map(is_alive, started.values()))
    assert_one_model(lab, json.loads((tmp_path / "run" / "report.json").read_text()), 8)
    for name in NODES:
        assert sum(isinstance(event, journal.Started) for event in lab.events(name)) == 1, "no node was restarted"
