"""What a plan of committees is: a pure function of the graph and the seeds, the same on every node.

Every node works out its own weights and needs to agree with nobody about them. Members are node indices, in the order
of the topology file.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from consensus.mixing import Matrix
from consensus.seeds import Seeds

PhaseMatrix = Matrix
"""The mixing matrix of one phase, shape (n, n)."""

Weights = dict[int, float]
"""One member's row of it: weight by node, the member included, zeros left out; sums to 1."""

Cell = tuple[int, ...]
"""Members of a cell, ascending."""


class Plan(ABC):
    """The committees of every round."""

    drawn: ClassVar[bool] = False
    """Whether the cells depend on the seeds."""
    apart: ClassVar[bool] = False
    """Whether members of a cell come to it with different averages in the ordinary course."""
    lead: ClassVar[int] = 1
    """Rounds that a member may be ahead of another in the ordinary course: it closed a moment earlier."""

    def __init__(self, n: int, seeds: Seeds) -> None:
        self.n = n
        self.seeds = seeds

    def with_seed(self, epoch: int, value: bytes, start: int) -> Self:
        """This plan once the seed of `epoch` (32 bytes) is known, in force from round `start` on.

        Another object, for nodes of one process share a plan and learn seeds one after the other. Raises ValueError.
        """
        other = copy.copy(self)
        other.seeds = self.seeds.with_seed(epoch, value, start)
        return other

    def phases_of(self, member: int, round: int) -> tuple[Weights, ...]:  # noqa: A002 - the word of the field
        """The weights of `member` in each phase of `round`, in O(committee); {member: 1.0} where it is alone.

        Raises `IndexError` for a member that is none and `ValueError` for a negative round.
        """
        self._check(member, round)
        return self._phases_of(member, round)

    def cell_of(self, member: int, round: int) -> Cell:  # noqa: A002
        """With whom `member` is in the first phase, itself included; alone: it sits the round out."""
        return tuple(sorted(self.phases_of(member, round)[0]))

    def cells(self, round: int) -> tuple[Cell, ...]:  # noqa: A002
        """The committees of the first phase; disjoint in every plan but that of neighbourhoods. Sorted."""
        return tuple(sorted({self.cell_of(member, round) for member in range(self.n)}))

    def centre_of(self, member: int, round: int) -> int | None:  # noqa: A002
        """Through whom members of the cell reach each other that have no edge; None where all have."""
        self._check(member, round)
        return self._centre_of(member, round)

    @abstractmethod
    def company_of(self, member: int) -> frozenset[int]:
        """All with whom `member` may come to share a committee, in whatever round and by whatever draw."""

    def committee_of(self, member: int, round: int) -> frozenset[int]:  # noqa: A002
        """All with whom `member` averages in some phase of `round`, without itself: those that send to it."""
        return frozenset().union(*self.phases_of(member, round)) - {member}

    def phases(self, round: int) -> tuple[PhaseMatrix, ...]:  # noqa: A002
        """The same for all members at once, dense: for reports and tests, n² numbers a phase."""
        rows = [self.phases_of(member, round) for member in range(self.n)]
        matrices = tuple(np.zeros((self.n, self.n)) for _ in rows[0])
        for member, phases in enumerate(rows):
            for W, weights in zip(matrices, phases, strict=True):
                W[member, list(weights)] = list(weights.values())
        return matrices

    def _check(self, member: int, number: int) -> None:
        if not 0 <= member < self.n:
            raise IndexError(f"member {member} of a plan for n={self.n} nodes")
        if number < 0:
            raise ValueError(f"rounds count from 0: {number}")

    @abstractmethod
    def _phases_of(self, member: int, round: int) -> tuple[Weights, ...]: ...  # noqa: A002

    def _centre_of(self, member: int, round: int) -> int | None:  # noqa: A002, ARG002
        return None


def uniform(members: Sequence[int]) -> Weights:
    """The same weight for all."""
    return dict.fromkeys(members, 1.0 / len(members))
