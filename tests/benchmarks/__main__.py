"""`python -m tests.benchmarks NAME`: run one benchmark.

Exit 0 done, 1 it could not be measured, 2 no such benchmark, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from rich.console import Console

from tests.benchmarks.machine import BenchmarkError, Figures

FOLDER = Path("build/bench")
BENCHMARKS: Mapping[str, str] = {
    "peers": "this lab against p2pfl 0.4.4: a ring of 8, the same data and model (minutes; installs p2pfl once)",
    "transport": "payload through the libp2p transport against a raw TCP stream, 64 KiB to 16 MiB (a minute)",
    "scaling": "what a round costs beyond training, for 4 to 16 nodes and 5 k to 1 M parameters (minutes)",
    "private": "a round that shares in secret against one in the open, 5 k to 1 M parameters (minutes)",
    "sharing": "secret sharing of 1 M parameters on one core: deal, open, the whole round, bytes (minutes)",
    "accuracy": "Adult on 8 nodes: plain, local and distributed noise, CKKS, by epsilon (many minutes; needs the data)",
    "byzantine": "rules, adversaries, modes, partitions (minutes); all with GRAPEVINE_FULL=1 (most of an hour)",
    "audit": "epsilon, records and updates as attackers read them from what colluders see, mode by mode (minutes)",
    "api": "the API while the default lab runs: answers, rounds, 10,000 connections, a gigabyte (minutes)",
    "console": "the console at 1,000 events a second for 60 s: key to paint, memory (a minute and a half)",
}
"""Name, which is also the module, and what it says."""


def main(arguments: list[str]) -> int:
    console = Console()
    complaints = Console(stderr=True, soft_wrap=True, highlight=False)
    if len(arguments) != 1 or arguments[0] not in BENCHMARKS:
        complaints.print(f"benchmarks: which one? got {' '.join(arguments) or 'none'}", markup=False)
        complaints.print("Run `make bench ONLY=NAME` with one of:", markup=False)
        for name, what in BENCHMARKS.items():
            complaints.print(f"  {name:10} {what}", markup=False)
        return 2
    (name,) = arguments
    run: Callable[[Path, Console], Figures] = import_module(f"tests.benchmarks.{name}").run
    FOLDER.mkdir(parents=True, exist_ok=True)
    # A plain `kill` then takes the way of Ctrl-C, which leaves no process behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        figures = run(FOLDER, console)
    except BenchmarkError as error:
        complaints.print(f"benchmarks: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        complaints.print("benchmarks: interrupted; no figures were written", markup=False)
        return 130
    console.print(f"Figures: {figures.write(FOLDER, name)}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
