import json
import statistics

import pytest
from typer.testing import CliRunner

from node import journal
from node.cli.main import app
from node.lab import plots
from node.lab.fold import Fold
from node.lab.record import Baselines, NodeRecord, read_record, write_record
from node.lab.report import build_report, missed_targets, write_report
from node.lab.trust import evidence
from tests.node.lab.synthetic import (
    NAMES,
    ROUNDS,
    accuracy,
    append,
    closed,
    started,
    write_eventful_run,
    write_journal,
    write_private_run,
)
from tests.node.lab.synthetic import write_run as write


@pytest.fixture
def quick_pictures(monkeypatch):
    """Nothing is drawn: for tests that ask for figures alone. What is drawn is asked where plots are tested, and below
    of the files that are written."""
    monkeypatch.setattr(plots, "draw_plots", lambda report: {"overview.png": b"a picture"})


def test_the_figures_of_a_quiet_run_are_those_of_independent_arithmetic(tmp_path):
    report = build_report(write(tmp_path))
    last = [0.95 - 0.6 / 30 - 0.01 * node for node in range(8)]
    summary = report.summary
    assert summary.honest_accuracy_mean == pytest.approx(sum(last) / 8)
    assert summary.honest_accuracy_min == pytest.approx(last[7])
    assert summary.consensus_distance == pytest.approx(2 / 30 + 3.5)
    assert summary.round_s_median == pytest.approx(0.04 + 0.001 * 3.5)
    assert summary.bytes_per_node_round == pytest.approx(1003.5)
    assert (summary.wall_s, summary.cpu_s, summary.startup_s) == (12.5, 20.0, 3.0)
    assert report.baselines.centralised == 0.97
    assert report.baselines.local_only_mean == pytest.approx(0.7)
    assert report.notes == ()
    assert [node.bytes_received for node in report.nodes] == [30 * (2000 + node) for node in range(8)]
    assert report.nodes[3].peer_id == "12D3KooWpress-4"


def test_report_json_has_the_published_shape(tmp_path, quick_pictures):
    write_report(build_report(write(tmp_path)), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"topology", "seed", "rounds", "nodes", "baselines", "summary"} <= report.keys()
    assert {"name", "peer_id", "role", "adversary", "accuracy", "local_only_accuracy", "epsilon", "bytes_sent",
            "bytes_received", "rounds_completed", "quarantined"} <= report["nodes"][0].keys()  # fmt: skip
    assert report["summary"].keys() == {
        "honest_accuracy_mean", "honest_accuracy_min", "consensus_distance", "wall_s", "cpu_s", "startup_s",
        "round_s_median", "bytes_per_node_round", "epsilon_max", "delta", "false_quarantines",
        "missed_adversaries"}  # fmt: skip
    assert report["baselines"].keys() == {"centralised", "local_only_mean"}
    assert report["nodes"][2]["accuracy"] == [accuracy(2, number) for number in range(ROUNDS)]
    assert report["nodes"][2]["quarantined"] == []
    assert (report["topology"], report["seed"], report["rounds"]) == ("plant-8", 7, ROUNDS)


def test_a_node_that_was_killed_and_resumed(tmp_path):
    report = build_report(write_eventful_run(tmp_path))
    node = report.nodes[2]
    assert node.accuracy[9] == accuracy(2, 9)
    assert node.accuracy[10:12] == (0.5, 0.5), "the last record of a round wins"
    assert node.accuracy[12:14] == (None, None)
    assert node.by_round.outcome[12] is None
    assert node.rounds_completed == 28
    assert node.bytes_sent == 30 * 1002, "the two rounds played twice were sent twice"
    assert (node.restarts, node.resumed_at, node.finished) == (1, (10,), True)
    assert node.final_accuracy == accuracy(2, 29)
    texts = [str(note) for note in report.notes]
    assert "press-3 was restarted once and came back at round 10." in texts
    assert "press-3 has 1 torn journal line (a killed process leaves them), passed over." in texts
    assert "press-3 closed 28 of 30 rounds." in texts
    assert len(texts) == 3


def test_the_median_counts_each_round_once(tmp_path):
    report = build_report(write_eventful_run(tmp_path))
    times = [0.04 + 0.001 * node for node in range(8) for _ in range(28 if node == 2 else 30)]
    assert report.summary.round_s_median == pytest.approx(statistics.median(times))
    sent = [1000 + node for node in range(8) for _ in range(28 if node == 2 else 30)]
    assert report.summary.bytes_per_node_round == pytest.approx(statistics.fmean(sent))


def test_adversaries_do_not_count_as_honest(tmp_path):
    report = build_report(write_eventful_run(tmp_path))
    honest = [accuracy(node, 29) for node in range(8) if node != 5]
    assert report.summary.honest_accuracy_mean == pytest.approx(statistics.fmean(honest))
    assert report.summary.consensus_distance == pytest.approx(2 / 30 + statistics.fmean([0, 1, 2, 3, 4, 6, 7]))
    assert (report.nodes[5].role, report.nodes[5].adversary) == ("adversary", "alie")


def test_evidence_of_one_kind_stands_together(tmp_path):
    (fault,) = build_report(write_eventful_run(tmp_path)).nodes[0].faults
    assert (fault.peer, fault.first_round, fault.count) == ("press-6", 4, 2)


def test_a_node_without_a_journal_is_named_and_does_not_count(tmp_path):
    write(tmp_path)
    (tmp_path / "press-8" / "journal.jsonl").unlink()
    report = build_report(tmp_path)
    assert report.summary.honest_accuracy_min == pytest.approx(accuracy(6, 29))
    assert report.nodes[7].accuracy == (None,) * ROUNDS
    assert [str(note) for note in report.notes] == ["press-8 left no journal: its figures are missing."]


def test_a_run_in_which_nothing_happened(tmp_path):
    write(tmp_path, interrupted=True)
    for name in NAMES:
        write_journal(tmp_path, name, [started(name)])
    report = build_report(tmp_path)
    assert report.summary.honest_accuracy_mean is None
    assert (report.reached, report.nodes[0].accuracy) == (0, ())
    assert report.summary.round_s_median is None
    assert report.notes[0].text.startswith("The run was interrupted")
    write_report(report, tmp_path)


def test_the_last_round_that_a_node_closed_counts(tmp_path):
    write(tmp_path)
    write_journal(tmp_path, "press-8", [started("press-8"), closed(7, 0), closed(7, 4)])
    report = build_report(tmp_path)
    assert report.nodes[7].final_accuracy == accuracy(7, 4)
    assert report.nodes[7].last_round == 4
    assert [str(note) for note in report.notes] == ["press-8 closed 2 of 30 rounds, the last was 4."]


def test_lists_end_where_the_run_did(tmp_path):
    write(tmp_path, rounds=1)
    write_record(read_record(tmp_path).model_copy(update={"rounds": 100_000, "interrupted": True}), tmp_path)
    for index, name in enumerate(NAMES):
        write_journal(tmp_path, name, [started(name), *(closed(index, number) for number in range(3 + index))])
    report = build_report(tmp_path)
    assert (report.rounds, report.reached) == (100_000, 10)
    assert [len(node.accuracy) for node in report.nodes] == [10] * 8
    assert report.nodes[0].accuracy[3:] == (None,) * 7


def test_a_void_round_has_no_distance_and_is_told(tmp_path):
    path = write(tmp_path) / "press-2" / "journal.jsonl"
    void = closed(1, 29, outcome="void", consensus_distance=None)
    with path.open("ab") as file:
        file.write(void.model_dump_json().encode() + b"\n")
    report = build_report(tmp_path)
    assert report.nodes[1].by_round.outcome[29] == "void"
    rest = [2 / 30 + node for node in range(8) if node != 1]
    assert report.summary.consensus_distance == pytest.approx(statistics.fmean(rest))
    assert [str(note) for note in report.notes] == ["press-2 had no quorum in 1 round and kept its own vector."]


def test_why_sums_were_not_opened_is_told_and_what_was_proved_is_marked(tmp_path):
    journals = write(tmp_path) / "press-2" / "journal.jsonl"
    void = {"outcome": "void", "consensus_distance": None}
    reasons = ["no agreement in stage PROVE", "the sum could not be opened", "no agreement in stage PROVE"]
    faults = [
        journal.Faulted(at=1.0, round=3, peer="press-6", reason="two items for one stage", proved=True),
        journal.Faulted(at=1.0, round=3, peer="press-6", reason="shares on no codeword", witnessed=True),
        journal.Faulted(at=1.0, round=3, peer="press-6", reason="is late"),
    ]
    append(journals, [*faults, *(closed(1, number, void=why, **void) for number, why in enumerate(reasons, 5))])
    report = build_report(tmp_path)
    assert {(fault.reason, fault.proved, fault.witnessed) for fault in report.nodes[1].faults} == {
        ("two items for one stage", True, False),
        ("shares on no codeword", False, True),
        ("is late", False, False),
    }
    section = evidence(report)
    assert section is not None
    assert section.table is not None
    assert {(row[2], row[3]) for row in section.table.rows} == {
        ("two items for one stage", "proved"),
        ("shares on no codeword", "witnessed"),
        ("is late", "–"),
    }
    assert [str(note) for note in report.notes] == [
        "press-2 opened no sum in 3 rounds and kept its own vector: "
        "no agreement in stage PROVE (twice); the sum could not be opened (once)."
    ]


def test_where_nobody_sees_the_models_the_distance_is_said_to_be_unknown(tmp_path):
    write(tmp_path)
    for index, name in enumerate(NAMES):
        write_journal(tmp_path, name, [closed(index, number, consensus_distance=None) for number in range(ROUNDS)])
    report = build_report(tmp_path)
    assert report.summary.consensus_distance is None
    assert "The consensus distance is not known: nobody sees the models that are averaged." in map(str, report.notes)


@pytest.mark.parametrize("number", [ROUNDS, 10**9])
def test_a_round_that_the_run_does_not_have_takes_no_room(tmp_path, number):
    append(write(tmp_path) / "press-1" / "journal.jsonl", [closed(0, number)])
    report = build_report(tmp_path)
    assert len(report.nodes[0].accuracy) == ROUNDS
    assert [str(note) for note in report.notes] == [
        "press-1 reports 1 round that the run of 30 does not have, passed over."
    ]


def test_edges_count_the_rounds_in_which_either_end_averaged_the_other(tmp_path):
    write(tmp_path)
    events = [closed(0, 0, ["press-2"]), closed(0, 1, []), closed(0, 2, ["press-5", "nobody", "press-1"])]
    write_journal(tmp_path, "press-1", events)
    write_journal(tmp_path, "press-2", [closed(1, 1, ["press-1"])])
    links = {(link.a, link.b): link for link in build_report(tmp_path).links}
    assert links["press-1", "press-2"].rounds == 2
    assert (links["press-1", "press-5"].rounds, links["press-1", "press-5"].in_graph) == (1, False)
    assert (links["press-4", "press-5"].rounds, links["press-4", "press-5"].in_graph) == (30, True)
    assert len(links) == 9


def test_counts_of_other_events(tmp_path):
    refused = journal.Refused(at=1.0, peer="stranger", address="/ip4/10.0.0.9", reason="not admitted", count=3)
    promoted = journal.Promoted(at=1.0, round=3, version=1, holdout_loss=0.4, previous_holdout_loss=0.5)
    back = journal.RolledBack(at=1.0, round=4, to_version=0, reason="worse")
    append(write(tmp_path) / "press-1" / "journal.jsonl", [refused, refused, promoted, back])
    node = build_report(tmp_path).nodes[0]
    assert (node.refused, node.promotions, node.rollbacks) == (6, 1, 1)


def test_given_baselines_win_over_the_mean_of_the_parts(tmp_path):
    local = dict.fromkeys(NAMES, 0.6) | {"press-6": 0.1}
    nodes = [NodeRecord(name=name, role="adversary" if name == "press-6" else "honest") for name in NAMES]
    report = build_report(write(tmp_path, nodes=nodes, baselines=Baselines(local_only=local)))
    assert report.baselines.local_only_mean == pytest.approx(0.6), "of honest nodes"
    report = build_report(write(tmp_path, baselines=Baselines(local_only=local, local_only_mean=0.55)))
    assert report.baselines.local_only_mean == 0.55


@pytest.mark.parametrize(
    ("targets", "missed"),
    [
        ({"honest_accuracy": 0.89}, []),
        ({"honest_accuracy": 0.9}, ["target honest_accuracy ≥ 0.9 missed: mean accuracy of honest nodes 0.895"]),
        ({"consensus_distance": 4.0, "round_s": 1.0}, []),
        ({"consensus_distance": 0.1}, ["target consensus_distance ≤ 0.1 missed: consensus distance 3.567"]),
        ({"accuracy": 0.1}, ["target accuracy is not measured by this version; the nearest is honest_accuracy"]),
    ],
)  # fmt: skip
def test_targets(tmp_path, targets, missed):
    assert missed_targets(build_report(write(tmp_path, targets=targets))) == missed


def test_a_target_that_was_not_measured_is_missed(tmp_path):
    report = build_report(write(tmp_path, targets={"wall_s": 60.0}, wall_s=None))
    assert missed_targets(report) == ["target wall_s ≤ 60 missed: the wall time in seconds was not measured"]


def test_epsilon_is_the_most_that_any_node_may_have_let_out(tmp_path):
    report = build_report(write_private_run(tmp_path))
    assert [node.epsilon for node in report.nodes] == pytest.approx([1.0, 3.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    assert report.nodes[4].by_round.epsilon[14] == pytest.approx(0.7)
    assert (report.summary.epsilon_max, report.summary.delta) == (3.0, 1e-5)
    assert missed_targets(report) == ["target epsilon ≤ 1.5 missed: largest ε of a node 3"]
    assert "press-3 brought nothing from round 20 on: its budget of privacy was spent." in map(str, report.notes)


def test_a_run_that_claims_nothing_reports_no_epsilon(tmp_path):
    report = build_report(write(tmp_path))
    assert {node.epsilon for node in report.nodes} == {None}
    assert report.summary.epsilon_max is None


def test_writing_leaves_every_file_and_no_leftovers(tmp_path):
    write(tmp_path)
    write_report(build_report(tmp_path), tmp_path)
    made = {path.name for path in tmp_path.iterdir()} - set(NAMES)
    assert made == {"run.json", "report.json", "report.html", "plots"}
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "overview.png", "topology.png", "accuracy.png", "consensus.png", "traffic.png"}  # fmt: skip


def test_the_command_rebuilds_and_judges(tmp_path, quick_pictures):
    write(tmp_path, targets={"honest_accuracy": 0.99})
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["topology"] == "plant-8"
    assert "press-8" in result.stderr
    write(tmp_path, targets={"honest_accuracy": 0.99}, interrupted=True)
    assert CliRunner().invoke(app, ["report", str(tmp_path)]).exit_code == 0, "a run that was cut off is not judged"
    result = CliRunner().invoke(app, ["report", str(tmp_path / "elsewhere")])
    assert result.exit_code == 2
    assert "run.json is missing" in result.stderr


def test_a_node_that_ended_early_is_a_shortfall(tmp_path, quick_pictures):
    write(tmp_path, unfinished=("press-2",))
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 1
    assert "press-2 ended before its last round" in result.stderr


def quarantined(round_, peer, after="quarantined"):
    return journal.VerdictChanged(
        at=float(round_), round=round_, peer=peer, before="suspect", after=after, until=120.0, reason="cosine: x"
    )


def test_who_stopped_averaging_whom_is_counted(tmp_path):
    adversary = NodeRecord(name="press-6", role="adversary", adversary="sign-flip")
    nodes = [adversary if name == "press-6" else NodeRecord(name=name) for name in NAMES]
    write(tmp_path, nodes=nodes)
    for name in NAMES:
        append(tmp_path / name / "journal.jsonl", [quarantined(3, "press-6"), quarantined(9, "press-6", "probation")])
    summary = build_report(tmp_path).summary
    assert (summary.false_quarantines, summary.missed_adversaries) == (0, 0)
    append(tmp_path / "press-1" / "journal.jsonl", [quarantined(4, "press-2"), quarantined(5, "press-2", "evicted")])
    append(tmp_path / "press-6" / "journal.jsonl", [quarantined(4, "press-1")])  # a liar's word
    report = build_report(tmp_path)
    assert (report.summary.false_quarantines, report.summary.missed_adversaries) == (2, 0)
    assert [(each.peer, each.round) for each in report.nodes[0].quarantined] == [
        ("press-6", 3),
        ("press-2", 4),
        ("press-2", 5),
    ]
    write_journal(tmp_path, "press-3", [])
    assert build_report(tmp_path).summary.missed_adversaries == 1


def test_reputation_by_round_is_in_the_report(tmp_path):
    write(tmp_path)
    rows = [closed(0, number, reputation={"press-6": 100.0 - number}) for number in range(30)]
    write_journal(tmp_path, "press-1", rows)
    report = build_report(tmp_path)
    assert report.nodes[0].by_round.reputation[7] == {"press-6": 93.0}
    assert report.nodes[1].by_round.reputation[7] == {}


def test_how_far_a_backdoor_came_is_told(tmp_path):
    success = dict.fromkeys(NAMES, 0.1) | {"press-4": 0.5}
    write(tmp_path, baselines=Baselines(backdoor=success))
    report = build_report(tmp_path)
    assert report.nodes[3].backdoor_success == 0.5
    assert "The backdoor turns 15.0 % of triggered rows at an honest node, 50.0 % at the worst." in [
        note.text for note in report.notes
    ]
    write(tmp_path)
    assert build_report(tmp_path).nodes[3].backdoor_success is None


def test_a_node_that_came_back_twice_is_said_to_have_come_back_at_both_rounds():
    fold = Fold(30, resumed_at=[2, 14])
    assert next(iter(fold.remarks(30, 2))) == "was restarted twice and came back at rounds 2 and 14."
