"""What the members of a cell have in common beside the mean of their updates: the vector that it is added to.

Each member's update is against its own base, so the secret phase waits for nobody's. Meanwhile all tell each other
which base they have. When the mean is open, it is added to one base:

- the latest that max(t, e) + 1 members or more say they have: one of them at least is honest. Who has another fetches
  it; the digest picks the right copy.
- where no base has that many voices (after partitions), or, in cells that are drawn anew from a graph each round, where
  not all members have one: the bases of all members whose updates are in the mean, by the rule. With the mean as the
  rule that is the average of what they trained. (Two that met before would outvote a third there, round after round,
  and what it brings would be lost.)

Either is over when it is known, and at one deadline at the latest: then a member goes on with its own. Liars can make
members choose differently for a round (by telling some and not others), or make them wait that deadline; the next
round's meeting finds a vouched base again. Bases are public results, never what a member trained.

A member that comes too late for the mean may find that the round is over: as many members that vouch for a base which
the round itself has made save it the round.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from consensus.base import Base
from consensus.effects import Send
from consensus.errors import PlanError
from consensus.meeting_messages import BaseCopy, BaseWanted, MeetingMessage, Standing
from consensus.private_messages import BodyError
from consensus.rules import Rule
from consensus.standpoint_rules import Standpoint
from crypto.identity import PeerId

_COPIES = 6
"""How often a member is sent a base in one round."""
_WORDS = 4
"""How often a member is believed to stand elsewhere in one round: with each of its words comes a base that we keep."""

_Said = tuple[int, bytes]
"""(opened, digest of the base)"""


@dataclass(frozen=True, slots=True)
class Common:
    """What a mean is added to."""

    base: Base
    vouched: bool
    """Whether as many say so as cannot all lie. Otherwise it is the rule's, or our own."""


class Meeting:
    """One round of `me`, who has `base`, with the others of the sorted `cell`."""

    def __init__(
        self,
        me: PeerId,
        number: int,
        cell: tuple[PeerId, ...],
        base: Base,
        *,
        vouching: int,
        rule: Rule,
        deadline_s: float,
        apart: bool = False,
    ) -> None:
        """`apart`: members of a cell have different bases in the ordinary course."""
        self._me = me
        self._number = number
        self._others = frozenset(cell) - {me}
        self._base = base
        self._vouching = vouching
        self._agreeing = len(cell) if apart else vouching
        self._rule = rule
        self._deadline_s = deadline_s
        self._said: dict[PeerId, _Said] = {}
        self._results: dict[PeerId, _Said] = {}
        self._words: Counter[PeerId] = Counter()
        self._known: dict[bytes, Base] = {base.digest: base}
        self._wanted: set[bytes] = set()
        self._asked: Counter[bytes] = Counter()
        self._lent: Counter[PeerId] = Counter()
        self._caught_up: Counter[PeerId] = Counter()
        self._closed = False
        self._until = math.inf
        self._retry_at = math.inf
        self._choice: _Said | None = None

    # --- telling and hearing --------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Send]:
        """Tell all where we stand."""
        self._retry_at = now + self._deadline_s / 4
        return self.tell(self._others)

    def tell(self, peers: Collection[PeerId]) -> list[Send]:
        """Tell `peers` of the cell, once more where they came back."""
        said = Standing(self._number, self._base.digest, self._base.opened)
        return [Send(peer, said) for peer in sorted(peers) if peer in self._others]

    def hear(self, peer: PeerId, message: MeetingMessage) -> list[Send]:
        """Take what another member of the cell says about this round."""
        match message:
            case Standing() if message.opened > self._number + 1:
                return []
            case Standing():
                # Who has closed the round says what it made: not what it had before.
                heard = self._said if message.opened <= self._number else self._results
                said = message.opened, message.base
                if heard.get(peer) != said and self._words[peer] < _WORDS:
                    self._words[peer] += 1
                    heard[peer] = said
                return self._catch_up(peer)
            case BaseWanted():
                return self._lend(peer, message.base)
            case BaseCopy():
                self._borrow(message)
            case _:
                pass
        return []

    def close(self, base: Base) -> None:
        """The round is over and leaves us with `base`: from now on we stand there, and lend that too."""
        self._base = base
        self._known[base.digest] = base
        self._wanted.clear()
        self._closed = True

    def _catch_up(self, peer: PeerId) -> list[Send]:
        """To one that begins what is over here: what it came to."""
        if not self._closed or self._caught_up[peer] >= _COPIES:
            return []
        self._caught_up[peer] += 1
        return self.tell([peer])

    def _lend(self, peer: PeerId, wanted: bytes) -> list[Send]:
        base = self._known.get(wanted)
        if base is None or self._lent[peer] >= _COPIES:
            return []
        self._lent[peer] += 1
        return [Send(peer, BaseCopy(self._number, base.body))]

    def _borrow(self, copy: BaseCopy) -> None:
        digest = hashlib.sha256(copy.body).digest() if self._wanted else b""
        if digest not in self._wanted:
            return
        self._wanted.discard(digest)
        try:
            base = Base.parse(copy.body, self._base.vector.size, 0, velocity=self._base.velocity is not None)
        except BodyError:
            return  # vouched for by liars alone
        self._known[digest] = base

    # --- coming to an end -----------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> float:
        """When to ask again if nothing happens."""
        return min(self._retry_at, self._until)

    def prepare(self, away: Collection[PeerId], now: float) -> list[Send]:
        """While the mean is not open yet: say again what may have been lost, and fetch what will be needed."""
        due = self._due(now)
        missing = self._others - self._said.keys() - set(away)
        effects = self.tell(missing) if due else []
        if len(missing) >= self._agreeing:
            return effects
        choice = self._vouched(len(missing))
        return effects if choice is None else [*effects, *self._fetch({choice[1]}, due=due)]

    def conclude(
        self, accepted: Collection[PeerId], away: Collection[PeerId], now: float
    ) -> tuple[Common | None, list[Send]]:
        """What the mean of `accepted` is added to, and what to send; None: not known yet."""
        end, due = self._ended(now), self._due(now)
        missing = set(accepted) - self._said.keys() - set(away) - {self._me}
        if self._choice is None:
            self._choice = self._vouched(0 if end or not missing else len(missing))
        if self._choice is not None:
            return self._take(self._choice, end=end, due=due)
        if missing and not end:
            return None, self.tell(missing) if due else []
        return self._mixture(accepted, end=end, due=due)

    def result(self, now: float) -> tuple[Common | None, list[Send]]:
        """Where the round came to nothing here: the base that others vouch for as its result, and what to send; not
        vouched for where there is none. None: not known yet.
        """
        counted = Counter(self._results.values())
        made = max((said for said, count in counted.items() if count >= self._vouching), default=None)
        if made is None:
            return Common(self._base, vouched=False), []
        return self._take(made, end=self._ended(now), due=self._due(now))

    def _ended(self, now: float) -> bool:
        """Whether the deadline, which runs from the first call, is over."""
        if math.isinf(self._until):
            self._until = now + self._deadline_s
        return now >= self._until

    def _due(self, now: float) -> bool:
        """Whether to say again what may have been lost."""
        if now < self._retry_at:
            return False
        self._retry_at = now + self._deadline_s / 4
        return True

    def _vouched(self, missing: int) -> _Said | None:
        """The latest base with enough voices, if `missing` more cannot make it another."""
        voices = Counter(self._said.values())
        voices[self._base.opened, self._base.digest] += 1
        best = max((said for said, count in voices.items() if count >= self._agreeing), default=None)
        if best is None or missing >= self._agreeing:
            return None if missing else best
        rivals = any(said > best and count + missing >= self._agreeing for said, count in voices.items())
        return None if rivals else best

    def _take(self, said: _Said, *, end: bool, due: bool) -> tuple[Common | None, list[Send]]:
        opened, digest = said
        known = self._known.get(digest)
        if known is not None:
            base = known if known.opened == opened else Base(known.vector, opened, known.velocity)
            return Common(base, vouched=True), []
        if end:
            return Common(self._base, vouched=False), []
        return None, self._fetch({digest}, due=due)

    def _mixture(self, accepted: Collection[PeerId], *, end: bool, due: bool) -> tuple[Common | None, list[Send]]:
        """All of the accepted count, whoever did not come to the mean does not: the same on all who heard them all."""
        stands: dict[PeerId, _Said] = {peer: self._said[peer] for peer in accepted if peer in self._said}
        if self._me in accepted:
            stands[self._me] = self._base.opened, self._base.digest
        lacking = {digest for _, digest in stands.values()} - self._known.keys()
        if lacking and not end:
            return None, self._fetch(lacking, due=due)
        bases = [self._known[digest] for _, digest in stands.values() if digest in self._known]
        if not bases:
            return Common(self._base, vouched=False), []
        latest = max(opened for opened, digest in stands.values() if digest in self._known)
        weights = [1.0 / len(bases)] * len(bases)
        standpoint = Standpoint(own=len(bases) - 1 if self._me in stands else None)  # our own came last
        moved = [base.velocity for base in bases if base.velocity is not None]
        try:
            vector = self._rule([base.vector for base in bases], weights, standpoint)
            velocity = self._rule(moved, weights, standpoint) if len(moved) == len(bases) else None
        except PlanError:  # too few for the rule to bear its liars
            return Common(self._base, vouched=False), []
        return Common(Base(vector, latest, velocity), vouched=False), []

    def _fetch(self, digests: Collection[bytes], *, due: bool) -> list[Send]:
        """Ask one that has it; from then on every quarter of a deadline twice as many."""
        effects: list[Send] = []
        for digest in sorted(set(digests) - self._known.keys()):
            if digest in self._wanted and not due:
                continue
            self._wanted.add(digest)
            holders = self._holders(digest)
            effects += [Send(peer, BaseWanted(self._number, digest)) for peer in holders[: 1 << self._asked[digest]]]
            self._asked[digest] += 1
        return effects

    def _holders(self, digest: bytes) -> list[PeerId]:
        """Who has it, each member in an order of its own, lest all ask the same."""
        both: list[Mapping[PeerId, _Said]] = [self._said, self._results]
        found = {peer for said in both for peer, (_, theirs) in said.items() if theirs == digest}
        return sorted(found, key=lambda peer: hashlib.sha256(f"{self._me} {peer}".encode()).digest())
