"""A node as on a real device, with its API, on PostgreSQL: read, told, killed at work, and stopped in order."""

import contextlib
import json
import multiprocessing
import os
import time

import httpx
import pytest
from sqlalchemy import select

from detect.peers import forest
from node import device, journal, journal_file
from node.api import face
from node.api.tokens import SCOPES_OF, TokenFile, mint
from node.cli.main import app
from node.state import StateFolder
from node.store.database import open_database
from node.store.tables import METADATA
from overlay.topology import Topology, dumps
from tests.node.lab.processes import eventually
from tests.ports import free_ports

pytestmark = pytest.mark.processes
IMPORTED = face, forest, device
"""What takes a node longest to begin: here once, for both of its lives."""
ROUNDS = METADATA.tables["rounds"]


class Device:
    """A node that plays alone, as its only neighbour is away; its log, journal and database."""

    def __init__(self, folder, url):
        self._folder, self._url = folder, url
        self.path = folder / "press-1" / "journal.jsonl"
        self._follower, self._seen = journal_file.Follower(self.path), []
        ids = [StateFolder(folder / name).create_identity().peer_id for name in ("press-1", "press-2")]
        nodes = [
            {"name": f"press-{number}", "listen": f"/ip4/127.0.0.1/tcp/{port}", "peer_id": str(peer_id)}
            for number, port, peer_id in zip((1, 2), free_ports(2), ids, strict=True)
        ]
        topology = {
            "name": "plant",
            "graph": {"family": "complete"},
            "rounds": {"count": 1_000_000, "deadline_s": 0.1, "quorum": 0.5},
            "node": tuple(nodes),
        }
        (folder / "plant.toml").write_text(dumps(Topology.of(topology, "a test")))
        token, self.token = mint(
            "ada", "admin", SCOPES_OF["admin"], now=time.time(), expires_at=None, randbytes=os.urandom
        )
        TokenFile(folder / "press-1" / "tokens.json").add(token)

    @contextlib.contextmanager
    def running(self):
        """Its process, and a client of its API, once it plays rounds."""
        begun = len(self.events(journal.Started))
        process = multiprocessing.get_context("fork").Process(target=self._be_node)
        process.start()
        try:

            def playing():
                assert process.is_alive(), (self._folder / "err").read_text()
                starts, rounds = self.events(journal.Started), self.events(journal.RoundClosed)
                return len(starts) > begun and len(rounds) > 2 and rounds[-1].at > starts[-1].at

            eventually(playing)
            url = [e.settings["url"] for e in self.events(journal.ModuleChanged) if e.module == "api"][-1]
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30) as client:
                yield process, client
        finally:
            process.kill()
            process.join()

    def _be_node(self):
        """The command, in a fork of this process."""
        with (self._folder / "err").open("w") as err:
            os.dup2(err.fileno(), 1)
            os.dup2(err.fileno(), 2)
        os.chdir(self._folder)
        os.environ["GRAPEVINE_STORE"] = self._url
        app(["node", "start", "--topology", "plant.toml", "--name", "press-1", "--api", "localhost:0"])

    def events(self, kind):
        self._seen += self._follower.poll()
        return [event for event in self._seen if isinstance(event, kind)]

    def stored(self):
        """The numbers of the rounds that another connection finds committed."""
        database = open_database(self._url, self._folder)
        with database.reading() as connection:
            found = connection.scalars(select(ROUNDS.c.round).order_by(ROUNDS.c.id)).all()
        database.close()
        return list(found)


def test_a_device_is_read_told_killed_and_stopped(tmp_path, postgres):
    device = Device(tmp_path, postgres.new_url())
    with device.running() as (process, client):
        seen = client.get("/v1/overview").json()["node"]
        assert (seen["name"], seen["neighbours"], seen["up"], seen["state"]) == ("press-1", ["press-2"], [], "running")
        assert client.get("/readyz").status_code == 200
        assert httpx.get(client.base_url.join("/v1/overview")).status_code == 401

        done = client.post("/v1/peers/press-2/quarantine", json={"reason": "repair", "seconds": 600})
        assert done.json()["actor"] == "ada", done.text
        peer = client.get("/v1/peers/press-2").json()
        assert (peer["verdict"], "repair" in peer["verdict_reason"]) == ("quarantined", True)
        told = device.events(journal.Operated)[-1]
        assert (told.actor, told.action, told.target, told.reason) == ("ada", "quarantine", "press-2", "repair")
        assert device.events(journal.VerdictChanged)[-1].after == "quarantined"

        refused = client.post("/v1/controls/roll-back", json={"reason": "a test", "version": 10**9})
        assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
        assert process.is_alive()  # what cannot be done is no reason to fall over

        lines = client.get("/v1/logs", params={"search": "quarantine"}).json()["records"]
        assert lines
        assert all(line["node"] == "press-1" for line in lines)
        assert device.token not in device.path.with_name("log.jsonl").read_text()

        reached = len(device.stored())
        eventually(lambda: len(device.stored()) > reached)  # and it goes on writing
        committed = device.stored()
        process.kill()
        process.join()
        kept, closed = device.stored(), [event.round for event in device.events(journal.RoundClosed)]
        assert kept[: len(committed)] == committed
        assert kept == closed[: len(kept)]

    with device.running() as (process, client):
        first, again = device.events(journal.Started)
        assert (first.resumed, again.resumed, again.peer_id) == (False, True, first.peer_id)
        # It goes on behind the last line of the journal, or a round further: the checkpoint is written before the line.
        assert again.round - closed[-1] in (1, 2)
        orders = client.get("/v1/operations").json()["rows"]
        assert [(order["action"], order["target"], order["actor"]) for order in orders] == [
            ("roll-back", str(10**9), "ada"),
            ("quarantine", "press-2", "ada"),
        ]
        assert client.get("/v1/peers/press-2").json()["verdict"] == "quarantined"

        with client.stream("GET", "/v1/events", params={"after": done.json()["last_id"]}) as stream:
            got = stream.iter_lines()
            event = next(line for line in got if line.startswith("data: "))
            assert json.loads(event[6:])["at"] >= told.at
            process.terminate()
            for _ in got:  # to the end of the stream, which is an end in order
                pass
        process.join(30)
        assert process.exitcode == 0
    assert isinstance(journal_file.read(device.path)[-1], journal.Stopped)
    # Every round is in the database once, those of both lives of the process.
    assert device.stored() == [event.round for event in device.events(journal.RoundClosed)]
