"""Real processes, one of them a liar: who is quarantined, and what the report says of it."""

import json

import pytest

from node import journal
from tests.node.lab.processes import ROOT, lab_up

pytestmark = pytest.mark.processes


def test_a_sign_flipper_among_real_nodes_is_quarantined_by_all_and_nobody_else_is(tmp_path):
    text = (ROOT / "topologies" / "open-8.toml").read_text()
    text = text.replace('rule = "mean"', 'rule = "nnm+geometric-median"\nbyzantine = 1')
    assert "byzantine = 1" in text
    file = tmp_path / "byzantine.toml"
    file.write_text(text.rstrip() + '\nadversary = "sign-flip"\n')
    with lab_up(file, tmp_path / "run", "--rounds", "12", "--json") as lab:
        stdout, stderr = lab.process.communicate(timeout=180)
        assert lab.process.returncode == 0, stderr
        honest = [f"press-{i}" for i in range(1, 8)]
        for name in honest:
            facts = [event for event in lab.events(name) if isinstance(event, journal.Evidence)]
            assert {fact.peer for fact in facts if fact.severity != "low"} == {"press-8"}
    report = json.loads(stdout)
    assert (report["summary"]["false_quarantines"], report["summary"]["missed_adversaries"]) == (0, 0)
    for node in report["nodes"][:7]:
        assert [each["peer"] for each in node["quarantined"]] == ["press-8"]
        assert node["by_round"]["reputation"][-1]["press-8"] < 50
    assert report["nodes"][7]["role"] == "adversary"
    assert report["summary"]["honest_accuracy_mean"] > 0.8


def test_the_shipped_plant_with_liars_runs_and_one_press_in_turn_sits_out(tmp_path):
    with lab_up(ROOT / "topologies" / "byzantine-8.toml", tmp_path / "run", "--rounds", "8", "--json") as lab:
        stdout, stderr = lab.process.communicate(timeout=240)
        assert lab.process.returncode == 0, stderr
        rounds = lab.rounds("press-1")
    report = json.loads(stdout)
    assert [row.outcome for row in rounds] == ["averaged"] * 8
    assert all(len(row.absent) <= 1 for row in rounds)
    assert {name for row in rounds for name in row.absent} == {f"press-{i}" for i in range(2, 9)}
    assert report["summary"]["false_quarantines"] == 0
    assert [node["adversary"] for node in report["nodes"]] == [None] * 6 + ["alie", "sign-flip"]
