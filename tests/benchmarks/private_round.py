"""What a private round of (m, t, l, e, f) = (8, 2, 3, 1, 1) sends and computes.

    python -m tests.benchmarks.private_round SIZE…

All members run in one process, with real signatures and frames; seconds are of one core (set OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from crypto.shamir import Packing
from overlay.wire import encode
from tests.consensus.private_cell import Cell, terms_of


def measure(size: int) -> None:
    packing = Packing(8, 2, 3, 1, 1)
    began = time.perf_counter()
    cell = Cell(terms_of(packing, rows=128, size=size), real_signatures=True)
    dealt_s = (time.perf_counter() - began) / packing.members  # the making of the update included
    sent: Counter[str] = Counter()
    send = cell.send

    def counted(sender: int, receiver: int, message: object) -> None:
        head, body = encode(message)  # type: ignore[arg-type]
        sent[f"{type(message).__name__} {getattr(message, 'stage', getattr(message, 'kind', ''))}"] += len(head + body)
        send(sender, receiver, message)

    cell.send = counted  # type: ignore[method-assign]
    began = time.perf_counter()
    cell.run()
    took_s = (time.perf_counter() - began) / packing.members
    assert cell.check() == {tuple(range(packing.members))}
    words = {kind: size_bytes / packing.members / 4 / size for kind, size_bytes in sent.most_common()}
    print(
        f"d={size}: {sum(words.values()):.4f} words a parameter; a node: deal {dealt_s:.3f} s, the rest {took_s:.3f} s"
    )
    for kind, count in words.items():
        print(f"  {kind:12} {count:.5f}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        measure(int(float(argument)))
