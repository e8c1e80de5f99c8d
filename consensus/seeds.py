"""The seeds that cells are drawn from: one an epoch, from the beacon; the first from the topology file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

SEED_BYTES = 32
_KEPT = 4
"""Members of one cell are at most a few rounds apart, so that no more epochs than these are ever asked for."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What is drawn from in the rounds from `start` on, until the next seed."""

    start: int
    epoch: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of the last few epochs, in their order. Immutable: `with_seed` gives another.

    An epoch without a seed of its own is drawn from the last one known, and from its own number, which moves the
    places all the same. A swarm whose beacon failed goes on so rather than stop: what is lost is that nobody could
    foresee the draw, and not a word of any update. Nodes that know different seeds draw different cells: their rounds
    are void until they have learned the same.
    """

    epoch_rounds: int
    known: tuple[Seed, ...]

    @classmethod
    def first(cls, seed: int, epoch_rounds: int) -> Self:
        """Those of a swarm that begins; `seed` is the topology file's: everybody can foresee epoch 0."""
        value = hashlib.sha256(f"grapevine/epoch 0/{seed}".encode()).digest()
        return cls(epoch_rounds, (Seed(0, 0, value),))

    def epoch_of(self, number: int) -> int:
        """The epoch of round `number`."""
        return number // self.epoch_rounds

    def at(self, number: int) -> Seed:
        """The seed that round `number` is drawn from: of the latest epoch whose seed is in force by then.

        Of rounds before all that is kept, the oldest kept.
        """
        in_force = [seed for seed in self.known if seed.start <= number]
        return in_force[-1] if in_force else self.known[0]

    def label(self, number: int) -> str:
        """What the draws of an epoch depend on: of the epoch of round `number`."""
        seed = self.at(number)
        return f"{seed.value.hex()}/{seed.epoch}/{self.epoch_of(number)}"

    def with_seed(self, epoch: int, value: bytes, start: int) -> Seeds:
        """With the seed of `epoch`, in force from round `start` on; the last few are kept.

        What is known of an epoch stays: two seeds of one epoch are what a beacon excludes. Raises ValueError for a
        seed that is none.
        """
        if len(value) != SEED_BYTES or epoch < 1 or start < epoch * self.epoch_rounds:
            raise ValueError(f"no seed: epoch {epoch}, {len(value)} bytes, from round {start}")
        if any(seed.epoch == epoch for seed in self.known):
            return self
        merged = sorted((*self.known, Seed(start, epoch, value)), key=lambda seed: seed.epoch)
        return Seeds(self.epoch_rounds, tuple(merged[-_KEPT:]))
