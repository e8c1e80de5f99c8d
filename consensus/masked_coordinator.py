"""Who says who counts in a masked round."""

from __future__ import annotations

from collections.abc import Collection

from consensus.masked_messages import Stage
from consensus.masked_terms import MaskedTerms, mutual
from crypto.identity import PeerId


class Coordinator:
    """Collects what members report, and the decisions that were made of it: by us, or by whose turn it is."""

    def __init__(self, terms: MaskedTerms) -> None:
        self._terms = terms
        self._reports: dict[Stage, dict[PeerId, tuple[PeerId, ...]]] = {stage: {} for stage in Stage}
        self.decisions: dict[Stage, tuple[PeerId, ...]] = {}
        """Members by stage, as decided; one decision a stage."""

    @property
    def stage(self) -> Stage:
        """What is to be decided next."""
        return Stage.MASKED if Stage.DEALT in self.decisions else Stage.DEALT

    def hear(self, stage: Stage, peer: PeerId, seen: Collection[PeerId]) -> None:
        """Take the report of `peer`; its first of a stage counts."""
        self._reports[stage].setdefault(peer, tuple(sorted(seen)))

    def decide(self, known: Collection[PeerId], awaited: Collection[PeerId], *, due: bool) -> tuple[PeerId, ...] | None:
        """Who counts of those `known`, once all that are `awaited` have reported or it is due; nobody: too few. None:
        not yet.
        """
        reports = self._reports[self.stage]
        if set(awaited) - reports.keys() and not due:
            return None
        members = mutual({peer: seen for peer, seen in reports.items() if peer in known})
        return members if len(members) >= self._terms.least else ()

    def judge(self, stage: Stage, members: tuple[PeerId, ...]) -> str | None:
        """Why no honest coordinator decides this; deciding twice is how to get shares of both kinds."""
        if self.decisions.get(stage, members) != members:
            return "a second decision that differs from the first"
        known = self.decisions.get(Stage.DEALT, self._terms.cell)
        if members and (len(members) < self._terms.least or not set(members) <= set(known)):
            return f"{len(members)} members, expected {self._terms.least} or more of those known"
        return None
