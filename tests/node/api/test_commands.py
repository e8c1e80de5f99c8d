"""Commands: taken when they are whole, refused with a reason, and never half done."""

from node.controls import MAX_QUARANTINE_S, MAX_TEXT, ControlRefused
from tests.node.api.harness import problem_of

PEER = "/v1/peers/press-2/quarantine"
BAD = {
    "no reason": (PEER, b'{"seconds": 1}'),
    "an empty reason": (PEER, b'{"reason": "", "seconds": 1}'),
    "a blank reason": (PEER, b'{"reason": "   ", "seconds": 1}'),
    "a long reason": (PEER, b'{"reason": "%s", "seconds": 1}' % (b"x" * (MAX_TEXT + 1))),
    "two lines": (PEER, b'{"reason": "a\\nb", "seconds": 1}'),
    "a terminal's escape": (PEER, b'{"reason": "a\\u001b[2Jb", "seconds": 1}'),
    "half a character": (PEER, b'{"reason": "\\ud800", "seconds": 1}'),
    "half a character as a key": (PEER, b'{"reason": "x", "seconds": 1, "\\ud800": 1}'),
    "no time": (PEER, b'{"reason": "x", "seconds": 0}'),
    "no number": (PEER, b'{"reason": "x", "seconds": NaN}'),
    "for ever": (PEER, b'{"reason": "x", "seconds": %d}' % (MAX_QUARANTINE_S * 2)),
    "something more": (PEER, b'{"reason": "x", "seconds": 1, "force": true}'),
    "a fraction of a version": ("/v1/controls/roll-back", b'{"reason": "x", "version": 1.5}'),
    "a version before the first": ("/v1/controls/roll-back", b'{"reason": "x", "version": -1}'),
    "a huge version": ("/v1/controls/roll-back", b'{"reason": "x", "version": %s}' % (b"9" * 5000)),
    "a list": ("/v1/controls/pause", b"[]"),
    "nothing": ("/v1/controls/pause", b""),
    "half of it": ("/v1/controls/pause", b'{"reason": "x"'),
    "no text": ("/v1/controls/pause", b'{"reason": "\xff"}'),
    "a deep hole": ("/v1/controls/pause", b"[" * 30_000),
}


async def test_what_is_no_command_is_refused_and_nothing_is_done(face):
    async with face.client(face.token("ada", "admin")) as client:
        for what, (path, body) in BAD.items():
            answer = await client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 422), what
            assert problem_of(answer)["remedy"], what
    assert face.told.orders == []


async def test_a_form_that_a_browser_may_send_is_no_command(face):
    async with face.client(face.token("ada", "admin")) as client:
        answer = await client.post(
            "/v1/controls/pause", content=b'{"reason": "x"}', headers={"content-type": "text/plain"}
        )
    assert problem_of(answer)["status"] in (415, 422)
    assert face.told.orders == []


async def test_the_reason_arrives_as_it_was_given(face):
    async with face.client(face.token("olga", "operator")) as client:
        for reason in ("maintenance of line 3", "Störung – Presse 2", "x" * MAX_TEXT):
            answer = await client.post(PEER, json={"reason": reason, "seconds": 90})
            assert answer.json() == {
                "action": "quarantine",
                "target": "press-2",
                "actor": "olga",
                "last_id": face.feed.last_id,
            }
            assert face.told.orders.pop() == ("quarantine", "olga", "press-2", 90.0, reason)


async def test_what_the_node_refuses_is_a_conflict_that_says_why(face):
    face.told.refusal = ControlRefused("it is paused already", "Resume it first.")
    async with face.client(face.token("olga", "operator")) as client:
        problem = problem_of(await client.post("/v1/controls/pause", json={"reason": "x"}))
    assert (problem["status"], problem["detail"], problem["remedy"]) == (
        409,
        "it is paused already",
        "Resume it first.",
    )


async def test_an_unknown_peer_is_a_404_and_reaches_nobody(face):
    async with face.client(face.token("ada", "admin")) as client:
        for action in ("quarantine", "release", "revoke"):
            body = {"reason": "x"} | ({"seconds": 1} if action == "quarantine" else {})
            assert problem_of(await client.post(f"/v1/peers/press-9/{action}", json=body))["status"] == 404
    assert face.told.orders == []


async def test_methods_and_paths_that_are_none_say_so(face):
    async with face.client(face.token("ada", "admin")) as client:
        assert problem_of(await client.get("/v1/controls/pause"))["status"] == 405
        assert problem_of(await client.delete("/v1/overview"))["status"] == 405
        assert "openapi" in problem_of(await client.get("/v1/nowhere"))["remedy"]
