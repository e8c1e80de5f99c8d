import io

import pytest
from rich.console import Console

from node import journal
from node.lab.record import NodeRecord
from node.lab.report import build_report, summary_table
from node.lab.summary import bar, sparkline
from tests.node.lab.synthetic import append, write_eventful_run, write_run


def shown(folder, width=80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(summary_table(build_report(folder)))
    return console.file.getvalue().splitlines()


def test_one_screen_says_it_all(tmp_path):
    lines = shown(write_eventful_run(tmp_path))
    text = "\n".join(lines)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for part in ("plant-8  8 nodes · 30 rounds · seed 7", "97.0 %", "89.7 %", "70.0 %", "press-6 ◆", "28/30", "+23.0",
                 "✗ target honest_accuracy", "✗ press-6 (alie): NOT FOUND by any of", "! press-3 was restarted once",
                 "wall 12.5 s"):  # fmt: skip
        assert part in text


def test_who_was_quarantined_is_named_and_what_went_wrong_stands_out(tmp_path):
    nodes = [NodeRecord(name=name) for name in ("a", "b", "c")]
    liar = NodeRecord(name="z", role="adversary", adversary="alie")
    write_run(tmp_path, ["a", "b", "c", "z"], 4, nodes=[*nodes, liar])

    def shown_with(*found):
        for name, peer, number in found:
            verdict = journal.VerdictChanged(
                at=9.0, round=number, peer=peer, before="suspect", after="quarantined", reason="reputation 25"
            )
            append(tmp_path / name / "journal.jsonl", [verdict])
        return "\n".join(shown(tmp_path, 120))

    text = shown_with(("a", "z", 1))
    assert "! z (alie): quarantined by 1 of 2 honest nodes that met it, round 1; not by c" in text
    assert "✓ no honest node was quarantined" in text
    text = shown_with(("c", "z", 3), ("z", "a", 1))
    assert "✓ z (alie): quarantined by 2 of 2 honest nodes that met it, rounds 1 to 3" in text
    assert "✓ no honest node was quarantined" in text  # what an adversary does to honest nodes is no wrong of theirs
    text = shown_with(("b", "a", 2))
    assert "✗ a (honest): quarantined by 1 of 1 honest node that met it, round 2: reputation 25" in text
    assert "no honest node" not in text


def test_a_large_swarm_shows_the_nodes_that_need_attention(tmp_path):
    names = [f"n{number}" for number in range(40)]
    write_run(tmp_path, names, 4)
    (tmp_path / "n3" / "journal.jsonl").unlink()
    lines = shown(tmp_path)
    rows = [line.split()[0] for line in lines if line.startswith(" n") and line.split()[0] in names]
    assert rows == ["n3", *[f"n{number}" for number in range(29, 40)]]
    assert any("and 28 more" in line for line in lines)


def test_names_cannot_drive_the_terminal(tmp_path):
    names = ["\x1b[2Jgone", "[bold]loud", "back\u202ewards"]
    text = "\n".join(shown(write_run(tmp_path, names, 2, nodes=[NodeRecord(name=name) for name in names])))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]loud" in text


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, "    "), (1.0, "████"), (0.5, "██  "), (0.28125, "█▏  "), (7, "████")]
)
def test_bars_are_exact_to_an_eighth(share, drawn):
    assert bar(share, 4) == drawn


def test_sparklines():
    assert sparkline([0.0, 0.5, 1.0], 16) == "▁▅█"
    assert sparkline([0.1, 0.9, None, None], 2) == "█·"
    assert sparkline([], 4) == ""
    assert len(sparkline([0.5] * 1000, 16)) == 16
