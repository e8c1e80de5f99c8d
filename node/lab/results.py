"""What a report says: the figures of a run, as `report.json` holds them and as page, plots and summary show them.

Rounds count from 0, as in the journal.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Quarantine(_Frozen):
    """A peer that this node stopped averaging."""

    peer: str
    round: int
    reason: str
    evicted: bool = False
    """For good, and disconnected."""


class Fault(_Frozen):
    """What this node saw `peer` do that no honest peer does, all of one kind together."""

    peer: str
    reason: str
    first_round: int
    count: int
    proved: bool = False
    """Whether what the peer signed shows it to anybody."""
    witnessed: bool = False
    """Whether it follows from what was decided in rounds that this node took part in."""


class Rounds(_Frozen):
    """What a node saw of each round: lists of `Report.reached` entries, None where it closed no round."""

    outcome: tuple[Literal["averaged", "void"] | None, ...]
    loss: tuple[float | None, ...]
    consensus_distance: tuple[float | None, ...]
    train_s: tuple[float | None, ...]
    exchange_s: tuple[float | None, ...]
    round_s: tuple[float | None, ...]
    bytes_sent: tuple[int | None, ...]
    bytes_received: tuple[int | None, ...]
    epsilon: tuple[float | None, ...]
    """ε of all that may have left the node by then."""
    reputation: tuple[dict[str, float] | None, ...] = ()
    """What it believed of peers that had lost some of it, 0 to 100."""


class NodeReport(_Frozen):
    """One node. Accuracies are shares of the lab's global test set, 0 to 1."""

    name: str
    peer_id: str | None
    role: Literal["honest", "adversary"]
    adversary: str | None
    accuracy: tuple[float | None, ...]
    local_only_accuracy: float | None
    backdoor_success: float | None
    """The share of triggered rows that its last model calls the backdoor's target; None where nobody plants one."""
    epsilon: float | None
    """ε over the whole run at the topology's delta; None where none is claimed."""
    bytes_sent: int
    """Everything it sent, rounds that it played twice included."""
    bytes_received: int
    rounds_completed: int
    quarantined: tuple[Quarantine, ...]
    by_round: Rounds
    final_accuracy: float | None
    """At the last round that it closed."""
    last_round: int | None
    finished: bool
    restarts: int
    resumed_at: tuple[int, ...]
    """Rounds at which it came back."""
    champion_version: int | None
    promotions: int
    rollbacks: int
    refused: int
    """Connections that it turned away."""
    faults: tuple[Fault, ...]

    @property
    def honest(self) -> bool:
        """It followed the protocol, as far as the run was told to."""
        return self.role == "honest"


class Link(_Frozen):
    """Two nodes that may talk, by name."""

    a: str
    b: str
    in_graph: bool
    """False where a committee joined two nodes that share no edge of the graph."""
    rounds: int
    """In how many rounds at least one of the two averaged the other."""


class ReportBaselines(_Frozen):
    """Test accuracies without a swarm; each node's own is `local_only_accuracy`."""

    centralised: float | None
    local_only_mean: float | None


class Summary(_Frozen):
    """The run in a few figures; None where nothing was measured."""

    honest_accuracy_mean: float | None
    honest_accuracy_min: float | None
    consensus_distance: float | None
    wall_s: float | None
    cpu_s: float | None
    startup_s: float | None
    round_s_median: float | None
    bytes_per_node_round: float | None
    epsilon_max: float | None
    """The largest ε of a node; None where none is claimed."""
    delta: float | None
    """δ at which every ε holds."""
    false_quarantines: int
    """How often an honest node stopped averaging an honest one."""
    missed_adversaries: int
    """Adversaries that some honest node never stopped averaging."""


class Note(_Frozen):
    """Something that a reader of the figures must know; `node` is None where it concerns the run."""

    node: str | None
    text: str

    def __str__(self) -> str:
        return self.text if self.node is None else f"{self.node} {self.text}"


class Report(_Frozen):
    """`report.json`."""

    topology: str
    seed: int
    rounds: int
    """As asked for."""
    nodes: tuple[NodeReport, ...]
    baselines: ReportBaselines
    summary: Summary
    targets: dict[str, float]
    interrupted: bool
    unfinished: tuple[str, ...]
    """Nodes that ended before their last round in a run that was not interrupted."""
    reached: int
    """Rounds up to the last that any node closed: the length of every list by round."""
    links: tuple[Link, ...]
    notes: tuple[Note, ...]
    topology_text: str

    @property
    def honest(self) -> tuple[NodeReport, ...]:
        """The nodes that the summary is about."""
        return tuple(node for node in self.nodes if node.honest)


def mean(values: Iterable[float | None]) -> float | None:
    """Arithmetic mean of what is known; None of nothing."""
    found = known(values)
    return statistics.fmean(found) if found else None


def known(values: Iterable[float | None]) -> list[float]:
    """The values without the gaps."""
    return [value for value in values if value is not None]
