"""`node init` and `node start` as on real devices: what cannot start says why."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from node.cli.main import app
from overlay.topology import load_topology
from tests.node.lab.processes import GRAPEVINE, ROOT
from tests.ports import free_ports

pytestmark = pytest.mark.processes
RACK = ROOT / "topologies" / "pi-rack-4.toml"


def run(*arguments, cwd):
    return subprocess.run([str(GRAPEVINE), *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def rack(tmp_path):
    """The shipped file as an operator would edit it: PeerIds of `node init`, addresses of this machine."""
    names = load_topology(RACK).names
    tables = []
    for name, port in zip(names, free_ports(len(names)), strict=True):
        made = CliRunner().invoke(app, ["node", "init", "--name", name, "--state", str(tmp_path / name)])
        assert made.exit_code == 0, made.stderr
        tables.append(f'[[node]]\nname = "{name}"\nlisten = "/ip4/127.0.0.1/tcp/{port}"\n{made.stdout}')
    head = RACK.read_text().split("[[node]]")[0]
    (tmp_path / "rack.toml").write_text(head + "\n".join(tables))
    assert CliRunner().invoke(app, ["topology", "check", str(tmp_path / "rack.toml")]).exit_code == 0
    return tmp_path, names


def test_what_a_person_may_get_wrong_is_said_in_two_lines(tmp_path):
    for arguments, says in (
        (["node", "start", "--topology", str(RACK), "--name", "nobody"], "nobody"),
        (["node", "start", "--topology", "missing.toml", "--name", "pi-1"], "missing.toml"),
        (["node", "status", "nowhere"], "no journal"),
    ):
        answer = run(*arguments, cwd=tmp_path)
        assert answer.returncode == 2
        assert says in answer.stderr
        assert "Traceback" not in answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 2


@pytest.mark.parametrize("name", ["", "../../escape", "lab", "a b", "пресс"])
@pytest.mark.parametrize("state", [[], ["--state", "here"]])
def test_a_name_that_no_topology_takes_makes_no_key(tmp_path, monkeypatch, name, state):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["node", "init", "--name", name, *state]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_addresses_that_cannot_work_are_said_so(rack):
    folder, names = rack
    text = (folder / "rack.toml").read_text()
    first = next(line for line in text.splitlines() if line.startswith("listen"))
    (folder / "rack.toml").write_text(text.replace(first, 'listen = "/ip4/203.0.113.7/tcp/4001"'))
    answer = run("node", "start", "--topology", "rack.toml", "--name", names[0], "--state", names[0], cwd=folder)
    assert answer.returncode == 2, answer.stderr
    assert "203.0.113.7" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_device_without_its_peers_keys_says_which(tmp_path):
    assert run("node", "init", "--name", "pi-1", cwd=tmp_path).returncode == 0
    answer = run("node", "start", "--topology", str(RACK), "--name", "pi-1", cwd=tmp_path)
    assert answer.returncode == 2
    assert "peer_id" in answer.stderr
    assert run("node", "init", "--name", "pi-1", cwd=tmp_path).returncode == 2


def test_a_device_lies_only_where_somebody_says_so_twice(rack):
    folder, names = rack
    text = (folder / "rack.toml").read_text()
    (folder / "rack.toml").write_text(text.replace(f'name = "{names[0]}"', f'name = "{names[0]}"\nadversary = "alie"'))
    arguments = ["node", "start", "--topology", "rack.toml", "--name", names[0], "--state", names[0]]
    answer = run(*arguments, cwd=folder)
    assert answer.returncode == 2
    assert f"node {names[0]} is an adversary (alie)" in answer.stderr
    assert "--allow-adversary" in answer.stderr
    assert not (folder / names[0] / "journal.jsonl").exists()


def test_a_command_ends_without_a_last_search_for_garbage_among_its_imports():
    words = [
        "import atexit, gc, sys",
        "atexit.register(lambda: print('frozen:', gc.get_freeze_count() > 10_000))",
        "from node.cli.main import main",
        "sys.argv = ['grapevine', '--help']",
        "main()",
    ]
    done = subprocess.run([sys.executable, "-c", "; ".join(words)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "frozen: True"
