"""The report of a run: a pure fold over its record and its journals.

    run.json ─┐
              ├─ build_report ─→ Report ─→ report.json, report.html, plots/*.png, the summary on the terminal
    journals ─┘

A node that resumes may play rounds again: the last record of a round wins.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from node import words
from node.journal import RoundClosed
from node.lab.fold import Fold, read_journal
from node.lab.publish import write_report
from node.lab.record import NodeRecord, RunRecord, read_record
from node.lab.results import (
    Fault,
    Link,
    NodeReport,
    Note,
    Quarantine,
    Report,
    ReportBaselines,
    Rounds,
    Summary,
    known,
    mean,
)
from node.lab.summary import summary_table
from node.lab.targets import missed_targets, shortfalls

__all__ = ["Report", "build_report", "missed_targets", "shortfalls", "summary_table", "write_report"]

_T = TypeVar("_T")


def build_report(run_dir: Path) -> Report:
    """Fold a run folder into a report; journals may be missing or torn, which `notes` then says.

    Raises RecordError where `run_dir` holds no readable run.json.
    """
    record = read_record(run_dir)
    folds = {node.name: read_journal(run_dir / node.name / "journal.jsonl", record.rounds) for node in record.nodes}
    reached = 1 + max((fold.last.round for fold in folds.values() if fold.last is not None), default=-1)
    nodes = tuple(_node(node, folds[node.name], record, reached) for node in record.nodes)
    return Report(
        topology=record.name,
        seed=record.seed,
        rounds=record.rounds,
        nodes=nodes,
        baselines=ReportBaselines(
            centralised=record.baselines.centralised,
            local_only_mean=_local_only_mean(record),
        ),
        summary=_summary(nodes, record),
        targets=dict(record.targets),
        interrupted=record.interrupted,
        unfinished=record.unfinished,
        reached=reached,
        links=_links(record, folds),
        notes=tuple(_notes(record, folds)),
        topology_text=record.topology,
    )


def _local_only_mean(record: RunRecord) -> float | None:
    if record.baselines.local_only_mean is not None:
        return record.baselines.local_only_mean
    honest = {node.name for node in record.nodes if node.role == "honest"}
    return mean(value for name, value in record.baselines.local_only.items() if name in honest)


def _node(node: NodeRecord, fold: Fold, record: RunRecord, reached: int) -> NodeReport:
    last = fold.last

    def column(read: Callable[[RoundClosed], _T]) -> tuple[_T | None, ...]:
        rows = (fold.rounds.get(number) for number in range(reached))
        return tuple(None if row is None else read(row) for row in rows)

    return NodeReport(
        name=node.name,
        peer_id=fold.peer_id or node.peer_id,
        role=node.role,
        adversary=node.adversary,
        accuracy=column(lambda row: row.test_accuracy),
        local_only_accuracy=record.baselines.local_only.get(node.name),
        backdoor_success=record.baselines.backdoor.get(node.name),
        epsilon=fold.epsilon,
        bytes_sent=fold.bytes_sent,
        bytes_received=fold.bytes_received,
        rounds_completed=len(fold.rounds),
        quarantined=tuple(
            Quarantine(peer=change.peer, round=change.round, reason=change.reason, evicted=change.after == "evicted")
            for change in fold.quarantines
        ),
        by_round=Rounds(
            outcome=column(lambda row: row.outcome),
            loss=column(lambda row: row.loss),
            consensus_distance=column(lambda row: row.consensus_distance),
            train_s=column(lambda row: row.train_s),
            exchange_s=column(lambda row: row.exchange_s),
            round_s=column(lambda row: row.round_s),
            bytes_sent=column(lambda row: row.bytes_sent),
            bytes_received=column(lambda row: row.bytes_received),
            epsilon=column(lambda row: row.epsilon),
            reputation=column(lambda row: row.reputation),
        ),
        final_accuracy=None if last is None else last.test_accuracy,
        last_round=None if last is None else last.round,
        finished=fold.finished,
        restarts=max(record.restarts.get(node.name, 0), len(fold.resumed_at)),
        resumed_at=tuple(fold.resumed_at),
        champion_version=None if last is None else last.champion_version,
        promotions=fold.promotions,
        rollbacks=fold.rollbacks,
        refused=fold.refused,
        faults=tuple(
            Fault(
                peer=peer,
                reason=reason,
                first_round=min(rounds),
                count=len(rounds),
                proved=(peer, reason) in fold.proved,
                witnessed=(peer, reason) in fold.witnessed,
            )
            for (peer, reason), rounds in sorted(fold.faults.items())
        ),
    )


def _summary(nodes: Sequence[NodeReport], record: RunRecord) -> Summary:
    honest = [node for node in nodes if node.honest]
    final = known(node.final_accuracy for node in honest)
    times = known(value for node in nodes for value in node.by_round.round_s)
    return Summary(
        honest_accuracy_mean=mean(final),
        honest_accuracy_min=min(final, default=None),
        consensus_distance=mean(
            node.by_round.consensus_distance[node.last_round] for node in honest if node.last_round is not None
        ),
        wall_s=record.wall_s,
        cpu_s=record.cpu_s,
        startup_s=record.startup_s,
        round_s_median=statistics.median(times) if times else None,
        bytes_per_node_round=mean(value for node in nodes for value in node.by_round.bytes_sent),
        epsilon_max=max(known(node.epsilon for node in nodes), default=None),
        delta=record.delta,
        false_quarantines=_false_quarantines(nodes),
        missed_adversaries=_missed_adversaries(nodes),
    )


def _false_quarantines(nodes: Sequence[NodeReport]) -> int:
    """How often an honest node stopped averaging an honest one."""
    honest = {node.name for node in nodes if node.honest}
    return sum(each.peer in honest for node in nodes if node.honest for each in node.quarantined)


def _missed_adversaries(nodes: Sequence[NodeReport]) -> int:
    """Adversaries that some honest node never stopped averaging."""
    watched = [{each.peer for each in node.quarantined} for node in nodes if node.honest]
    return sum(not all(node.name in found for found in watched) for node in nodes if not node.honest)


def _links(record: RunRecord, folds: Mapping[str, Fold]) -> tuple[Link, ...]:
    """Edges of the graph in file order, then the pairs that only a committee joined."""
    averaged: dict[frozenset[str], set[int]] = defaultdict(set)
    for name, fold in folds.items():
        for row in fold.rounds.values():
            for peer in row.present:
                if peer in folds and peer != name:
                    averaged[frozenset((name, peer))].add(row.round)
    graph = {frozenset(edge): edge for edge in record.edges}
    beyond = sorted(tuple(sorted(pair)) for pair in averaged if pair not in graph)
    return tuple(
        Link(a=a, b=b, in_graph=frozenset((a, b)) in graph, rounds=len(averaged.get(frozenset((a, b)), ())))
        for a, b in [*graph.values(), *beyond]
    )


def _notes(record: RunRecord, folds: Mapping[str, Fold]) -> Iterator[Note]:
    rows = [row for fold in folds.values() for row in fold.rounds.values() if row.outcome == "averaged"]
    if rows and all(row.consensus_distance is None for row in rows):
        yield Note(node=None, text="The consensus distance is not known: nobody sees the models that are averaged.")
    success = mean(record.baselines.backdoor.values())
    if success is not None:
        most = max(record.baselines.backdoor.values())
        share, at_most = words.accuracy(success), words.accuracy(most)
        text = f"The backdoor turns {share} of triggered rows at an honest node, {at_most} at the worst."
        yield Note(node=None, text=text)
    if record.interrupted:
        yield Note(node=None, text="The run was interrupted: the figures cover what was done until then.")
    for name, fold in folds.items():
        for text in fold.remarks(record.rounds, record.restarts.get(name, 0)):
            yield Note(node=name, text=text)
