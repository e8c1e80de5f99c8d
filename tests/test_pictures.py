"""The pictures of the README: what is made of a run, and what is said where one cannot be made."""

import asyncio
import re
import xml.etree.ElementTree as ET

import pytest

from node.journal_file import Journal
from tests.documents import README, ROOT
from tests.node.console import material
from tests.tools import pictures


@pytest.fixture
def run(tmp_path):
    """The folder of a run of one node."""
    path = tmp_path / "run" / "press-1" / "journal.jsonl"
    path.parent.mkdir(parents=True)
    with path.open("ab") as file:
        journal = Journal(file)
        for event in material.events():
            journal.write(event)
    return tmp_path / "run"


def test_the_console_is_pictured_as_it_is_and_names_nothing_on_the_network(run, tmp_path):
    asyncio.run(pictures.look(run, "press-1", {"a.svg": "1", "b.svg": "3"}, tmp_path))
    first, second = ((tmp_path / name).read_text() for name in ("a.svg", "b.svg"))
    for svg in (first, second):
        ET.fromstring(svg)
        assert not re.search(r"(?:href|url)\W*https?:", svg)
    words = [" ".join("".join(ET.fromstring(svg).itertext()).split()) for svg in (first, second)]
    assert "Accuracy" in words[0]
    assert "press-2" in words[1]
    assert "evidence" in words[1]


def test_a_run_that_ends_too_early_is_not_waited_for(run, tmp_path):
    with pytest.raises(RuntimeError, match="press-1 has not closed 4000 rounds"):
        asyncio.run(pictures.look(run, "press-1", {"a.svg": "1"}, tmp_path, 4000, lambda: True))
    assert not (tmp_path / "a.svg").exists()


def test_a_picture_that_names_a_server_is_refused():
    with pytest.raises(ValueError, match="on the network"):
        pictures.without_fonts("<svg><style>a { background: url(https://x.org/a.png) }</style></svg>")


def test_without_a_browser_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = pictures.photograph(tmp_path / "report.html", tmp_path / "report.png")
    assert said is not None
    assert "none of chromium" in said
    assert not (tmp_path / "report.png").exists()


def test_the_readme_shows_the_pictures_that_are_made():
    shown = set(re.findall(r'(?:\]\(|src=")\.readme/([^)"]+\.(?:svg|png))', README.read_text()))
    assert shown == {*pictures.SCREENS, pictures.REPORT}
    kept = {path.name for path in (ROOT / ".readme").iterdir() if path.suffix != ".md"}
    assert kept == shown
    assert pictures.rounds_of(pictures.TOPOLOGY) > 0
