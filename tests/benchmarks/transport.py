"""Payload through the libp2p transport against a raw trio TCP stream, between two processes on loopback."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.benchmarks.flow import LIMIT_S
from tests.benchmarks.machine import BenchmarkError, Figures, show_table
from tests.benchmarks.processes import last_words, started

SIZES = {"64kib": 64 * 2**10, "1mib": 2**20, "16mib": 16 * 2**20}
VOLUME_BYTES = 192 * 2**20
"""Payload of one run; at least `LEAST_MESSAGES`."""
LEAST_MESSAGES = 12
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one run. MB and GB are powers of ten."""

    mb_per_s: float
    sender_cpu_s_per_gb: float
    receiver_cpu_s_per_gb: float


def run(_: Path, console: Console) -> Figures:
    """Measure each size through both, taking turns, so that a change of the machine's load meets both; medians."""
    figures = Figures("transport")
    figures.note("repeats", REPEATS)
    rows = []
    for name, size in SIZES.items():
        speeds: dict[str, list[Speed]] = {"raw": [], "transport": []}
        for i in range(REPEATS):
            for carrier, measured in speeds.items():
                console.print(f"{name}, {carrier}, run {i + 1} of {REPEATS}")
                measured.append(flow(carrier, size, max(LEAST_MESSAGES, VOLUME_BYTES // size)))
        rows.append([name, *compare(figures, name, speeds)])
    show_table(
        console,
        "Payload from one process to another; CPU is sender + receiver",
        ["message", "raw MB/s", "transport MB/s", "÷ raw", "raw CPU s/GB", "transport CPU s/GB", "÷ raw"],
        rows,
    )
    return figures


def compare(figures: Figures, name: str, speeds: dict[str, list[Speed]]) -> list[str]:
    """Note the medians of both carriers for one size, and give back the row of the table."""

    def both(of: Callable[[Speed], float]) -> dict[str, float]:
        return {carrier: statistics.median(map(of, measured)) for carrier, measured in speeds.items()}

    rate = both(lambda speed: speed.mb_per_s)
    cpu = both(lambda speed: speed.sender_cpu_s_per_gb + speed.receiver_cpu_s_per_gb)
    slower = figures.compare(f"throughput_{name}", "mb_per_s", **rate)
    dearer = figures.compare(f"cpu_{name}", "s_per_gb", **cpu)
    figures.compare(f"cpu_sender_{name}", "s_per_gb", **both(lambda speed: speed.sender_cpu_s_per_gb))
    figures.compare(f"cpu_receiver_{name}", "s_per_gb", **both(lambda speed: speed.receiver_cpu_s_per_gb))
    return [f"{rate['raw']:.0f}", f"{rate['transport']:.0f}", f"{slower:.2f}",
            f"{cpu['raw']:.2f}", f"{cpu['transport']:.2f}", f"{dearer:.2f}"]  # fmt: skip


def flow(carrier: str, size: int, count: int) -> Speed:
    """Send `count` messages of `size` bytes between two fresh processes."""
    with tempfile.TemporaryDirectory(prefix="grapevine-flow-") as temporary:
        folder = Path(temporary)
        logs = {role: folder / f"{role}.log" for role in ("receiver", "sender")}
        command = [sys.executable, "-m", "tests.benchmarks.flow", carrier]
        tail = [str(folder), str(size), str(count)]
        with (
            started([*command, "receiver", *tail], log=logs["receiver"]) as receiver,
            started([*command, "sender", *tail], log=logs["sender"]) as sender,
        ):
            until = time.monotonic() + LIMIT_S
            while receiver.poll() is None or sender.poll() is None:
                # One end that failed leaves the other waiting.
                if receiver.poll() or sender.poll() or time.monotonic() > until:
                    break
                time.sleep(0.02)
            for process, log in ((receiver, logs["receiver"]), (sender, logs["sender"])):
                if process.returncode != 0:
                    raise BenchmarkError(f"a flow over {carrier} failed ({process.returncode}): {last_words(log)}")
        times = {role: json.loads(log.read_text(encoding="utf-8").splitlines()[-1]) for role, log in logs.items()}
    return speed(size, count, times["sender"], times["receiver"])


def speed(size: int, count: int, sender: dict[str, float], receiver: dict[str, float]) -> Speed:
    """From the times that the two ends printed. The receiver's clock starts behind its first message."""
    timed = size * (count - 1)
    return Speed(
        mb_per_s=timed / 1e6 / receiver["wall_s"],
        sender_cpu_s_per_gb=sender["cpu_s"] / (size * count / 1e9),
        receiver_cpu_s_per_gb=receiver["cpu_s"] / (timed / 1e9),
    )
