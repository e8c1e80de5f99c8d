"""What a node knows of the swarm before it starts: who is who, and how rounds are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consensus.draw import permutation
from consensus.plan import Plan
from consensus.rules import Rule
from crypto.identity import PeerId


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is who. `order` holds the PeerIds of all nodes in the order of the topology file."""

    me: PeerId
    order: tuple[PeerId, ...]
    names: Mapping[PeerId, str]
    peers: frozenset[PeerId]
    """Those we talk to, neighbours or members of our cells behind them; we are not among them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How rounds are run, the same on every node."""

    rounds: int
    quorum: float
    deadline_s: float
    rule: Rule
    plan: Plan
    bench: int = 0
    """Members of a cell that bring nothing to a round, in turn."""

    def benched(self, number: int, cell: Sequence[PeerId]) -> frozenset[PeerId]:
        """Of the `cell`, who brings nothing to round `number`: each once in as many rounds as there are members."""
        if not self.bench:
            return frozenset()
        members, turn = sorted(cell), number // len(cell)
        order = permutation(len(members), f"bench/{turn}")
        return frozenset({members[order[number % len(members)]]})
