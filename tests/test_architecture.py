"""The house keeps its walls: import-linter holds the floors, this holds what it cannot see."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("crypto", "consensus", "overlay", "detect", "node")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FILES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml")
ROOT_ENTRIES = {*PACKAGES, *FILES, "topologies", "tests"}


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_hold():
    assert len(SOURCES) > 30


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_heavy_dependency_enters_through_one_seam(path):
    imported = imports_of(path)
    if "libp2p" in imported or "multiaddr" in imported:
        assert named(path).startswith("overlay/libp2p_")
    if "torch" in imported:
        assert named(path).startswith(("node/learning/", "node/lab/child.py", "node/device.py"))
    if imported & {"sqlalchemy", "alembic", "psycopg", "sqlite3"}:
        assert named(path).startswith(("node/store/", "node/ledger.py"))
    if "matplotlib" in imported:
        assert named(path) == "node/lab/plots.py"
    if "textual" in imported or "asyncio" in imported:  # a process of its own, whose loop is not the node's
        assert named(path).startswith("node/console/")
    assert not imported & {"pickle", "shelve", "marshal", "dill", "joblib"}


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_stay_readable(path):
    assert len(path.read_text().splitlines()) <= 400


def test_no_module_holds_state():
    """Module-level names are constants, types or functions: nothing that a run could change."""
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Global):
                pytest.fail(f"{named(path)} uses global")
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict | ast.List | ast.Set):
                for target in node.targets:
                    name = target.id if isinstance(target, ast.Name) else ""
                    assert name.isupper() or name.startswith("__") or name[:1] == "_", f"{named(path)}: {name}"


def test_the_root_holds_what_a_reader_expects():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    entries = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {entry for entry in entries if not entry.startswith(".")} <= ROOT_ENTRIES


def test_the_lab_parent_imports_no_torch():
    """Its start-up hangs on it: the fork server imports torch while the parent lays out the data."""
    code = "import sys, node.cli.main, node.lab.runner; sys.exit('torch' in sys.modules or 'libp2p' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
