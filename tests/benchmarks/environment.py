"""p2pfl in a virtual environment of its own: its pins of numpy, pyarrow and others are not ours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.machine import BenchmarkError
from tests.benchmarks.processes import watch

REQUIREMENTS = (
    "p2pfl==0.4.4",
    "pyarrow==17.0.0",  # the newest that datasets 2.15, which p2pfl pins, can import
    "huggingface_hub<0.26",  # for the same reason
    "opendp",  # p2pfl imports it without naming it
    "lightning>=2.4,<3",  # this line and the next: p2pfl[torch] without torchvision, which wants a torch of 2024
    "torchmetrics>=1.3.1,<2",
)
INSTALL_LIMIT_S = 1200.0


def p2pfl_python(folder: Path, say: Callable[[str], None]) -> Path:
    """The interpreter of p2pfl's environment below `folder`; installs it the first time. Raises `BenchmarkError`."""
    place = (folder / "p2pfl-venv").resolve()
    python = place / "bin" / "python"
    # The very build of torch that we run on: a plain `torch==2.13.0` may pull gigabytes of another one.
    torch = f"torch=={version('torch')}"
    wanted = "\n".join([torch, *REQUIREMENTS])
    stamp = place / "installed.txt"
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    if sys.version_info >= (3, 13):
        raise BenchmarkError(
            f"p2pfl 0.4.4 runs on Python 3.10 to 3.12 and this is {sys.version.split()[0]}\n"
            "Make the project's .venv with such a Python: make clean; make bench ONLY=peers PYTHON=python3.12"
        )
    say(f"installing p2pfl into {place}: some 2 GB, a few minutes, this once")
    log = folder / "p2pfl-install.log"
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    constraint = folder / "p2pfl-constraints.txt"
    constraint.write_text(torch + "\n", encoding="utf-8")
    for command in (
        [sys.executable, "-m", "venv", str(place)],
        [*pip, torch],
        [*pip, "--constraint", str(constraint.resolve()), *REQUIREMENTS],
    ):
        try:
            watch(command, log=log, limit_s=INSTALL_LIMIT_S)
        except BenchmarkError as error:
            raise BenchmarkError(
                f"p2pfl's environment could not be installed: {error}\n"
                f"It needs a package index that offers {torch}; set PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, then repeat."
            ) from error
    stamp.write_text(wanted, encoding="utf-8")
    return python
