import pytest
from typer.testing import CliRunner

from node.cli.console import read_token
from node.cli.main import app
from node.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["console", "http://127.0.0.1:1", "--run", "x"], "exclude each other"),
        (["console", "--journal", "x", "--run", "x"], "exclude each other"),
        (["console", "--journal", "x"], "needs a terminal"),
        (["console", "--journal", "x", "--speed", "1001"], "--speed"),
        (["lab", "up", "topologies/ring-8.toml", "--watch"], "needs a terminal"),
    ],
)
def test_what_cannot_be_shown_is_said_in_two_lines_and_exit_2(words, said):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert said in result.output


def test_the_token_is_read_from_the_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("gv_abc\n")
    monkeypatch.setenv("GRAPEVINE_TOKEN", " gv_other ")
    assert read_token(file) == "gv_abc"
    assert read_token(None) == "gv_other"


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", b"a\nb"])
def test_a_file_that_holds_no_token_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UserError, match="holds no token"):
        read_token(file)


def test_without_a_token_it_is_said_how_to_make_one(monkeypatch):
    monkeypatch.delenv("GRAPEVINE_TOKEN", raising=False)
    with pytest.raises(UserError) as caught:
        read_token(None)
    assert "token make" in caught.value.remedy
