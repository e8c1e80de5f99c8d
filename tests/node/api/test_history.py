"""What the view does not remember is answered from the store."""

import pytest

from node import journal
from node.view.peers import EVIDENCE_MAX
from tests.node.api.harness import NOW, closed, problem_of

KEPT = (
    "/v1/rounds",
    "/v1/operations",
    "/v1/model/versions",
    "/v1/peers/press-2/evidence",
    "/v1/peers/press-2/reputation",
    "/v1/peers/press-2/verdicts",
)


async def rows(face, path, **parameters):
    async with face.client(face.token(f"v{face.now:.0f}")) as client:
        face.now += 1
        answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


async def test_rounds_from_any_on(face):
    for number in range(4, 12):
        face.feed.write(closed(number))
    face.keep()
    assert [row["round"] for row in await rows(face, "/v1/rounds", since=2, limit=3)] == [2, 3, 4]
    (last,) = await rows(face, "/v1/rounds", since=11)
    assert (last["present"], last["holdout_accuracy"], last["event"]) == (["press-2"], 0.9, face.feed.last_id)
    assert await rows(face, "/v1/rounds", since=12) == []


async def test_evidence_beyond_the_view_page_by_page(face):
    for number in range(EVIDENCE_MAX + 5):
        face.feed.write(
            journal.Evidence(at=NOW, round=number, peer="press-3", kind="norm", severity="low", reason=f"no {number}")
        )
    face.keep()
    assert len(face.view.peer("press-3").evidence) == EVIDENCE_MAX
    newest = await rows(face, "/v1/peers/press-3/evidence", limit=EVIDENCE_MAX)
    older = await rows(face, "/v1/peers/press-3/evidence", limit=EVIDENCE_MAX, before=newest[-1]["id"])
    told = [row["reason"] for row in newest + older]
    assert told == [f"no {number}" for number in reversed(range(EVIDENCE_MAX + 5))]
    assert await rows(face, "/v1/peers/nobody/evidence") == []


async def test_reputation_verdicts_and_who_saw_to_them(face):
    face.feed.write(journal.Operated(at=NOW, round=4, actor="olga", action="release", target="press-2", reason="ok"))
    face.keep()
    assert [row["score"] for row in await rows(face, "/v1/peers/press-2/reputation")] == [42.0]
    (verdict,) = await rows(face, "/v1/peers/press-2/verdicts")
    assert (verdict["after"], verdict["reviewed_by"]) == ("quarantined", "olga")
    (order,) = await rows(face, "/v1/operations")
    assert (order["actor"], order["action"], order["target"]) == ("olga", "release", "press-2")


async def test_versions_are_those_whose_bytes_are_kept(face):
    face.keep()
    models = face.sources.store.models
    for version in (1, 2):
        models.save(version, b"weights", at=NOW, round=version, holdout_accuracy=0.5)
    newest, oldest = await rows(face, "/v1/model/versions")
    assert (newest["version"], oldest["version"], newest["size_bytes"]) == (2, 1, 7)
    assert newest["evidence"]["press-2"] == {"reputation": 42.0, "verdict": "quarantined", "evidence": 1}


async def test_what_a_peer_wrote_cannot_steer_a_terminal(face):
    face.feed.write(
        journal.Evidence(at=NOW, round=4, peer="press-3", kind="x", severity="low", reason="a\x1b[2J" + "b" * 5000)
    )
    face.keep()
    (row,) = await rows(face, "/v1/peers/press-3/evidence")
    assert "\x1b" not in row["reason"]
    assert len(row["reason"]) <= 400


async def test_a_database_that_fails_is_a_503_and_the_rest_is_answered(face):
    with face.sources.store.database.lasting() as connection:
        connection.exec_driver_sql("DROP TABLE operations")
    async with face.client(face.token("v")) as client:
        problem = problem_of(await client.get("/v1/operations"))
        assert (await client.get("/v1/overview")).status_code == 200
    assert problem["status"] == 503
    assert problem["remedy"]


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("/v1/rounds", "UPDATE rounds SET loss = 'much'"),
        ("/v1/operations", "UPDATE operations SET actor = x'ff'"),
        ("/v1/model/versions", "UPDATE models SET size_bytes = 1.5"),
        ("/v1/peers/press-2/verdicts", "UPDATE verdicts SET after = 'liked'"),
        ("/v1/rounds", "INSERT INTO meta (key, value) VALUES ('life', 'first')"),
    ],
)
async def test_a_value_that_nobody_wrote_is_said_to_be_damage(face, path, damage):
    face.feed.write(journal.Operated(at=NOW, round=4, actor="olga", action="release", target="press-2", reason="ok"))
    face.keep()
    face.sources.store.models.save(1, b"x", at=NOW, round=0)
    with face.sources.store.database.lasting() as connection:
        assert connection.exec_driver_sql(damage).rowcount
    async with face.client(face.token("v")) as client:
        answer = await client.get(path)
    problem = problem_of(answer)
    assert "is damaged" in problem["detail"]
    assert problem["status"] == 503
    assert "Restore it" in problem["remedy"]


@pytest.mark.parametrize("path", KEPT)
async def test_nothing_is_read_without_the_scope(face, path):
    async with face.client(face.token("d", scopes={"events"})) as client:
        assert problem_of(await client.get(path))["status"] == 403
