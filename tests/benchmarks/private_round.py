"""What a private round of (m, t, l, e, f) = (8, 2, 3, 1, 1) sends and computes.

    python -m tests.benchmarks.private_round SIZE…

All members run in one process, with real signatures and frames; seconds are processor time of one core (set
OMP_NUM_THREADS=1), without the making of updates. On a busy machine caches are shared: take the least of several runs.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from consensus.private_round import PrivateRound
from crypto.shamir import Packing
from overlay.wire import encode
from tests.consensus.private_cell import Cell, terms_of


def measure(size: int) -> None:
    packing = Packing(8, 2, 3, 1, 1)
    spent: list[float] = []

    def build(index: int, arguments: dict[str, Any]) -> PrivateRound:
        began = time.process_time()
        made = PrivateRound(**arguments)
        spent.append(time.process_time() - began)
        return made

    cell = Cell(terms_of(packing, rows=128, size=size), real_signatures=True, build=build)
    sent: Counter[str] = Counter()
    send = cell.send

    def counted(sender: int, receiver: int, message: object) -> None:
        head, body = encode(message)  # type: ignore[arg-type]
        sent[f"{type(message).__name__} {getattr(message, 'stage', getattr(message, 'kind', ''))}"] += len(head + body)
        send(sender, receiver, message)

    cell.send = counted  # type: ignore[method-assign]
    began = time.process_time()
    cell.run()
    took_s = (time.process_time() - began + sum(spent)) / packing.members
    assert cell.check() == {tuple(range(packing.members))}
    words = {kind: size_bytes / packing.members / 4 / size for kind, size_bytes in sent.most_common()}
    print(f"d={size}: {sum(words.values()):.4f} words a parameter; a node computes {1e3 * took_s:.0f} ms")
    for kind, count in words.items():
        print(f"  {kind:12} {count:.5f}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        measure(int(float(argument)))
