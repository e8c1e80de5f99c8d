"""What never reaches the application."""

import json
from itertools import chain, repeat

import trio
import trio.testing

from node.api.gate import Limits
from tests.node.api.harness import open_face, problem_of

WHY = b'{"reason": "a test"}'


class Caller:
    """An ASGI client that counts what is taken of its body."""

    def __init__(self, app, path, *, headers=(), body=(), method="POST", kind="http"):
        self.app, self.body, self.taken, self.sent = app, iter(body), 0, []
        self.scope = {
            "type": kind,
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

    async def receive(self):
        await trio.lowlevel.checkpoint()
        chunk = next(self.body, None)
        if chunk is None:
            await trio.sleep_forever()
        self.taken += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(self, message):
        self.sent.append(message)
        await trio.lowlevel.checkpoint()

    async def call(self):
        await self.app(self.scope, self.receive, self.send)
        return self.sent[0].get("status"), json.loads(self.sent[1]["body"]) if len(self.sent) > 1 else None


async def test_a_body_of_a_gigabyte_is_refused_at_its_first_bytes(face):
    token = face.token("olga", "operator")
    auth = (b"authorization", f"Bearer {token}".encode())
    announced = Caller(
        face.application.app,
        "/v1/controls/pause",
        headers=[auth, (b"content-length", b"1073741824")],
        body=repeat(bytes(1 << 16)),
    )
    status, problem = await announced.call()
    assert (status, problem["title"]) == (413, "Request Entity Too Large")
    assert (b"connection", b"close") in announced.sent[0]["headers"]
    unannounced = Caller(
        face.application.app, "/v1/controls/pause", headers=[auth], body=chain([WHY], repeat(bytes(1 << 14)))
    )
    assert (await unannounced.call())[0] == 413
    for caller in (announced, unannounced):
        assert caller.taken < 1 << 20
    assert face.told.orders == []


async def test_a_body_that_does_not_come_is_not_waited_for(face, autojump_clock):
    caller = Caller(face.application.app, "/v1/controls/pause", body=[b"{"])
    with trio.testing.assert_checkpoints():
        before = trio.current_time()
        assert (await caller.call())[0] == 408
        assert trio.current_time() - before == Limits().body_s


async def test_lengths_that_are_none_are_refused(face):
    for length in (b"-1", b"1e9", b"9" * 400, b"+5", b"\xb2"):
        caller = Caller(face.application.app, "/v1/controls/pause", headers=[(b"content-length", length)])
        assert (await caller.call())[0] == 413


async def test_another_name_in_the_host_header_is_refused(face):
    async with face.client() as client:
        for host in ("evil.example", "evil.example:8200", "localhost.evil.example", "127.0.0.1.evil.example", ""):
            problem = problem_of(await client.get("/healthz", headers={"Host": host}))
            assert problem["status"] == 421
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8200", "[::1]:8200", "[::1]"):
            assert (await client.get("/healthz", headers={"Host": host})).status_code == 200


async def test_every_answer_names_its_request_and_stays_in_no_cache(face):
    async with face.client(face.token("v")) as client:
        answers = [await client.get(path) for path in ("/v1/overview", "/healthz", "/v1/peers/nobody", "/nowhere")]
        answers.append(await client.get("/healthz", headers={"Host": "evil.example"}))
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)


async def test_who_is_gone_before_the_body_is_not_answered(tmp_path):
    async with open_face(tmp_path) as face:
        caller = Caller(face.application.app, "/v1/controls/pause")

        async def gone():
            await trio.lowlevel.checkpoint()
            return {"type": "http.disconnect"}

        caller.receive = gone
        await face.application.app(caller.scope, caller.receive, caller.send)
        assert caller.sent == []
