"""README and tutorial keep their word: their blocks run as they stand, and what they name is there."""

import json
import re
import shutil
import subprocess

import pytest

from overlay.topology import load_topology, parse_topology
from tests.documents import README, ROOT, TUTORIAL, block, blocks, environment
from tests.node.lab.processes import eventually
from tests.ports import free_ports

PAGES = (README, *sorted((ROOT / ".readme").glob("*.md")))
WITHIN_S = 180.0
LONG = re.compile(r"^make (test|bench|pictures)\b.*$", re.MULTILINE)
ALONE = [
    found
    for found in blocks(README)
    if "terminal" not in found.head and "in another" not in found.head and found.text.strip() != "make lab"
]


def as_test(text: str) -> str:
    """`make` runs the suite's own environment: what it calls is run instead."""
    text = re.sub(r"^make lab$", "grapevine lab up topologies/plant-8.toml --out lab", text, flags=re.MULTILINE)
    return LONG.sub("true", text)


def says_yes(command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def typed(text, folder):
    """What it prints, typed in `folder`, where the shipped files are."""
    if not (folder / "topologies").exists():
        (folder / "topologies").symlink_to(ROOT / "topologies")
    run = subprocess.run(
        ["bash", "-eu", "-c", as_test(text)],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_readme_shows_the_two_commands():
    text = README.read_text()
    assert "make lab" in text
    assert "make test" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if not link.startswith("https://") and not (page.parent / link).exists()]
    assert not missing
    named = set(
        re.findall(
            r"\b(?:tests|node|overlay|consensus|crypto|detect|topologies)/[\w/.-]+\.(?:py|toml)", page.read_text()
        )
    )
    assert not {name for name in named if not (ROOT / name).exists()}


def test_every_topology_that_ships_is_in_the_readme_and_on_the_page_of_figures():
    readme = README.read_text()
    for path in (ROOT / "topologies").glob("*.toml"):
        assert f"`{path.stem}`" in readme, path.stem


def test_every_command_on_the_page_of_figures_is_one_that_there_is():
    text = (ROOT / ".readme" / "figures.md").read_text()
    files = set(re.findall(r"`grapevine lab up (topologies/[\w-]+\.toml)", text))
    benchmarks = set(re.findall(r"`make bench ONLY=(\w+)", text))
    assert len(files) > 5
    assert len(benchmarks) > 5
    for file in files:
        load_topology(ROOT / file)
    for name in benchmarks:
        assert (ROOT / "tests" / "benchmarks" / f"{name}.py").exists(), name


def test_the_floors_on_the_page_of_figures_are_those_of_the_files():
    text = (ROOT / ".readme" / "figures.md").read_text()
    row = r"^\| `grapevine lab up topologies/([\w-]+)\.toml[^`]*` \| (\d+) \| (\d+) \| ([\d.]+) % \| ([\d.]+|—) \|$"
    told = {name: figures for name, *figures in re.findall(row, text, re.MULTILINE)}
    asked = {}
    for path in (ROOT / "topologies").glob("*.toml"):
        topology = load_topology(path)
        targets, counts = topology.targets, (str(len(topology.nodes)), str(topology.rounds.count))
        epsilon = "—" if targets.epsilon is None else f"{targets.epsilon:g}"
        asked[path.stem] = [*counts, f"{100 * targets.honest_accuracy:g}", epsilon]
    assert told == asked


def test_the_rack_of_the_tutorial_hides_what_its_devices_send():
    """The tables that the tutorial replaces in the shipped file make a sound one."""
    rack = (ROOT / "topologies" / "pi-rack-4.toml").read_text()
    for table in ("consensus", "privacy", "targets"):
        rack = re.sub(rf"^\[{table}\]\n.*?(?=^\[)", "", rack, flags=re.DOTALL | re.MULTILINE)
    head, mark, nodes = rack.partition("[[node]]")
    topology = parse_topology(head + block(TUTORIAL, "tolerated = 1", "toml").text + mark + nodes, "edited")
    assert (topology.cell_members, topology.privacy.tolerated, topology.privacy.absentees) == (4, 1, 1)
    assert topology.noise_shares == 2  # of four, one colludes and one may be away


@pytest.mark.parametrize(
    "words",
    [
        "no peer is up yet",
        "a stranger: its PeerId is not on the peer list",
        "but the topology gives ",
        "share one topology file",
        "another model layout",
        "cannot listen at ",
        "belongs to another topology",
        "is in use by process ",
        "members of its committee are up, itself included;",
        "below its quorum",
    ],
)
def test_what_one_reads_in_the_tutorial_is_what_nodes_say(words):
    assert words in TUTORIAL.read_text()
    assert any(words in path.read_text() for room in ("node", "overlay") for path in (ROOT / room).rglob("*.py"))


def test_the_certificate_of_the_tutorial_can_be_made(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    typed(block(TUTORIAL, "openssl req").text, tmp_path)
    assert (tmp_path / "api-key.pem").stat().st_mode & 0o777 == 0o600
    shown = typed("openssl x509 -in api-cert.pem -noout -text", tmp_path)
    assert "192.168.1.11" in shown


@pytest.mark.processes
@pytest.mark.parametrize("found", ALONE, ids=lambda found: found.name)
def test_every_block_of_the_readme_runs(found, tmp_path):
    typed(found.text, tmp_path)


@pytest.mark.processes
def test_make_lab_ends_as_the_readme_says(tmp_path):
    typed(block(README, "make lab").text, tmp_path)
    report = json.loads((tmp_path / "lab" / "report.json").read_text())
    assert report["summary"]["honest_accuracy_mean"] >= 0.9
    assert 3.9 < report["summary"]["epsilon_max"] <= 4
    liars = {node["name"]: node["adversary"] for node in report["nodes"] if node["role"] == "adversary"}
    [flipper] = [name for name, adversary in liars.items() if adversary.startswith("sign-flip")]
    for node in report["nodes"]:
        if node["name"] not in liars:
            assert {each["peer"] for each in node["quarantined"]} == {flipper}, node["name"]


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl to ask the API with")
def test_the_api_answers_as_the_readme_asks(tmp_path):
    lab, asking = (block(README, words).text for words in ("--api 127.0.0.1:8200", "curl"))
    first = free_ports(8).start
    (tmp_path / "topologies").mkdir()
    *shipped, last = (ROOT / "topologies" / "open-8.toml").read_text().split("[[node]]")
    assert len([*shipped, last]) == 9  # three of them are asked and answer as eight do
    (tmp_path / "topologies" / "open-8.toml").write_text("[[node]]".join(shipped[:4]))
    command = lab.splitlines()[1].replace(":8200", f":{first}")
    with (tmp_path / "terminal").open("wb") as terminal:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=tmp_path, env=environment(), stdout=terminal, stderr=terminal
        )
    try:
        ready = ["curl", "-sf", f"http://127.0.0.1:{first}/readyz"]
        eventually(lambda: process.poll() is not None or says_yes(ready), WITHIN_S)
        assert process.poll() is None, (tmp_path / "terminal").read_text()
        said = typed(asking.replace(":8200", f":{first}"), tmp_path)
        assert '"action":"quarantine"' in said
        assert said.count('"actor":"alice"') == 3
        assert "# TYPE grapevine_" in said
    finally:
        process.kill()  # its nodes end with it, and no report is made that nobody reads
        process.wait(60)
