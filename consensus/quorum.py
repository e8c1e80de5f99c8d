"""How many members must say the same before it is so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many of how many."""

    members: int
    bound: int
    """b: members that may do anything."""
    faulty: int
    """Members that may lead to nothing: after one view more than this, a stage is given up."""

    @property
    def size(self) -> int:
        """Q = ⌊(m + b) / 2⌋ + 1."""
        return (self.members + self.bound) // 2 + 1

    @property
    def unanimity(self) -> bool:
        """Whether the votes of all m decide without commitments: m > 3b, and so Q > 2b."""
        return self.members > 3 * self.bound
