"""From `[detect]` of a topology file to what watches the peers of a node."""

from __future__ import annotations

import time

from detect.peers.quarantine import Response
from detect.peers.watch import FEATURES, Forest, PeerWatch, WatchTerms
from node.learning.learner import Learner
from node.roster import Roster
from node.state import Checkpoint
from node.watch import Lookout, restore
from overlay.topology import Topology


def lookout_of(topology: Topology, roster: Roster, learner: Learner, checkpoint: Checkpoint | None) -> Lookout | None:
    """What watches the peers of `roster`, going on from `checkpoint`; None where the topology does not ask for it.

    Raises StateError for a checkpoint that is damaged.
    """
    detect, shared = topology.detect, topology.privacy.sharing != "none"
    if not detect.enabled:
        return None
    response = Response(penalty=detect.penalty, limit=detect.limit, quarantine_s=detect.quarantine_s)
    watch = PeerWatch(
        roster.peers,
        WatchTerms(response, detect.z_limit, learner.layers),
        forest=_forest(topology.seed) if detect.forest and not shared else None,
        # With the other kinds of sharing nobody is left out of a sum: to accuse would change nothing.
        group_test=detect.group_test and topology.privacy.sharing == "shamir",
        me=roster.me,
    )
    if checkpoint is not None:
        restore(watch, checkpoint.learner)
    return Lookout(watch, time.time, loss=learner.judge())


def _forest(seed: int) -> Forest:
    # scikit-learn takes a second to import, and secret rounds have no use for it.
    from detect.peers.forest import ForestWatch  # noqa: PLC0415

    return ForestWatch(FEATURES, seed)
