"""Tokens at rest: hashed, kept by their owner alone, lost by nobody."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.api.tokens import MAX_TOKENS, SCOPES_OF, Denied, TokenFile, mint
from node.cli.main import app
from node.errors import StateError, UserError

ROOT = Path(__file__).parents[3]
NOW = 1_760_000_000.0


def minted(name="alice", role="viewer", expires_at=None):
    return mint(name, role, SCOPES_OF[role], now=NOW, expires_at=expires_at, randbytes=os.urandom)


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "tokens.json")


def test_the_file_holds_a_hash_and_is_its_owners_alone(file, tmp_path):
    token, text = minted()
    file.add(token)
    path = tmp_path / "tokens.json"
    secret = text.rsplit("_", 1)[1] if "_" not in text[21:] else text[20:]
    assert secret not in path.read_text()
    assert hashlib.sha256(secret.encode()).hexdigest() in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(secret) * 6 >= 256
    assert file.check(text, NOW) == token


def test_each_end_of_a_token_is_seen(file):
    token, text = minted(expires_at=NOW + 10)
    file.add(token)
    assert file.holds(token, NOW + 9.9)
    with pytest.raises(Denied, match="expired"):
        file.check(text, NOW + 10)
    file.revoke("alice", NOW)
    with pytest.raises(Denied, match="revoked"):
        file.check(text, NOW)
    assert not file.holds(token, NOW)


@pytest.mark.parametrize(
    "shown", ["", "gv_", "x" * 10_000, "gv_" + "0" * 16 + "_" + "A" * 43, "gv_\ud800", "\x00" * 64]
)
def test_what_is_no_token_is_denied_without_being_quoted(file, shown):
    file.add(minted()[0])
    with pytest.raises(Denied) as caught:
        file.check(shown, NOW)
    assert not shown or shown not in str(caught.value)


def test_a_node_sees_what_another_process_wrote(file, tmp_path):
    first, second = minted("first"), minted("second")
    file.add(first[0])
    assert file.check(first[1], NOW).name == "first"
    TokenFile(tmp_path / "tokens.json").add(second[0])
    assert file.check(second[1], NOW).name == "second"
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(Denied):
        file.check(first[1], NOW)


def test_commands_at_the_same_time_lose_nothing(file, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: TokenFile(tmp_path / "tokens.json").add(minted(f"t{n}")[0]), range(24)))
    assert {token.name for token in file.tokens()} == {f"t{n}" for n in range(24)}


def test_names_are_given_once_and_room_is_made_of_the_dead(file, tmp_path):
    file.add(minted()[0])
    with pytest.raises(UserError, match="has had a token named 'alice'"):
        file.add(minted()[0])
    full = [minted(f"t{n}", expires_at=NOW + 1 if n == 5 else None)[0] for n in range(MAX_TOKENS)]
    document = {"tokens": [json.loads(token.model_dump_json()) for token in full]}
    (tmp_path / "tokens.json").write_text(json.dumps(document))
    late = mint("late", "viewer", (), now=NOW + 2, expires_at=None, randbytes=os.urandom)[0]
    file.add(late)
    names = [token.name for token in file.tokens()]
    assert (len(names), "t5" in names, names[-1]) == (MAX_TOKENS, False, "late")
    with pytest.raises(UserError, match="1000 valid tokens"):
        file.add(minted("later")[0])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tokens": [{}]}', b'{"tokens": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_says_so(file, tmp_path, content):
    path = tmp_path / "tokens.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StateError, match="damaged"):
        file.tokens()
    assert not file.holds(minted()[0], NOW)


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "x" * 65, "a\nb", "ä", "[red]"])
def test_names_that_would_deceive_a_reader_are_none(name):
    with pytest.raises(UserError, match="name of the token"):
        minted(name)


class TestCommands:
    def run(self, *words, code=0):
        result = CliRunner().invoke(app, ["token", *words])
        assert result.exit_code == code, result.output + result.stderr
        return result

    @pytest.fixture(autouse=True)
    def key(self, tmp_path):
        (tmp_path / "key").touch()

    def test_made_listed_and_revoked(self, tmp_path, file):
        state = ("--state", str(tmp_path))
        made = self.run("make", "alice", *state, "--role", "operator", "--expires", "12h", "--scope", "control")
        text = made.stdout.strip()
        assert re.fullmatch(r"gv_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", text)
        token = file.check(text, file.tokens()[0].made_at)
        assert (token.role, token.scopes) == ("operator", {"control"})
        assert token.expires_at == token.made_at + 12 * 3600
        listed = json.loads(self.run("list", *state, "--json").stdout)
        assert [(t["name"], t["scopes"], t["state"]) for t in listed] == [("alice", ["control"], "valid")]
        assert "digest" not in listed[0]
        assert "alice" in self.run("list", *state).stdout
        self.run("revoke", "alice", *state)
        with pytest.raises(Denied):
            file.check(text, token.made_at)

    @pytest.mark.parametrize(
        "words",
        [
            ("make", "a", "--role", "king"),
            ("make", "a", "--scope", "everything"),
            ("make", "a", "--role", "viewer", "--scope", "control"),
            ("make", "a", "--expires", "0d"),
            ("make", "a", "--expires", "soon"),
            ("revoke", "nobody"),
        ],
    )
    def test_what_cannot_be_is_said_in_two_lines(self, tmp_path, words):
        result = self.run(*words, "--state", str(tmp_path), code=2)
        assert len(result.stderr.strip().splitlines()) == 2
        assert not (tmp_path / "tokens.json").exists()

    def test_a_folder_that_is_none_is_not_made(self, tmp_path):
        for words in (("make", "a"), ("list",), ("revoke", "a")):
            assert "no state folder" in self.run(*words, "--state", str(tmp_path / "none"), code=2).stderr
        assert not (tmp_path / "none").exists()

    def test_a_folder_that_holds_no_key_is_no_nodes(self, tmp_path):
        (tmp_path / "key").unlink()
        for words in (("make", "a"), ("list",), ("revoke", "a")):
            assert "no state folder" in self.run(*words, "--state", str(tmp_path), code=2).stderr
        assert not list(tmp_path.iterdir()), "no token is left where no node takes it"


def test_nobody_waits_for_what_only_the_api_needs():
    """What other modules import of the API at their top brings neither FastAPI nor Hypercorn."""
    light = {"node.api.endpoint", "node.api.tokens"}
    for path in (ROOT / "node").rglob("*.py"):
        if "api" not in path.relative_to(ROOT).parts:
            imported = {node.module for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)}
            assert {name for name in imported if name and name.startswith("node.api")} <= light, path
    code = f"import sys, {', '.join(light)}; sys.exit(bool({{'fastapi', 'hypercorn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_a_file_that_cannot_be_read_opens_nothing_and_says_so(file, tmp_path):
    _, text = minted()
    (tmp_path / "tokens.json").mkdir(mode=0o700)
    with pytest.raises(StateError, match=r"tokens\.json cannot be read: Is a directory"):
        file.check(text, NOW)
