import base64
import hashlib
import re

import pytest

from node import journal
from node.lab.page import render_page
from node.lab.record import Baselines, NodeRecord
from node.lab.report import build_report
from node.lab.sections import facts
from tests.node.lab.synthetic import (
    NAMES,
    TOPOLOGY,
    Page,
    closed,
    write_eventful_run,
    write_journal,
    write_private_run,
    write_run,
)

HOSTILE = (
    '"><img src=x onerror=alert(1)>',
    "<script>alert(2)<|script>",
    "{{ 7 * 7 }}",
    "a'b&amp;c",
    "n\u202eabc",
    "e" * 128,
)


def page_of(folder) -> tuple[str, Page]:
    html = render_page(build_report(folder))
    return html, Page.of(html)


@pytest.fixture
def eventful(tmp_path):
    return page_of(write_eventful_run(tmp_path))


def ids(page: Page) -> list[str]:
    return [attrs["id"] for tag, attrs in page.tags if tag == "section"]


def test_the_page_asks_the_network_for_nothing(eventful):
    html, page = eventful
    assert page.urls == []
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form", "use"}
    assert "@import" not in html
    assert "url(" not in html
    assert "http:" not in html
    assert "https:" not in html


def test_the_policy_lets_only_this_style_and_this_script_run(eventful):
    html, page = eventful
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    # A style or a handler in an attribute would be blocked, and its effect lost in silence.
    assert not [attrs for _, attrs in page.tags for key in attrs if key == "style" or key.startswith("on")]


def test_the_sections_of_a_full_run_in_order(eventful):
    _, page = eventful
    first, rest = ids(page)[:5], ids(page)[5:]
    assert first == ["topology", "together", "accuracy", "consensus", "rounds"]
    assert rest == ["time", "traffic", "evidence", "nodes", "setup"]


def test_a_section_without_data_leaves_no_trace(tmp_path):
    write_run(tmp_path, baselines=Baselines(), topology="")
    html, page = page_of(tmp_path)
    assert ids(page) == ["topology", "accuracy", "consensus", "rounds", "time", "traffic", "nodes"]
    assert "reputation" not in html.lower()
    assert "ε" not in html


def test_epsilon_is_drawn_by_round_where_it_is_claimed(tmp_path):
    html, page = page_of(write_private_run(tmp_path))
    assert "privacy" in ids(page)
    assert "ε by round" in html
    assert "at δ = 1e-05" in html


def test_a_run_without_a_journal_still_has_a_page(tmp_path):
    write_run(tmp_path)
    for name in NAMES:
        (tmp_path / name / "journal.jsonl").unlink()
    html, page = page_of(tmp_path)
    assert "No honest node closed a round that was measured." in html
    assert ids(page) == ["topology", "together", "nodes", "setup"]
    assert "press-1 left no journal" in html


def test_what_happened_is_said_at_the_top(eventful):
    html, page = eventful
    notes = [attrs["class"] for tag, attrs in page.tags if tag == "li"]
    assert notes == ["missed", "note", "note", "note"]
    text = "".join(page.texts)
    assert "Target honest_accuracy ≥ 0.9 missed: mean accuracy of honest nodes 0.8971." in text
    assert "Honest nodes reach 89.7 % on average: 19.7 points above training alone" in text
    assert html.index("came back at round 10") < html.index("<section")


def test_every_drawing_has_a_name_and_its_figures_as_a_table(eventful):
    _, page = eventful
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawings) == 8  # accuracy once for wide and once for narrow screens
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawings)
    text = "".join(page.texts)
    for figure in ("89.7 %", "–", "30.1 kB", "+23.0"):
        assert figure in text


def test_the_drawing_shows_every_node_edge_and_adversary(eventful):
    _, page = eventful
    kinds = [attrs.get("class") for tag, attrs in page.tags if tag == "g"]
    assert kinds.count("node") == 7
    assert kinds.count("node adversary") == 1
    assert sum(tag == "line" and attrs["class"] == "edge" for tag, attrs in page.tags) == 8
    series = [attrs for tag, attrs in page.tags if tag == "g" and (attrs.get("class") or "").startswith("series")]
    values = next(attrs["data-values"] for attrs in series if attrs["data-name"] == "press-3").split("|")
    assert len(values) == 30
    assert values[9:15] == ["87.0 %", "50.0 %", "50.0 %", "–", "–", "89.0 %"]


def test_hostile_names_are_shown_and_do_nothing(tmp_path):
    nodes = [NodeRecord(name=name, role="adversary", adversary="</title><b>") for name in HOSTILE]
    name = "</title><script>alert(3)</script>"
    folder = write_run(tmp_path, HOSTILE, 4, name=name, nodes=nodes, topology="x = '</pre><script>alert(4)</script>'")
    html, page = page_of(folder)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [tag for tag, _ in page.tags if tag in {"img", "b"}]
    assert "<img" not in html
    assert "alert(3)</script>" not in html
    assert "\u202e" not in html
    text = "".join(page.texts)
    assert HOSTILE[0] in text
    assert HOSTILE[2] in text
    assert "alert(4)" in text


def test_many_nodes_get_a_band_and_bounded_tables(tmp_path):
    names = [f"n{number}" for number in range(48)]
    html, page = page_of(write_run(tmp_path, names, 6))
    assert any(tag == "polygon" and attrs["class"] == "band" for tag, attrs in page.tags)
    assert "The first 40 of 48 nodes." in html
    assert "The first 32 of 48; report.json has all." in html


def test_a_large_swarm_of_adversaries_alone(tmp_path):
    names = [f"n{number}" for number in range(30)]
    nodes = [NodeRecord(name=name, role="adversary") for name in names]
    _, page = page_of(write_run(tmp_path, names, 3, nodes=nodes))
    assert "rounds" in ids(page)


def test_a_very_long_run_is_thinned(tmp_path):
    html, page = page_of(write_run(tmp_path, ["a", "b"], 5000, edges=[("a", "b")]))
    series = [attrs for tag, attrs in page.tags if tag == "g" and (attrs.get("class") or "").startswith("series")]
    assert all(len((attrs["data-values"] or "").split("|")) <= 601 for attrs in series)
    assert "One round in 13; report.json has all." in html
    assert len(html) < 1_000_000


def test_one_node_and_one_round(tmp_path):
    _, page = page_of(write_run(tmp_path, ["only"], 1, edges=[]))
    assert "accuracy" in ids(page)


def test_facts_are_the_words_of_the_topology():
    assert list(facts(TOPOLOGY)) == ["digits", "dirichlet", "mlp", "ring", "neighbourhood", "mean"]
    assert list(facts("not = [toml")) == []
    assert list(facts("task = 3")) == []


def test_reputations_and_quarantines_are_shown_where_there_are_any(tmp_path):
    write_eventful_run(tmp_path)
    rows = [closed(0, number, reputation={"press-6": 90.0 - 3 * number}) for number in range(20)]
    verdict = journal.VerdictChanged(
        at=1.0, round=14, peer="press-6", before="suspect", after="quarantined", reason="norm: <b>long</b>"
    )
    write_journal(tmp_path, "press-1", [*rows, verdict])
    html, page = page_of(tmp_path)
    assert {"reputation", "quarantines"} <= set(ids(page))
    assert "norm: <b>long</b>" in page.texts
    assert "<b>long" not in html
    assert "Honest peers among them: 0. Adversaries missed: 1." in page.texts
