"""Who may what: a token opens what its role and its scopes reach, as long as it lasts, and nothing else does."""

import pytest
import structlog.testing

from node.api.gate import Limits
from node.api.rates import Rate
from tests.node.api.harness import open_face, problem_of

WHY = {"reason": "a test"}
COMMANDS = {
    "/v1/controls/pause": WHY,
    "/v1/controls/resume": WHY,
    "/v1/controls/roll-back": WHY | {"version": 1},
    "/v1/peers/press-2/quarantine": WHY | {"seconds": 60},
    "/v1/peers/press-2/release": WHY,
    "/v1/peers/press-2/revoke": WHY,
}


@pytest.mark.parametrize("path", COMMANDS)
async def test_a_viewer_changes_nothing(face, path):
    async with face.client(face.token("v")) as client:
        assert problem_of(await client.post(path, json=COMMANDS[path]))["status"] == 403
    assert face.told.orders == []


async def test_an_operator_does_all_but_what_cannot_be_undone(face):
    async with face.client(face.token("olga", "operator")) as client:
        answers = {path: (await client.post(path, json=body)).status_code for path, body in COMMANDS.items()}
    assert answers.pop("/v1/peers/press-2/revoke") == 403
    assert set(answers.values()) == {200}
    assert face.told.orders == [
        ("pause", "olga", "a test"),
        ("resume", "olga", "a test"),
        ("roll-back", "olga", 1, "a test"),
        ("quarantine", "olga", "press-2", 60.0, "a test"),
        ("release", "olga", "press-2", "a test"),
    ]


async def test_an_admin_revokes(face):
    async with face.client(face.token("ada", "admin")) as client:
        answer = await client.post("/v1/peers/press-2/revoke", json=WHY)
    assert answer.json() == {"action": "revoke", "target": "press-2", "actor": "ada", "last_id": face.feed.last_id}
    assert face.told.orders == [("revoke", "ada", "press-2", "a test")]


@pytest.mark.parametrize(
    ("scope", "open_"), [("read", "/v1/overview"), ("logs", "/v1/logs"), ("control", None), ("peers", None)]
)
async def test_a_scope_opens_what_it_says_alone(face, scope, open_):
    async with face.client(face.token("s", "admin", [scope])) as client:
        for path in ("/v1/overview", "/v1/logs"):
            assert (await client.get(path)).status_code == (200 if path == open_ else 403)
        for path, body in COMMANDS.items():
            reached = scope == ("control" if "controls" in path else "peers")
            assert (await client.post(path, json=body)).status_code == (200 if reached else 403)


@pytest.mark.parametrize("shown", ["", "gv_" + "0" * 16 + "_" + "A" * 43, "x" * 5000, "gv_ü", "Bearer"])
async def test_a_forged_token_is_refused_and_said_in_the_log(face, shown):
    with structlog.testing.capture_logs() as logs:
        async with face.client() as client:
            answer = await client.get("/v1/overview", headers=[(b"authorization", f"Bearer {shown}".encode())])
    assert problem_of(answer)["status"] == 401
    lines = [line for line in logs if line["event"] == "token refused"]
    assert len(lines) == 1
    assert lines[0]["address"] == "127.0.0.1"
    assert not shown or shown not in str(logs).replace("Bearer token", "")


async def test_a_forged_secret_of_a_known_id_is_refused(face):
    token = face.token("v")
    async with face.client(token[:-1] + ("A" if token[-1] != "A" else "B")) as client:
        assert problem_of(await client.get("/v1/overview"))["status"] == 401


async def test_an_expired_and_a_revoked_token_are_refused_at_once(face):
    short, other = face.token("short", lasts_s=60), face.token("other")
    async with face.client(short) as client:
        assert (await client.get("/v1/overview")).status_code == 200
        face.now += 60
        assert "the token short is expired" in problem_of(await client.get("/v1/overview"))["detail"]
    async with face.client(other) as client:
        assert (await client.get("/v1/overview")).status_code == 200
        face.tokens.revoke("other", face.now)
        assert "the token other is revoked" in problem_of(await client.get("/v1/overview"))["detail"]


async def test_a_damaged_or_open_file_of_tokens_opens_nothing(face):
    token, path = face.token("v"), face.sources.journal.with_name("tokens.json")
    good = path.read_bytes()
    async with face.client(token) as client:
        path.write_bytes(good[:-10])
        assert "damaged" in problem_of(await client.get("/v1/overview"))["detail"]
        path.write_bytes(good)
        path.chmod(0o644)
        assert "by others" in problem_of(await client.get("/v1/overview"))["detail"]
        path.chmod(0o600)
        assert (await client.get("/v1/overview")).status_code == 200


async def test_refused_tokens_fill_no_log(tmp_path):
    async with open_face(tmp_path, Limits(denials_logged=Rate(0.001, 3))) as face:
        with structlog.testing.capture_logs() as logs:
            async with face.client("nonsense") as client:
                for _ in range(20):
                    await client.get("/v1/overview")
    assert len([line for line in logs if line["event"] == "token refused"]) == 3


async def test_a_flood_without_a_token_keeps_nobody_out_who_has_one(tmp_path):
    async with open_face(tmp_path, Limits(address=Rate(0.001, 5), token=Rate(0.001, 3))) as face:
        async with face.client() as stranger:
            answers = [await stranger.get("/v1/overview") for _ in range(6)]
            assert [answer.status_code for answer in answers] == [401] * 5 + [429]
            assert int(answers[-1].headers["retry-after"]) > 0
            assert problem_of(answers[-1])["remedy"].startswith("Ask again")
        async with face.client(face.token("v")) as client:
            assert [(await client.get("/v1/overview")).status_code for _ in range(4)] == [200, 200, 200, 429]
        async with face.client(face.token("w")) as client:
            assert (await client.get("/v1/overview")).status_code == 200
