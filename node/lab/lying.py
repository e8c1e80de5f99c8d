"""From the `adversary` of a node in the topology file to what it does: to its rows, and to what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from consensus.masked_sharing import MaskedSharing
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Sharing
from node.assembly import Lying
from node.lab.attacks import Attack
from node.lab.attacks_on_data import DataAttack, adversary
from node.lab.betrayal import betraying
from node.lab.liar import Lattice, Liar
from node.learning.data import Dataset
from node.learning.learner import Learner
from node.roster import Roster
from overlay.topology import Topology

_ROWS = 0xBAD
BETRAYS: Final = "protocol-liar:"


def lying(topology: Topology, name: str) -> Lying | None:
    """What stands between node `name` and its peers; None for one that is honest about what it learned."""
    kind = topology.node(name).adversary
    if kind is None or kind.startswith(BETRAYS):
        return None
    liars = [place for place, node in enumerate(topology.nodes) if node.adversary is not None]
    members = max(len(phase) for phase in topology.plan.phases_of(topology.index(name), 0))
    return _made(adversary(kind), liars, members, topology.seed)


def betraying_of(topology: Topology, name: str) -> Callable[[Sharing], Sharing] | None:
    """How node `name` takes part in secret phases; None where it keeps to the protocol."""
    kind = topology.node(name).adversary
    return betraying(kind.removeprefix(BETRAYS)) if kind is not None and kind.startswith(BETRAYS) else None


def _made(chosen: Attack, liars: list[int], members: int, seed: int) -> Lying:
    def make(learner: Learner, roster: Roster, sharing: Sharing | None) -> Liar:
        accomplices = frozenset(roster.order[place] for place in liars)
        lattice = None if sharing is None else lattice_of(sharing)
        return Liar(learner, chosen, me=roster.me, accomplices=accomplices, members=members, seed=seed, lattice=lattice)

    return make


def lattice_of(sharing: Sharing) -> Lattice | None:
    """How noised updates are written; None where they are not."""
    match sharing:
        case ShamirSharing():
            return Lattice(sharing.fixed.scale, sharing.proof.honest_norm)
        case MaskedSharing():
            return Lattice(sharing.fixed.scale)
    return None


def rows_of(topology: Topology, name: str, rows: Dataset) -> Dataset:
    """The rows that node `name` learns from: changed ones where its adversary lies about them."""
    kind = topology.node(name).adversary
    chosen = None if kind is None or kind.startswith(BETRAYS) else adversary(kind)
    if not isinstance(chosen, DataAttack):
        return rows
    rng = np.random.default_rng([topology.seed, topology.index(name), _ROWS])
    features, labels = chosen.rows((rows.features, rows.labels), len(rows.classes), rng)
    return replace(rows, features=np.ascontiguousarray(features), labels=labels)
