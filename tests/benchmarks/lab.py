"""A run of `grapevine lab up`, and when its rounds ended as seen over all nodes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import journal_file
from node.journal import RoundClosed
from node.lab.folder import RunFolder
from overlay.topology import Topology, dumps
from overlay.topology_schema import Targets
from tests.benchmarks.processes import Watched, watch


@dataclass(frozen=True, slots=True)
class LabRun:
    """What a finished run left. `closed` holds each node's rounds in order."""

    folder: RunFolder
    report: dict[str, Any]
    closed: dict[str, list[RoundClosed]]
    watched: Watched

    @property
    def first_round_at(self) -> float:
        """When the first node began to train."""
        return min(rounds[0].at - rounds[0].round_s for rounds in self.closed.values())

    @property
    def round_ends(self) -> list[float]:
        """When the last node closed round 0, 1, …"""
        ends: dict[int, float] = {}
        for rounds in self.closed.values():
            for event in rounds:
                ends[event.round] = max(event.at, ends.get(event.round, 0.0))
        return [ends[number] for number in sorted(ends)]


def lab_up(topology: Topology, out: Path, *, limit_s: float, say: Callable[[str], None] = lambda _: None) -> LabRun:
    """Run `topology`, whatever its targets, in the new folder `out`. Raises `BenchmarkError`."""
    file = out.with_suffix(".toml")
    file.write_text(dumps(topology.model_copy(update={"targets": Targets()})), encoding="utf-8")
    folder = RunFolder(out)
    names = [node.name for node in topology.nodes]
    followers = {name: journal_file.Follower(folder.journal(name)) for name in names}
    closed: dict[str, list[RoundClosed]] = {name: [] for name in names}
    told = 0

    def follow() -> None:
        nonlocal told
        for name, follower in followers.items():
            closed[name] += [event for event in follower.poll() if isinstance(event, RoundClosed)]
        if (done := min(map(len, closed.values()))) > told:
            told = done
            say(f"round {done}")

    command = [str(Path(sys.executable).with_name("grapevine")), "lab", "up", str(file.resolve())]
    command += ["--out", str(out.resolve()), "--json"]
    watched = watch(command, log=out.with_suffix(".log"), limit_s=limit_s, tick=follow, private_loopback=True)
    follow()
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return LabRun(folder, report, closed, watched)
