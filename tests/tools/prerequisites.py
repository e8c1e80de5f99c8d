"""Checks what `make` needs before it installs, and installs it where it may.

Runs on a bare python3: standard library alone. Exit 0: all is there. Exit 1: one command to run is printed.
With --tests it looks for what the tests want beside that, and never fails: who lacks it, skips them.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PACKAGES = {
    "apt-get": ("apt-get install -y build-essential libgmp-dev python3-dev python3-venv", "apt-get update"),
    "dnf": ("dnf install -y gcc gmp-devel python3-devel", None),
    "pacman": ("pacman -S --noconfirm base-devel gmp", None),
    "apk": ("apk add build-base gmp-dev python3-dev", None),
    "brew": ("brew install gmp", None),
}
SERVER = {
    "apt-get": ("apt-get install -y --no-install-recommends postgresql", "apt-get update"),
    "dnf": ("dnf install -y postgresql-server", None),
    "pacman": ("pacman -S --noconfirm postgresql", None),
    "apk": ("apk add postgresql", None),
    "brew": ("brew install postgresql", None),
}
"""PostgreSQL, of which the tests start one of their own."""


def missing() -> list[str]:
    """What the installation would stumble over, in words."""
    wants = []
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is run by whatever python3 is there
        wants.append(
            f"Python >= 3.11 (this is {sys.version.split()[0]}; make PYTHON=/path/to/python3.11 picks another)"
        )
    try:
        import ensurepip  # noqa: F401 - Debian splits venv off; ensurepip is what then lacks
    except ImportError:
        wants.append("the venv module of python3")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        wants.append("a C compiler")
    else:
        if not compiles(compiler, "#include <gmp.h>\n"):
            wants.append("the GMP headers (gmp.h)")
        if not compiles(compiler, "#include <Python.h>\n", "-I" + sysconfig.get_paths()["include"]):
            wants.append("the Python headers (Python.h)")
    return wants


def compiles(compiler: str, source: str, *flags: str) -> bool:
    """Whether the compiler accepts `source`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.c"
        path.write_text(source)
        run = subprocess.run([compiler, *flags, "-fsyntax-only", str(path)], capture_output=True, check=False)
        return run.returncode == 0


def lacks_server() -> bool:
    """Whether no PostgreSQL server is installed, where tests/node/store/postgres.py looks for one."""
    return not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and shutil.which("initdb") is None


def install_command(packages: dict[str, tuple[str, str | None]]) -> tuple[list[str], str] | None:
    """The commands of this machine's package manager, and the one line that a person may type."""
    for manager, (command, refresh) in packages.items():
        if shutil.which(manager):
            commands = [refresh, command] if refresh else [command]
            prefix = "" if manager == "brew" else "sudo "
            return commands, " && ".join(prefix + one for one in commands)
    return None


def may_install() -> bool:
    """Whether we are root, the only case in which nothing has to be asked."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def install(commands: list[str], wants: list[str]) -> None:
    """Run `commands`, and say for what."""
    print("Installing " + ", ".join(wants) + " ...", flush=True)
    for command in commands:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(command.split(), check=False, stdout=subprocess.DEVNULL, env=quiet)


def prepare_tests() -> int:
    """Install PostgreSQL where allowed."""
    if not lacks_server():
        return 0
    found = install_command(SERVER)
    if found is not None and may_install():
        install(found[0], ["a PostgreSQL server for the tests"])
    if lacks_server():
        how = f"; they need: {found[1]}" if found else ""
        print(f"No PostgreSQL server is installed: the tests that want one are skipped{how}", file=sys.stderr)
    return 0


def main() -> int:
    """Check, install where allowed, check again."""
    if sys.argv[1:] == ["--tests"]:
        return prepare_tests()
    wants = missing()
    if not wants:
        return 0
    found = install_command(PACKAGES)
    if found is not None and may_install() and not any("Python >=" in want for want in wants):
        install(found[0], wants)
        wants = missing()
        if not wants:
            return 0
    print("Missing: " + "; ".join(wants), file=sys.stderr)
    if found is not None:
        print("Run:     " + found[1], file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
