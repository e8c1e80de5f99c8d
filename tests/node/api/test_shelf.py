"""Answers that are given again: the same bytes, as long as nothing happened, and to nobody with other rights."""

import pytest

from node import journal
from node.api import shelf
from node.api.gate import Caller
from node.api.shelf import Shelf
from node.api.tokens import SCOPES_OF, mint
from tests.node.api.harness import NOW, closed, problem_of


class App:
    """Counts what reaches it; behind a shelf of its own."""

    def __init__(self, routes=("/seen",)):
        self.asked = 0
        self.version = 0
        self.status = 200
        self.meanwhile = lambda: None
        self.shelf = Shelf(self, routes, lambda: self.version)

    async def __call__(self, scope, receive, send):
        self.asked += 1
        number, scope["route"] = self.asked, type("Route", (), {"path": scope["path"]})
        self.meanwhile()
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"answer ", "more_body": True})
        await send({"type": "http.response.body", "body": b"%d" % number})

    async def ask(self, path="/seen", query=b"", method="GET", token=None):
        sent = []

        async def send(message):
            if message["type"] == "http.response.start":  # as the gate does
                message["headers"] = [*message["headers"], (b"x-request-id", b"%d" % len(sent))]
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "query_string": query}
        scope["state"] = {"caller": Caller("::1", token)}
        await self.shelf(scope, None, send)
        assert len(sent[0]["headers"]) == 2
        assert scope["route"].path == path  # what metrics count it as
        return b"".join(message["body"] for message in sent[1:])


def token(name, role, *scopes):
    return mint(name, role, scopes or SCOPES_OF[role], now=NOW, expires_at=None, randbytes=bytes)[0]


async def test_an_answer_is_given_again_until_something_happens():
    app = App()
    assert [await app.ask() for _ in range(3)] == [b"answer 1"] * 3
    app.version += 1
    assert [await app.ask() for _ in range(2)] == [b"answer 2"] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/seen/more"},
        {"query": b"limit=1"},
        {"token": token("v", "viewer")},
        {"token": token("n", "viewer", "logs")},
        {"token": token("o", "operator", "read", "events", "logs")},
    ],
)
async def test_another_question_or_other_rights_have_an_answer_of_their_own(other):
    app = App(("/seen", "/seen/more"))
    assert await app.ask() == b"answer 1"
    assert await app.ask(**other) == b"answer 2"
    assert (await app.ask(), await app.ask(**other)) == (b"answer 1", b"answer 2")


async def test_who_has_the_same_rights_has_the_same_answer():
    app = App()
    assert await app.ask(token=token("a", "viewer")) == await app.ask(token=token("b", "viewer"))


async def test_nothing_is_kept_that_may_change():
    app = App()
    for how in ({"path": "/else"}, {"method": "POST"}, {"method": "HEAD"}):
        assert await app.ask(**how) != await app.ask(**how)
    app.status = 503
    assert await app.ask() != await app.ask()


async def test_what_happens_while_it_is_answered_is_seen_by_the_next():
    app = App()

    def happen():
        app.version += 1
        app.meanwhile = lambda: None

    app.meanwhile = happen
    assert (await app.ask(), await app.ask(), await app.ask()) == (b"answer 1", b"answer 2", b"answer 2")


async def test_it_is_bounded(monkeypatch):
    monkeypatch.setattr(shelf, "MOST_BYTES", 10_000)
    app = App()
    for number in range(100):
        await app.ask(query=b"x" * 500 + b"%d" % number)
        assert app.shelf._bytes <= 10_000
    assert 0 < len(app.shelf._answers) < 10
    monkeypatch.setattr(shelf, "MOST_BYTES", 1)
    assert await app.ask() != await app.ask()


async def test_the_node_is_seen_as_it_is(face):
    """The whole application: an event, a right that is missing, a token that is revoked."""
    good, poor = face.token("good"), face.token("poor", scopes=["logs"])
    async with face.client(good) as client, face.client(poor) as other:
        first = [await client.get("/v1/overview") for _ in range(2)]
        assert first[0].content == first[1].content
        assert first[0].headers["x-request-id"] != first[1].headers["x-request-id"]
        assert first[1].headers["content-type"] == "application/json"
        assert problem_of(await other.get("/v1/overview"))["status"] == 403
        face.feed.write(closed(4))
        assert (await client.get("/v1/overview")).json()["node"]["round"] == 5
        face.feed.write(journal.Paused(at=1, round=5, cause="operator", reason="maintenance"))
        assert (await client.get("/v1/overview")).json()["node"]["state"] == "paused"
        face.tokens.revoke("good", NOW)
        assert problem_of(await client.get("/v1/overview"))["status"] == 401
        count = 'route="/v1/overview",status="200"} 4.0'
    async with face.client(face.token("new")) as client:
        assert count in (await client.get("/metrics")).text  # those from the shelf too
