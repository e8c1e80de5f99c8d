"""Real processes, one of them a liar: who is evicted, what a screen weighs, and what the report says of it."""

import json

import pytest

from node import journal
from tests.node.lab.processes import ROOT, lab_up

pytestmark = pytest.mark.processes


def test_a_protocol_liar_is_evicted_in_its_first_round_by_every_real_node(tmp_path):
    source = (ROOT / "topologies" / "private-8.toml").read_text()
    head = (
        source[: source.index("[targets]")]
        .replace("packing = 3", "packing = 2")
        .replace("tolerated = 2", "tolerated = 1")
    )
    nodes = "".join(f'[[node]]\nname = "press-{i}"\n\n' for i in range(1, 6)).rstrip()
    file = tmp_path / "liar.toml"
    text = head.replace("absentees = 1", "absentees = 0").replace('name = "private-8"', 'name = "liar-5"')
    file.write_text(f'{text}\n{nodes}\nadversary = "protocol-liar:equivocation"\n')
    with lab_up(file, tmp_path / "run", "--rounds", "3", "--json") as lab:
        stdout, stderr = lab.process.communicate(timeout=180)
        assert lab.process.returncode == 0, stderr
        for name in ("press-1", "press-2", "press-3", "press-4"):
            changes = [event for event in lab.events(name) if isinstance(event, journal.VerdictChanged)]
            assert [(change.peer, change.round, change.after) for change in changes] == [("press-5", 0, "evicted")]
            rounds = lab.rounds(name)
            assert [event.outcome for event in rounds] == ["averaged"] * 3
            assert all("press-5" not in event.present for event in rounds[1:])
    report = json.loads(stdout)
    assert (report["summary"]["false_quarantines"], report["summary"]["missed_adversaries"]) == (0, 0)
    assert report["nodes"][4]["adversary"] == "protocol-liar:equivocation"


def test_the_shipped_screen_weighs_over_real_processes_with_a_liar_among_them(tmp_path):
    """Of eight at least six weigh something in every sum; the screen names nobody, so that nobody is quarantined."""
    with lab_up(ROOT / "topologies" / "screen-8.toml", tmp_path / "run", "--rounds", "4", "--json") as lab:
        stdout, stderr = lab.process.communicate(timeout=240)
        assert lab.process.returncode in (0, 1), stderr
        rounds = [lab.rounds(f"press-{i}") for i in range(1, 9)]
    assert all([row.outcome for row in mine] == ["averaged"] * 4 for mine in rounds)
    for number in range(4):
        weighed = [{*mine[number].present, f"press-{i}"} for i, mine in enumerate(rounds, 1)]
        assert all(len(names) >= 6 for names in weighed)
        everywhere = set.intersection(*weighed)
        assert all(names - {f"press-{i}"} <= everywhere for i, names in enumerate(weighed, 1)), "one set of weights"
    report = json.loads(stdout)
    assert len({node["accuracy"][-1] for node in report["nodes"]}) == 1
    assert not any(node["quarantined"] for node in report["nodes"])
    assert report["nodes"][7]["adversary"] == "sign-flip:3"
