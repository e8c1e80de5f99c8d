"""From the `adversary` of a node in the topology file to what it does: to its rows, and to what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.assembly import Lying
from node.lab.attacks import Attack
from node.lab.attacks_on_data import DataAttack, attack
from node.lab.liar import Liar
from node.learning.data import Dataset
from node.learning.learner import Learner
from node.roster import Roster
from overlay.topology import Topology

_ROWS = 0xBAD


def lying(topology: Topology, name: str) -> Lying | None:
    """What stands between node `name` and its peers; None for an honest one."""
    kind = topology.node(name).adversary
    if kind is None:
        return None
    liars = [place for place, node in enumerate(topology.nodes) if node.adversary is not None]
    members = max(len(phase) for phase in topology.plan.phases_of(topology.index(name), 0))
    return _made(attack(kind), liars, members, topology.seed)


def _made(chosen: Attack, liars: list[int], members: int, seed: int) -> Lying:
    def make(learner: Learner, roster: Roster) -> Liar:
        accomplices = frozenset(roster.order[place] for place in liars)
        return Liar(learner, chosen, me=roster.me, accomplices=accomplices, members=members, seed=seed)

    return make


def rows_of(topology: Topology, name: str, rows: Dataset) -> Dataset:
    """The rows that node `name` learns from: changed ones where its adversary lies about them."""
    kind = topology.node(name).adversary
    chosen = None if kind is None else attack(kind)
    if not isinstance(chosen, DataAttack):
        return rows
    rng = np.random.default_rng([topology.seed, topology.index(name), _ROWS])
    features, labels = chosen.rows((rows.features, rows.labels), len(rows.classes), rng)
    return replace(rows, features=np.ascontiguousarray(features), labels=labels)
