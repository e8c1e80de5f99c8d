"""A guarded round that was over before this process began: all that it does is to tell members that are behind."""

from __future__ import annotations

from consensus.base import Base
from consensus.compute import SecretEffect, SecretEvent
from consensus.effects import Close, Heard, Outcome, Up
from consensus.guarded_round import GuardedTerms
from consensus.meeting import Meeting
from consensus.meeting_messages import BaseCopy, BaseWanted, Standing
from crypto.identity import PeerId


class ClosedRound:
    """Round `number` of `me` in the sorted `cell`, or as it was when it left us with `base`.

    A node that has lost its state in a round must not play it again, but it may hold what the round came to.
    """

    def __init__(self, me: PeerId, number: int, cell: tuple[PeerId, ...], base: Base, terms: GuardedTerms) -> None:
        self.number = number
        self.outcome = Outcome(base.vector, False, (), (), (), None)
        self._others = frozenset(cell) - {me}
        self._meeting = Meeting(
            me,
            number,
            cell,
            base,
            vouching=terms.sharing.vouching,
            rule=terms.rule,
            deadline_s=terms.sharing.deadline_s,
        )
        self._meeting.close(base)

    def start(self, now: float) -> list[SecretEffect]:
        """Tell where we stand."""
        return [*self._meeting.start(now), Close(self.outcome)]

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:  # noqa: ARG002 - it has no deadlines
        """Answer members that are behind."""
        match event:
            case Up(peer):
                return [*self._meeting.tell([peer])]
            case Heard(peer, Standing() | BaseWanted() | BaseCopy() as message):
                if peer in self._others and message.round == self.number:
                    return [*self._meeting.hear(peer, message)]
        return []
