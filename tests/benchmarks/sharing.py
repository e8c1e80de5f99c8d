"""Secret sharing of a million parameters on one core: dealing, opening, and the whole verified round of a member.

Yardsticks: a copy of the vector in memory (memcpy), and the same sum by TenSEAL's CKKS as the encrypted mode uses it,
encrypt + add + decrypt. Times are of the processor, medians over repeats in turn. Bytes are whole frames as they leave.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from rich.console import Console

from crypto.shamir import Packing
from tests.benchmarks.machine import Figures, show_table
from tests.benchmarks.processes import watch
from tests.benchmarks.sharing_child import PACKINGS, ROWS, TENSEAL_MEMBERS, name_of

SIZE = 1_000_000
REPEATS = 9
LIMIT_S = 900.0
MB = 4 * SIZE / 1e6
"""Of float32 parameters."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def table_words(packing: Packing, size: int) -> float:
    """4-byte words that a member must send a parameter: shares, an opening by owners of parts, and the proof."""
    m, t, packed = packing.members, packing.tolerated, packing.packed
    return (m - 1 - t) / packed + (m - 1) / (m * packed) + (m - 1) / m + (m - 1) * (16 * ROWS + 24) / size


def run(folder: Path, console: Console) -> Figures:
    """Measure in a process of its own, whose libraries are told to use one thread."""
    console.print(f"{SIZE:,} parameters, {len(PACKINGS)} kinds of cells: minutes on one core")
    log = folder / "sharing.log"
    command = [sys.executable, "-m", "tests.benchmarks.sharing_child", str(SIZE), str(REPEATS)]
    watch(command, log=log, limit_s=LIMIT_S, environment=_ONE_THREAD)
    measured = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    medians = {name: statistics.median(seconds) for name, seconds in measured["seconds"].items()}
    return figures_of(medians, measured["sent"], console)


def figures_of(medians: dict[str, float], sent: dict[str, float], console: Console) -> Figures:
    """The figures and the table."""
    figures = Figures("sharing")
    figures.note("parameters", SIZE)
    figures.note("repeats", REPEATS)
    memcpy, encrypt = MB / medians["memcpy"], MB / medians["tenseal_encrypt"]
    decrypt = MB / medians["tenseal_add_decrypt"]
    tenseal_ms = 1e3 * (medians["tenseal_encrypt"] + medians["tenseal_add_decrypt"])
    figures.beside("memcpy_mb_s", memcpy, tenseal_encrypt=encrypt)
    figures.beside("encode_mb_s", MB / medians["encode"], memcpy=memcpy)
    figures.beside("tenseal_encrypt_mb_s", encrypt, memcpy=memcpy)
    figures.beside(f"tenseal_add_{TENSEAL_MEMBERS}_decrypt_mb_s", decrypt, memcpy=memcpy)
    figures.beside(f"tenseal_ms_1m_{TENSEAL_MEMBERS}", tenseal_ms, memcpy=1e3 * medians["memcpy"])
    rows = []
    for packing in PACKINGS:
        name = name_of(packing)
        deal, opened = MB / medians[f"deal_{name}"], MB / medians[f"open_{name}"]
        round_ms, per_parameter = 1e3 * medians[f"round_{name}"], sent[name]
        planned, whole = 4 * table_words(packing, SIZE), 4.0 * (packing.members - 1)
        figures.beside(f"deal_mb_s_{name}", deal, memcpy=memcpy, tenseal=encrypt)
        figures.beside(f"open_mb_s_{name}", opened, memcpy=memcpy, tenseal=decrypt)
        figures.beside(f"round_ms_1m_{name}", round_ms, memcpy=1e3 * medians["memcpy"], tenseal=tenseal_ms)
        figures.beside(f"sent_bytes_per_param_{name}", per_parameter, least=planned, model_to_all=whole)
        rows.append([
            f"({name.replace('_', ', ')})", f"{deal:.0f}", f"{deal / memcpy:.3f}", f"{opened:.0f}", f"{round_ms:.0f}",
            f"{round_ms / tenseal_ms:.2f}", f"{per_parameter:.2f}", f"{per_parameter / planned:.3f}",
            f"{per_parameter / whole:.2f}",
        ])  # fmt: skip
    columns = ["(m, t, l)", "deal MB/s", "÷ memcpy", "open MB/s", "round ms", "÷ TenSEAL", "sent B/param", "÷ least",
               "÷ model to all"]  # fmt: skip
    show_table(console, f"A member's part, {SIZE:,} parameters, one core", columns, rows)
    return figures
