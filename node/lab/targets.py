"""The targets of a run: which figure each key of `[targets]` speaks of, and what was missed."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from node.lab.results import Report, Summary


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the summary that a target may bound."""

    label: str
    read: Callable[[Summary], float | None]
    at_least: bool
    """True where more is better."""

    def met(self, value: float, target: float) -> bool:
        """`value` is on the right side of `target`, or on it."""
        return value >= target if self.at_least else value <= target


MEASURES = {
    "honest_accuracy": Measure("mean accuracy of honest nodes", lambda s: s.honest_accuracy_mean, at_least=True),
    "honest_accuracy_min": Measure("lowest accuracy of an honest node", lambda s: s.honest_accuracy_min, at_least=True),
    "consensus_distance": Measure("consensus distance", lambda s: s.consensus_distance, at_least=False),
    "round_s": Measure("median round time in seconds", lambda s: s.round_s_median, at_least=False),
    "wall_s": Measure("wall time in seconds", lambda s: s.wall_s, at_least=False),
    "epsilon": Measure("largest ε of a node", lambda s: s.epsilon_max, at_least=False),
    "bytes_per_node_round": Measure("bytes a node and round", lambda s: s.bytes_per_node_round, at_least=False),
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A target, whether it was met, and a sentence that says so with the figures."""

    key: str
    met: bool
    text: str


def missed_targets(report: Report) -> list[str]:
    """One sentence for each target that was not met or could not be measured; empty when all is well."""
    return [judgement.text for judgement in judge(report) if not judgement.met]


def shortfalls(report: Report) -> list[str]:
    """Why the run fell short, a sentence each: targets missed, nodes that ended early. An interrupted run does not."""
    if report.interrupted:
        return []
    early = [
        f"node {name} ended before its last round; see {name}/node.log in the run folder" for name in report.unfinished
    ]
    return [*early, *missed_targets(report)]


def judge(report: Report) -> list[Judgement]:
    """Every target of the run, in file order."""
    return [_judge(key, target, report.summary) for key, target in report.targets.items()]


def _judge(key: str, target: float, summary: Summary) -> Judgement:
    measure = MEASURES.get(key)
    if measure is None:
        nearest = difflib.get_close_matches(key, MEASURES, n=1, cutoff=0)[0]
        return Judgement(key, False, f"target {key} is not measured by this version; the nearest is {nearest}")
    value = measure.read(summary)
    bound = f"{'≥' if measure.at_least else '≤'} {target:g}"
    if value is None:
        return Judgement(key, False, f"target {key} {bound} missed: the {measure.label} was not measured")
    met = measure.met(value, target)
    return Judgement(key, met, f"target {key} {bound} {'met' if met else 'missed'}: {measure.label} {value:.4g}")
