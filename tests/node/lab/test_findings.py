import pytest

from node import journal
from node.lab.findings import adversaries, is_watched, wronged
from node.lab.record import NodeRecord
from node.lab.report import build_report
from tests.node.lab.synthetic import closed, ring, started, write_journal, write_run

NAMES = ("press-1", "press-2", "press-3", "press-4", "press-5")
HONEST = NAMES[:4]
NODES = [NodeRecord(name=name) for name in HONEST]
LIAR = NodeRecord(name="press-5", role="adversary", adversary="sign-flip")


def stopped(peer, number, after="quarantined", reason="reputation 25"):
    return journal.VerdictChanged(
        at=100.0 + number, round=number, peer=peer, before="suspect", after=after, reason=reason
    )


def run(folder, verdicts, edges=None, topology=None):
    """A finished run of NAMES in which each node of `verdicts` came to those."""
    edges = [(a, b) for a in NAMES for b in NAMES if a < b] if edges is None else edges
    write_run(folder, NAMES, 4, nodes=[*NODES, LIAR], edges=edges, **({"topology": topology} if topology else {}))
    for name, found in verdicts.items():
        rows = [closed(0, number, present=()) for number in range(4)]
        write_journal(folder, name, [started(name, rounds=4), *rows, *found])
    return build_report(folder)


def texts(found):
    return [each.text for each in found]


def test_who_was_found_by_whom_and_when(tmp_path):
    report = run(tmp_path, {name: [stopped("press-5", 3 - place % 2)] for place, name in enumerate(HONEST)})
    assert texts(adversaries(report)) == ["press-5 (sign-flip): quarantined by 4 of 4 honest nodes, rounds 2 to 3"]
    assert list(wronged(report)) == []


def test_the_first_quarantine_of_each_node_counts_and_evictions_are_told(tmp_path):
    twice = [stopped("press-5", 1), stopped("press-5", 3, "evicted")]
    report = run(tmp_path, dict.fromkeys(HONEST, twice))
    assert texts(adversaries(report)) == ["press-5 (sign-flip): evicted by 4 of 4 honest nodes, round 1"]


def test_who_missed_an_adversary_is_named(tmp_path):
    found = {name: [stopped("press-5", 2)] for name in ("press-1", "press-3")}
    found["press-1"].append(stopped("press-5", 3, "evicted"))
    report = run(tmp_path, found)
    assert texts(adversaries(report)) == [
        "press-5 (sign-flip): quarantined by 2 of 4 honest nodes, round 2; evicted by 1; not by press-2, press-4"
    ]


def test_an_adversary_that_nobody_found_is_said_to_be_so_plainly(tmp_path):
    (found,) = adversaries(run(tmp_path, {}))
    assert found.text == "press-5 (sign-flip): NOT FOUND by any of 4 honest nodes"
    assert found.missed_by == HONEST


def test_only_those_that_meet_an_adversary_can_find_it(tmp_path):
    found = {name: [stopped("press-5", 1)] for name in ("press-1", "press-4")}
    report = run(tmp_path, found, edges=ring(NAMES))
    assert texts(adversaries(report)) == [
        "press-5 (sign-flip): quarantined by 2 of 2 honest nodes that met it, round 1"
    ]


def test_an_honest_node_that_was_quarantined_is_named_with_the_reason(tmp_path):
    report = run(tmp_path, {"press-1": [stopped("press-2", 2, reason="far \x1b[2J off")],
                            "press-5": [stopped("press-1", 1)]})  # fmt: skip
    assert texts(wronged(report)) == [
        "press-2 (honest): quarantined by 1 of 3 honest nodes, round 2: far \N{REPLACEMENT CHARACTER}[2J off"
    ]


@pytest.mark.parametrize(
    ("text", "watched"), [("[detect]\nenabled = false\n", False), ("[detect]\n", True), ("", True), ("[", True)]
)
def test_whether_detection_was_on_is_in_the_topology(tmp_path, text, watched):
    report = run(tmp_path, {}).model_copy(update={"topology_text": text})
    assert is_watched(report) is watched
