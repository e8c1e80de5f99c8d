"""Who was found to be an adversary, and by whom: what the honest nodes of a run made of each peer, in a line each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from node import words
from node.lab.results import NodeReport, Quarantine, Report


@dataclass(frozen=True, slots=True)
class Finding:
    """One peer: who of the honest nodes stopped averaging it. Rounds count from 0, as in the journal."""

    peer: str
    adversary: str | None
    """What it did; None of an honest one."""
    first: dict[str, Quarantine]
    """Honest node → when it stopped averaging the peer for the first time."""
    evicted_by: frozenset[str]
    met_by: tuple[str, ...]
    """Honest nodes that share an edge or a committee with it: nobody else could have found it."""
    honest: int
    """How many honest nodes there are but itself."""

    @property
    def missed_by(self) -> tuple[str, ...]:
        """Who met it and averaged it to the end."""
        return tuple(name for name in self.met_by if name not in self.first)

    @property
    def rounds(self) -> str:
        """In which the honest nodes did."""
        found = sorted(each.round for each in self.first.values())
        return f"round {found[0]}" if found[0] == found[-1] else f"rounds {found[0]} to {found[-1]}"

    @property
    def text(self) -> str:
        """A sentence that says it."""
        name = words.plain(self.peer, 40)
        whom = "honest node" if len(self.met_by) == self.honest else "honest node that met it"
        of = f"{len(self.met_by)} {whom}" if len(self.met_by) == 1 else f"{len(self.met_by)} {_plural(whom)}"
        if not self.first:
            return f"{name} ({self._kind}): NOT FOUND by any of {of}"
        verb = "evicted" if self.evicted_by >= self.first.keys() else "quarantined"
        said = f"{name} ({self._kind}): {verb} by {len(self.first)} of {of}, {self.rounds}"
        if self.evicted_by and verb == "quarantined":
            said += f"; evicted by {len(self.evicted_by)}"
        if self.adversary is not None and self.missed_by:
            said += f"; not by {words.plain(', '.join(self.missed_by), 60)}"
        if self.adversary is None:
            reason = min(self.first.values(), key=lambda each: each.round).reason
            said += f": {words.plain(reason, 80)}" if reason else ""
        return said

    @property
    def _kind(self) -> str:
        return "honest" if self.adversary is None else words.plain(self.adversary, 40)


def _plural(whom: str) -> str:
    return whom.replace("node", "nodes", 1)


def adversaries(report: Report) -> Iterator[Finding]:
    """All of them, in file order."""
    return (_finding(report, node) for node in report.nodes if not node.honest)


def wronged(report: Report) -> Iterator[Finding]:
    """Honest nodes that an honest node stopped averaging, in file order."""
    return (found for node in report.honest if (found := _finding(report, node)).first)


def is_watched(report: Report) -> bool:
    """Whether anybody could be found: the topology does not turn detection off."""
    try:
        detect = tomllib.loads(report.topology_text).get("detect", {})
    except tomllib.TOMLDecodeError:
        return True
    return not (isinstance(detect, dict) and detect.get("enabled") is False)


def _finding(report: Report, peer: NodeReport) -> Finding:
    first: dict[str, Quarantine] = {}
    evicted = set()
    for node in report.honest:
        for each in node.quarantined if node is not peer else ():
            if each.peer == peer.name:
                first.setdefault(node.name, each)
                if each.evicted:
                    evicted.add(node.name)
    near = {end for link in report.links if peer.name in (link.a, link.b) for end in (link.a, link.b)}
    others = [node.name for node in report.honest if node is not peer]
    return Finding(
        peer=peer.name,
        adversary=None if peer.honest else peer.adversary or "adversary",
        first=first,
        evicted_by=frozenset(evicted),
        met_by=tuple(name for name in others if name in near or name in first),
        honest=len(others),
    )
