"""Two nodes as on real devices, each with its API: read, told, and stopped in order."""

import contextlib
import json
import os
import signal
import subprocess
import time

import httpx
import pytest

from node import journal
from node.api.tokens import SCOPES_OF, TokenFile, mint
from node.state import StateFolder
from overlay.topology import Topology, dumps
from tests.node.lab.processes import GRAPEVINE, eventually
from tests.node.test_device import free_ports

pytestmark = pytest.mark.processes
NAMES = ("press-1", "press-2")


@pytest.fixture
def plant(tmp_path):
    """Two running nodes: name → (process, journal, URL), and an admin's token for both."""
    token, text = mint("ada", "admin", SCOPES_OF["admin"], now=time.time(), expires_at=None, randbytes=os.urandom)
    nodes = []
    for name, port in zip(NAMES, free_ports(2), strict=True):
        peer_id = StateFolder(tmp_path / name).create_identity().peer_id
        TokenFile(tmp_path / name / "tokens.json").add(token)
        nodes.append({"name": name, "listen": f"/ip4/127.0.0.1/tcp/{port}", "peer_id": str(peer_id)})
    topology = {
        "name": "plant",
        "graph": {"family": "complete"},
        "rounds": {"count": 100_000, "deadline_s": 10.0, "quorum": 0.5},
        "node": tuple(nodes),
    }
    (tmp_path / "plant.toml").write_text(dumps(Topology.of(topology, "a test")))
    with contextlib.ExitStack() as stack:
        processes = {}
        for name in NAMES:
            log = stack.enter_context((tmp_path / f"{name}.log").open("ab"))
            command = [str(GRAPEVINE), "node", "start", "--topology", "plant.toml", "--name", name]
            process = subprocess.Popen([*command, "--api", "localhost:0"], cwd=tmp_path, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes[name] = process
        yield {name: (process, tmp_path / name / "journal.jsonl") for name, process in processes.items()}, text


def events(path, kind):
    return [e for e in journal.read(path) if isinstance(e, kind)]


def url_of(path):
    return next((e.settings["url"] for e in events(path, journal.ModuleChanged) if e.module == "api"), None)


def test_two_nodes_are_read_told_and_stopped(plant):
    nodes, token = plant
    (process, path), (_, other) = nodes.values()

    def playing():
        assert process.poll() is None, (path.parents[1] / "press-1.log").read_text()
        return len(events(path, journal.RoundClosed)) > 2 and url_of(other) is not None

    eventually(playing, within_s=120)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url_of(path), headers=headers, timeout=30) as client:
        seen = client.get("/v1/overview").json()["node"]
        assert (seen["name"], seen["up"], seen["state"]) == ("press-1", ["press-2"], "running")
        assert client.get("/readyz").status_code == 200
        assert httpx.get(url_of(path) + "/v1/overview").status_code == 401

        done = client.post("/v1/peers/press-2/quarantine", json={"reason": "repair", "seconds": 600})
        assert done.json()["actor"] == "ada", done.text
        peer = client.get("/v1/peers/press-2").json()
        assert (peer["verdict"], "repair" in peer["verdict_reason"]) == ("quarantined", True)
        told = events(path, journal.Operated)[-1]
        assert (told.actor, told.action, told.target, told.reason) == ("ada", "quarantine", "press-2", "repair")
        assert events(path, journal.VerdictChanged)[-1].after == "quarantined"
        assert events(other, journal.Operated) == []

        refused = client.post("/v1/controls/roll-back", json={"reason": "a test", "version": 10**9})
        assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
        assert process.poll() is None  # what cannot be done is no reason to fall over

        lines = client.get("/v1/logs", params={"search": "quarantine"}).json()["records"]
        assert lines
        assert all(line["node"] == "press-1" for line in lines)
        assert token not in path.with_name("log.jsonl").read_text()

        with client.stream("GET", "/v1/events", params={"after": done.json()["last_id"]}) as stream:
            got = stream.iter_lines()
            first = next(line for line in got if line.startswith("data: "))
            assert json.loads(first[6:])["at"] >= told.at
            process.send_signal(signal.SIGTERM)
            for _ in got:  # to the end of the stream, which is an end in order
                pass
    assert process.wait(30) == 0
    assert isinstance(journal.read(path)[-1], journal.Stopped)
