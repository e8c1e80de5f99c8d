"""Checks what `make` needs before it installs, and installs it where it may.

Runs on a bare python3: standard library alone. Exit 0: all is there. Exit 1: one command to run is printed.
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


def install_command() -> tuple[list[str], str] | None:
    """The commands of this machine's package manager, and the one line that a person may type."""
    for manager, (command, refresh) in PACKAGES.items():
        if shutil.which(manager):
            commands = [refresh, command] if refresh else [command]
            prefix = "" if manager == "brew" else "sudo "
            return commands, " && ".join(prefix + one for one in commands)
    return None


def may_install() -> bool:
    """Whether we are root, the only case in which nothing has to be asked."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def main() -> int:
    """Check, install where allowed, check again."""
    wants = missing()
    if not wants:
        return 0
    found = install_command()
    if found is not None and may_install() and not any("Python >=" in want for want in wants):
        commands, _ = found
        print("Installing " + ", ".join(wants) + " ...", flush=True)
        for command in commands:
            subprocess.run(command.split(), check=False, stdout=subprocess.DEVNULL)
        wants = missing()
        if not wants:
            return 0
    print("Missing: " + "; ".join(wants), file=sys.stderr)
    if found is not None:
        print("Run:     " + found[1], file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
