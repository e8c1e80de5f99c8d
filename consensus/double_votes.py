"""Who votes for two things: what each member voted for in each view of a stage, whatever was decided meanwhile."""

from __future__ import annotations

from consensus.conviction import Name
from consensus.notary import Notary
from consensus.private_messages import Stage, Vote

_TRIES = 4
"""Contradictions of one member that are looked into: each costs two signatures."""


class DoubleVotes:
    """Of one stage. An honest member signs one vote for each step of a view: two convict, whoever shows them."""

    def __init__(self, notary: Notary, stage: Stage, name: Name) -> None:
        self._notary = notary
        self._stage = stage
        self._name = name
        self._first: dict[tuple[int, int, int], Vote] = {}
        self._tried: dict[int, int] = {}

    def hear(self, peer: int, vote: Vote) -> None:
        """Take a vote that `peer` sent, in a view that honest members get to."""
        known = self._first.setdefault((peer, vote.view, vote.step), vote)
        if known.value == vote.value or self._tried.get(peer, 0) >= _TRIES:
            return
        self._tried[peer] = self._tried.get(peer, 0) + 1
        if not self._signed(peer, vote):
            self._name(peer, f"sends a vote in stage {self._stage.name} that it did not sign", ())
        elif not self._signed(peer, known):
            self._first[peer, vote.view, vote.step] = vote
            self._name(peer, f"sends a vote in stage {self._stage.name} that it did not sign", ())
        else:
            self._tried[peer] = _TRIES
            self._name(peer, f"signed two votes in view {vote.view} of stage {self._stage.name}", (known, vote))

    def _signed(self, peer: int, vote: Vote) -> bool:
        return self._notary.voted(peer, vote.stage, vote.view, vote.step, vote.value, vote.signature)
