import tomllib

from typer.testing import CliRunner

from node.cli.main import app
from tests.node.lab.processes import ROOT


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"grapevine {project['version']}\n")
