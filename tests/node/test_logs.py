"""What gets into the log, and what never does."""

import io
import json
import stat

import numpy as np
import pytest
import structlog

from crypto.identity import Identity
from node import journal
from node.api import logs
from node.api.logs import LogFile
from node.logs import FILES, MASK, guarded, log_event, open_log

PEER = Identity.generate(lambda n: bytes(n)).peer_id


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_each_line_says_who_when_and_about_what(tmp_path):
    with open_log(tmp_path, "pi-1", None):
        log_event(journal.Evidence(at=1.0, round=7, peer="pi-2", kind="norm", severity="high", reason="z = 12"), 99)
        with structlog.contextvars.bound_contextvars(request="r1"):
            structlog.get_logger().warning("token refused", address="127.0.0.1")
    evidence, refused = lines(tmp_path)
    assert (evidence["node"], evidence["round"], evidence["peer"], evidence["id"]) == ("pi-1", 7, "pi-2", 99)
    assert (evidence["level"], evidence["kind"], "z = 12" in evidence["event"]) == ("error", "evidence", True)
    assert (refused["node"], refused["request"], refused["level"]) == ("pi-1", "r1", "warning")
    assert evidence["timestamp"].endswith("Z")


def test_the_api_reads_what_is_written(tmp_path):
    with open_log(tmp_path, "pi-1", None):
        for number in range(5):
            structlog.get_logger().info(f"line {number}")
        structlog.get_logger().error("it broke")
    file = LogFile(tmp_path / "log.jsonl")
    records, whole = file.read(level="info", search="LINE", since="", limit=10)
    assert ([record["event"] for record in records], whole) == ([f"line {number}" for number in range(5)], True)
    assert [r["event"] for r in file.read(level="warning", search="", since="", limit=10)[0]] == ["it broke"]


@pytest.mark.parametrize("older", [False, True], ids=["alone", "with an older file"])
def test_what_the_api_reads_is_the_newest_without_a_gap_and_said_not_to_be_all(tmp_path, monkeypatch, older):
    monkeypatch.setattr(logs, "MOST_BYTES", 1000)
    rows = [
        json.dumps({"timestamp": f"2026-01-01T00:00:00.{number:06}Z", "level": "info", "event": f"line {number}"})
        for number in range(60)
    ]
    if older:
        (tmp_path / "log.jsonl.1").write_text("".join(f"{row}\n" for row in rows[:30]))
    (tmp_path / "log.jsonl").write_text("".join(f"{row}\n" for row in rows[30:]))
    records, whole = LogFile(tmp_path / "log.jsonl").read(level="debug", search="", since="", limit=100)
    assert 5 < len(records) < 30
    assert [record["event"] for record in records] == [f"line {number}" for number in range(60)][-len(records) :]
    assert not whole
    assert LogFile(tmp_path / "log.jsonl").read(level="debug", search="line 0", since="", limit=9) == ([], False)


SECRETS = {
    "a token": "gv_abc123_kR7Zx9QpLmN4sT1vW8yB2dF6gH0jK3nP5qU7aC9eI1o",
    "hex": "5f3a" * 16,
    "base64": "q83vEjRWeJq83vEjRWeJCrze8SNFZ4mrN7xI0123456=",
    "pem": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(tmp_path, secret):
    screen = io.StringIO()
    with open_log(tmp_path, "pi-1", screen):
        log = structlog.get_logger()
        log.info(f"got {secret}", path=f"/v1/x?t={secret}", nested={"deep": [{"er": secret}]}, error=ValueError(secret))
        try:
            {}[secret]
        except KeyError:
            log.exception("broke")
    written = (tmp_path / "log.jsonl").read_text() + screen.getvalue()
    assert secret not in written
    assert secret[-20:] not in written
    assert written.count(MASK) >= 8


@pytest.mark.parametrize(
    "name",
    ["token", "api_token", "key", "channel_key", "secret", "password", "Authorization", "seed", "payload", "share"],
)
def test_what_is_named_like_a_secret_is_masked_whatever_it_is(name):
    assert guarded(None, "", {name: "short"}) == {name: MASK}


@pytest.mark.parametrize(
    "value",
    [PEER, f"/ip4/10.0.0.1/tcp/4001/p2p/{PEER}", "2026-11-22T10:00:00Z", "/var/lib/grapevine/pi-1/state", "ε 3.2"],
)
def test_what_people_need_stays(value):
    assert guarded(None, "", {"said": value}) == {"said": value}


def test_bytes_and_arrays_are_counted_or_named_and_never_shown():
    fields = guarded(None, "", {"a": b"\1\2\3", "b": np.ones(3), "c": [b"xy"], "d": object()})
    assert fields == {"a": "(3 bytes)", "b": "(ndarray)", "c": ["(2 bytes)"], "d": "(object)"}


def test_sizes_and_depths_are_bounded():
    deep = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}
    fields = guarded(None, "", {f"f{n}": "x y " * 10_000 for n in range(100)} | {"deep": deep})
    assert len(json.dumps(fields)) < 40_000
    assert len(json.dumps(guarded(None, "", {"deep": deep}))) < 200


def test_a_log_line_is_one_line_on_the_terminal_and_drives_no_terminal(tmp_path):
    screen = io.StringIO()
    with open_log(tmp_path, "pi-1", screen):
        structlog.get_logger().info("first\nsecond\x1b[2J", reason="\u202eevil")
        structlog.get_logger().debug("not for people")
    shown = screen.getvalue()
    assert len(shown.splitlines()) == 1
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert [line["level"] for line in lines(tmp_path)] == ["info", "debug"]


def test_files_are_few_bounded_and_their_owners_alone(tmp_path):
    with open_log(tmp_path, "pi-1", None, file_bytes=5000):
        for number in range(500):
            structlog.get_logger().info("something happened", number=number)
    files = sorted(tmp_path.iterdir())
    assert len(files) == FILES
    assert all(path.stat().st_size <= 5000 for path in files)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert lines(tmp_path)[-1]["number"] == 499


def test_a_torn_line_costs_itself_alone(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event": "cut sho')
    with open_log(tmp_path, "pi-1", None):
        structlog.get_logger().info("after")
    records, _ = LogFile(tmp_path / "log.jsonl").read(level="debug", search="", since="", limit=10)
    assert [record["event"] for record in records] == ["after"]


def test_a_disk_that_is_full_stops_nobody(tmp_path):
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with open_log(tmp_path, "pi-1", None):
        structlog.get_logger().info("said to nobody")
