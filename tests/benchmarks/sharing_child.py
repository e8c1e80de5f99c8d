"""What `sharing` measures, in a process of one thread on one core: seconds of processor time, as JSON on the last line.

    python -m tests.benchmarks.sharing_child SIZE REPEATS

Measurements take turns, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from consensus.private_round import PrivateRound
from crypto.ckks import Ckks
from crypto.decoding import open_shares
from crypto.field import Vector, from_signed
from crypto.fixedpoint import FixedPoint
from crypto.randomness import Stream
from crypto.shamir import SHARE_BLOCK, Dealer, Packing, blocks_of, expand, stripes
from overlay.wire import encode
from tests.consensus.private_cell import Cell, terms_of

PACKINGS = (Packing(4, 1, 2, 0, 1), Packing(8, 2, 2, 2, 0), Packing(8, 2, 3, 1, 1), Packing(8, 3, 4, 0, 1),
            Packing(16, 5, 6, 2, 1))  # fmt: skip
"""m, t, ℓ, and the liars and absentees that they bear."""
TENSEAL_MEMBERS = 8
ROWS = 128


def name_of(packing: Packing) -> str:
    """As in the keys of the figures."""
    return f"{packing.members}_{packing.tolerated}_{packing.packed}"


@dataclass
class Timed:
    """Processor seconds by what was measured, a list each; and what was sent, in bytes a parameter and member."""

    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    sent: dict[str, float] = field(default_factory=dict)

    def take(self, name: str, act: Callable[[], object]) -> None:
        """Measure `act` once."""
        began = time.process_time()
        act()
        self.seconds.setdefault(name, []).append(time.process_time() - began)


class Kernels:
    """Dealing and opening under one packing."""

    def __init__(self, packing: Packing, lattice: npt.NDArray[np.int32]) -> None:
        self._packing, self._size = packing, lattice.size
        self._secrets = stripes(from_signed(lattice), packing.packed)  # type: ignore[arg-type]
        self._dealer = Dealer(packing, packing.seeded(0, 0))
        self._seeds = [bytes([holder]) * 32 for holder in self._dealer.seeded]
        self._block = np.empty((len(self._dealer.computed), SHARE_BLOCK), np.uint32)
        dealt = self._dealer.deal(self._secrets, self._seeds)
        self._shares: dict[int, Vector] = dict(zip(self._dealer.computed, dealt, strict=True))
        columns = packing.columns(lattice.size)
        self._shares |= {h: expand(s, columns) for h, s in zip(self._dealer.seeded, self._seeds, strict=True)}

    def deal(self) -> None:
        """All shares, block by block, as they are sealed."""
        for number in blocks_of(self._secrets.shape[1]):
            part = self._secrets[:, number * SHARE_BLOCK : (number + 1) * SHARE_BLOCK]
            self._dealer.deal_block(part, self._seeds, number, self._block[:, : part.shape[1]])

    def open(self) -> None:
        """The whole vector from the shares of all holders, searched for liars."""
        opened = open_shares(self._packing, self._shares, Stream(bytes(32), "opening"))
        if opened is None or opened.secrets[0, 0] != self._secrets[0, 0]:
            raise AssertionError("what was dealt is not what was opened")


class Homomorphic:
    """The same sum by TenSEAL: what a member, the relay and the keeper do for one vector each."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._scheme, self._values = Ckks(), values
        self._pair = self._scheme.generate()
        self._body = b""

    def encrypt(self) -> None:
        self._body = self._scheme.encrypt(self._pair.public, self._values, 1 / TENSEAL_MEMBERS, bytes(32))

    def add_and_decrypt(self) -> None:
        total = self._scheme.add([self._body] * TENSEAL_MEMBERS, self._values.size)
        if abs(self._scheme.decrypt(self._pair.secret, total, self._values.size)[0] - self._values[0]) > 1e-5:
            raise AssertionError("what was encrypted is not what was decrypted")


def round_of(packing: Packing, timed: Timed) -> None:
    """One whole round of all members, with real signatures; seconds are those of one member."""
    spent, sent = 0.0, 0

    def build(_: int, arguments: dict[str, object]) -> PrivateRound:
        nonlocal spent
        began = time.process_time()
        made = PrivateRound(**arguments)  # type: ignore[arg-type]
        spent += time.process_time() - began
        return made

    cell = Cell(terms_of(packing, rows=ROWS, size=timed.size), real_signatures=True, build=build)
    send = cell.send

    def counted(sender: int, receiver: int, message: object) -> None:
        nonlocal sent
        sent += sum(map(len, encode(message)))  # type: ignore[arg-type]
        send(sender, receiver, message)

    cell.send = counted  # type: ignore[method-assign]
    began = time.process_time()
    cell.run()
    spent += time.process_time() - began
    if cell.check() != {tuple(range(packing.members))}:
        raise AssertionError(f"a round of {name_of(packing)} came to nothing")
    timed.seconds.setdefault(f"round_{name_of(packing)}", []).append(spent / packing.members)
    timed.sent[name_of(packing)] = sent / packing.members / timed.size


def measure(size: int, repeats: int) -> Timed:
    """All of it, `repeats` times."""
    timed = Timed(size)
    values = np.random.default_rng(1).standard_normal(size).astype(np.float32)
    values /= np.linalg.norm(values)
    fixed = FixedPoint(3600.0, 1.0, 16)
    lattice = fixed.encode(values, Stream(bytes(32), "rounding"))
    kernels = {name_of(packing): Kernels(packing, lattice) for packing in PACKINGS}
    homomorphic, copy = Homomorphic(values), np.empty_like(values)
    for _ in range(repeats):
        for name, kernel in kernels.items():
            timed.take(f"deal_{name}", kernel.deal)
            timed.take("memcpy", lambda: np.copyto(copy, values))
            timed.take(f"open_{name}", kernel.open)
        timed.take("encode", lambda: fixed.encode(values, Stream(bytes(32), "rounding")))
        timed.take("tenseal_encrypt", homomorphic.encrypt)
        timed.take("tenseal_add_decrypt", homomorphic.add_and_decrypt)
    kernels.clear()
    for _ in range(max(1, repeats // 3)):
        for packing in PACKINGS:
            round_of(packing, timed)
    return timed


def main(size: int, repeats: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    timed = measure(size, repeats)
    print(json.dumps({"seconds": timed.seconds, "sent": timed.sent}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
