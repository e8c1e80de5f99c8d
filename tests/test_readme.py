"""Every shell block of the README runs, in a copy of the shipped files, and its comments of output hold."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> list[str]:
    return BLOCK.findall((ROOT / "README.md").read_text())


def as_test(block: str) -> str:
    """`make lab` and `make test` run the suite's own environment; what they call is run instead."""
    block = re.sub(r"^make lab\b.*$", "grapevine lab up topologies/plant-8.toml", block, flags=re.MULTILINE)
    block = re.sub(r"^make (test|bench)\b.*$", "true", block, flags=re.MULTILINE)
    return re.sub(r"^git clone.*$|^cd grapevine$", "true", block, flags=re.MULTILINE)


def test_the_readme_shows_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert "make lab" in text
    assert "make test" in text


@pytest.mark.processes
@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.strip().splitlines()[0][:50])
def test_every_block_runs(block, tmp_path):
    (tmp_path / "topologies").symlink_to(ROOT / "topologies")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", as_test(block)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    if block.startswith("make lab"):
        (report,) = tmp_path.glob("runs/*/report.json")
        the_flipper_is_found_and_nobody_honest_is(json.loads(report.read_text()))


def the_flipper_is_found_and_nobody_honest_is(report):
    """What the default lab is to show, beside its accuracy and ε, which its targets hold it to."""
    assert report["summary"]["false_quarantines"] == 0
    honest = [node for node in report["nodes"] if node["adversary"] is None]
    assert len(honest) == 6
    assert [[each["peer"] for each in node["quarantined"]] for node in honest] == [["press-2"]] * 6
