"""A round whose first phase is secret: the mean of what a cell learned, added to what it has in common.

    secret ──► mean u ──┐
                        ├──► y' = y + momentum · v + mean u ──► open phases on y' ──► y_new, the next round's base
    meeting ─► y, v ────┘

A node's model is x_j = y_j + u_j: its base, which is public, and what it learned since, which is not. u_j is against
the node's own base, so that the secret phase (`consensus.sharing`) begins at once; meanwhile the cell finds out which
base it has in common (`consensus.meeting`). The open phases (`consensus.round`), those between cells, are on bases
alone. **Nothing that was learned since the last mean leaves the node but through the secret phase.**

Where a member is convicted by what it signed, the next round takes its updates out of y (`consensus.recall`): y' and v'
follow from what is left.

A round whose secret phase is void leaves base and model as they are: what was learned since is part of the next update.
In a plan with open phases such a member still takes part in them, with the cell's base, where it is vouched for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from consensus.base import Base
from consensus.compute import Computed, SecretEffect, SecretEvent
from consensus.coordinates import Places
from consensus.effects import Close, Down, Heard, Outcome, Tick, Up, WakeAt
from consensus.errors import RemoteFault
from consensus.meeting import Common, Meeting
from consensus.meeting_messages import BaseCopy, BaseWanted, Standing
from consensus.messages import Contribution, Vector
from consensus.open_phases import OpenPhases, Phases, Then
from consensus.private_outcome import Culprit, PrivateOutcome
from consensus.rules import Rule
from consensus.sharing import Hand, SecretRound, Sharing, Update
from consensus.stake import Stake
from consensus.vault import Recalled, amended
from crypto.identity import PeerId

_EARLY = 64
"""Messages of one member that wait for the start."""


@dataclass(frozen=True)
class GuardedTerms:
    """What does not change from round to round; the same on all nodes, but for `hand`."""

    sharing: Sharing
    hand: Hand
    rule: Rule
    """How bases become one where none is vouched for."""
    momentum: float = 0.0
    """Of the cell's public vector: v is by how much it moved last."""
    apart: bool = False
    """Whether members of a cell have different bases in the ordinary course."""


class GuardedRound:
    """Round `number` of `me`, whose model is `trained`, float32 (d,), on `base`. The first of `phases` is the cell.

    `update` is what it brings; None: it helps, and learns the mean. `places` are the coordinates that are shared; None:
    all. `channel_keys` holds the public keys of peers that published one. `absent` are not waited for, against
    `shunned` it votes. `then` makes the round of the open phases.
    """

    def __init__(
        self,
        me: PeerId,
        number: int,
        terms: GuardedTerms,
        phases: Phases,
        trained: Vector,
        update: Update | None,
        *,
        base: Base,
        channel_keys: Mapping[PeerId, bytes],
        then: Then,
        epoch: int = 0,
        places: Places | None = None,
        absent: Collection[PeerId] = (),
        shunned: Collection[PeerId] = (),
    ) -> None:
        self.number = number
        self.outcome: Outcome | None = None
        self.base = base
        """The node's, and once closed that of its next round."""
        self.secret: PrivateOutcome | None = None
        """How the secret phase ended."""
        self.vault = terms.hand.vault
        """What is kept of rounds, and once closed of this one too."""
        self.recovered: Recalled | None = None
        """What was taken out of the base that the round went on from; or why it was not."""
        self.phase_count = len(phases)
        """How many phases the plan has, the secret one included."""
        self._me = me
        self._terms = terms
        self._cell = tuple(sorted(phases[0]))
        self._stake = Stake(trained.copy(), base, update, places)
        self._channel_keys = channel_keys
        self._epoch = epoch
        self._away = set(absent)
        self._shunned = frozenset(shunned) | terms.hand.vault.convicts.keys()
        self._present: set[PeerId] = set()
        self._early: dict[PeerId, list[Heard]] = {}
        sharing = terms.sharing
        self._meeting = Meeting(
            me,
            number,
            self._cell,
            base,
            vouching=sharing.vouching,
            rule=terms.rule,
            deadline_s=sharing.deadline_s,
            apart=terms.apart,
        )
        self._secret: SecretRound | None = None
        self._wake_at = math.inf
        """The secret phase's."""
        self._common: Common | None = None
        self._open = OpenPhases(me, number, phases, then)

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom the secret or the open phases wait for, sorted; empty before the start and after the end."""
        if self._secret is None or self.outcome is not None:
            return ()
        return self._secret.awaited if self.secret is None else self._open.awaited

    @property
    def faults(self) -> list[Culprit]:
        """Of the secret phase, and of contributions that came before their phase; complete once closed."""
        return [*(() if self.secret is None else self.secret.culprits), *self._open.faults]

    def start(self, now: float) -> list[SecretEffect]:
        """Begin; deals the update, which is heavy. Raises `RuntimeError` the second time, and what `Sharing.round`
        raises.
        """
        if self._secret is not None:
            raise RuntimeError(f"round {self.number} was started before")
        self._secret = self._terms.sharing.round(
            self._me,
            self._cell,
            self.number,
            self._epoch,
            self._stake.size,
            self._stake.brought,
            self._terms.hand,
            self._channel_keys,
            self._away,
            self._shunned,
        )
        effects: list[SecretEffect] = [*self._meeting.start(now), *self._sift(self._secret.start(now))]
        early, self._early = self._early, {}
        for peer in self._cell:
            for heard in early.get(peer, ()):
                effects += self._whisper(heard, now)
        return effects + self._advance(now)

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """What to do about `event`; once closed it answers members that are behind. Before the start it listens.

        Raises `RemoteFault` for what no honest member says in an open phase: hand it a `Tick` then, for it may have
        waited for the culprit alone. Culprits of the secret phase are in `faults`.
        """
        effects: list[SecretEffect] = []
        match event:
            case Heard(_, Contribution()):
                effects += self._open.hear(event, now)
            case Heard(peer, message):
                if peer == self._me or peer not in self._cell or message.round != self.number:
                    return []
                effects += self._hear(event, now)
            case Computed():
                effects += self._whisper(event, now)
            case Up() | Down() | Tick():
                effects += self._turn(event, now)
        return effects + self._advance(now)

    # --- events ---------------------------------------------------------------------------------------------------

    def _hear(self, heard: Heard, now: float) -> list[SecretEffect]:
        self._present.add(heard.peer)
        self._away.discard(heard.peer)
        if isinstance(heard.message, Standing | BaseWanted | BaseCopy):
            return [*self._meeting.hear(heard.peer, heard.message)]
        if self._secret is not None:
            return self._whisper(heard, now)
        kept = self._early.setdefault(heard.peer, [])
        if len(kept) < _EARLY:
            kept.append(heard)
        return []

    def _turn(self, event: Up | Down | Tick, now: float) -> list[SecretEffect]:
        """Somebody came or went, or time did."""
        effects: list[SecretEffect] = []
        match event:
            case Up(peer):
                self._away.discard(peer)
                effects += self._meeting.tell([peer]) if self._secret is not None else []
            case Down(peer):
                self._away.add(peer)
            case Tick():
                pass
        return [*effects, *self._whisper(event, now), *self._open.receive(event, now)]

    def _whisper(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """Hand the secret phase an event."""
        if self._secret is None:
            return []
        try:
            return self._sift(self._secret.receive(event, now))
        except RemoteFault:  # named in its outcome; it may have waited for the culprit alone
            return self._sift(self._secret.receive(Tick(), now))

    def _sift(self, effects: Sequence[SecretEffect]) -> list[SecretEffect]:
        """Effects of the secret phase, without its end and its clock, which become the round's."""
        sifted: list[SecretEffect] = []
        for effect in effects:
            if isinstance(effect, Close) and isinstance(effect.outcome, PrivateOutcome):
                self.secret, self._wake_at = effect.outcome, math.inf
            elif isinstance(effect, WakeAt):
                self._wake_at = effect.time
            else:
                sifted.append(effect)
        return sifted

    # --- progress -------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> list[SecretEffect]:
        if self._secret is None or self.outcome is not None:
            return []
        effects: list[SecretEffect] = []
        if self.secret is None:
            effects += self._meeting.prepare(self._away, now)
        elif self._common is None:
            effects += self._conclude(self.secret, now)
        if self._common is not None and self.outcome is None and self._open.outcome is not None:
            effects += self._close(self._open.outcome.vector, self._common)
        if self.outcome is None:
            meeting_at = self._meeting.wake_at if self._common is None else math.inf
            effects.append(WakeAt(min(self._wake_at, meeting_at, self._open.wake_at)))
        return effects

    def _conclude(self, secret: PrivateOutcome, now: float) -> list[SecretEffect]:
        """The secret phase is over: find what its mean is added to, and go on from there."""
        if secret.mean is None:
            return self._go_without(now)
        common, sends = self._meeting.conclude(secret.accepted, self._away, now)
        if common is None:
            return [*sends]
        common = self._recover(common, secret.recalled)
        moved = self._stake.moved(common.base, secret.mean, self._terms.momentum)
        return [*sends, *self._go_on(common, moved, now)]

    def _go_without(self, now: float) -> list[SecretEffect]:
        """There is no mean here: others may know the round's result; else the open phases go on without one."""
        made, sends = self._meeting.result(now)
        if made is None:
            return [*sends]
        if made.vouched:
            return [*sends, *self._adopt(made)]
        common, more = (made, []) if not len(self._open) else self._meeting.conclude((), self._away, now)
        sends += more
        if common is None:
            return [*sends]
        if not common.vouched:
            return [*sends, *self._end(self._stake.trained, averaged=False)]
        return [*sends, *self._go_on(common, common.base.vector, now)]

    def _go_on(self, common: Common, vector: Vector, now: float) -> list[SecretEffect]:
        self._common = common
        return [*self._open.begin(vector, self._away, now)] if len(self._open) else self._close(vector, common)

    def _recover(self, common: Common, recalled: Recalled | None) -> Common:
        """`common` without what a convict brought to it. A base that others went on from is left as it is."""
        if common.base.digest != self.base.digest:
            self.vault = self.vault.emptied()
        if recalled is None:
            return common
        if recalled.parts and recalled.base != common.base.digest:
            recalled = replace(recalled, parts=(), refused="the cell went on from another base than it is part of")
        self.recovered = recalled
        if not recalled.parts:
            return common
        self.vault = self.vault.settled(recalled.peer)
        return replace(common, base=amended(common.base, recalled.parts, self._terms.momentum))

    # --- the end --------------------------------------------------------------------------------------------------

    def _close(self, vector: Vector, common: Common) -> list[SecretEffect]:
        """The round has come to `vector`, (d,), from what the cell had in common."""
        vector.flags.writeable = False
        velocity: Vector | None = None
        if self.base.velocity is not None:
            velocity = vector - common.base.vector
            velocity.flags.writeable = False
        self.base = Base(vector, self.number + 1, velocity)
        if self.secret is not None and self.secret.mean is not None:
            kept = None if self._stake.places is not None else self.secret.kept
            self.vault = self.vault.closed(kept, self.base.digest)
            return self._end(self._stake.after(vector), averaged=True)
        self.vault = self.vault.emptied()
        averaged = self._open.outcome is not None and self._open.outcome.averaged
        return self._end(self._stake.aside(vector), averaged=averaged)

    def _adopt(self, made: Common) -> list[SecretEffect]:
        """Others have the round's result. What we learned since is kept, unless it may be in there."""
        self._common, self.base, self.vault = made, made.base, self.vault.emptied()
        exposed = self.secret is None or self.secret.exposed
        vector = made.base.vector if exposed else self._stake.aside(made.base.vector)
        return self._end(vector, averaged=True)

    def _end(self, vector: Vector, *, averaged: bool) -> list[SecretEffect]:
        vector.flags.writeable = False
        self._meeting.close(self.base)
        for convict, proof in () if self.secret is None else self.secret.convicts.items():
            self.vault = self.vault.convict(convict, proof)
        others = set(self._cell) - {self._me}
        accepted = set() if self.secret is None else set(self.secret.accepted)
        outcome = Outcome(
            vector=vector,
            averaged=averaged,
            present=tuple(sorted(accepted - {self._me})),
            absent=tuple(sorted(others - accepted)),
            deadline_missed=tuple(sorted(others - self._present - self._away)),
            consensus_distance=None,
        )
        between = self._open.outcome
        self.outcome = outcome if between is None else _joined(outcome, between)
        return [Close(self.outcome)]


def _joined(secret: Outcome, between: Outcome) -> Outcome:
    return replace(
        secret,
        present=tuple(sorted({*secret.present, *between.present})),
        absent=tuple(sorted({*secret.absent, *between.absent})),
        deadline_missed=tuple(sorted({*secret.deadline_missed, *between.deadline_missed})),
        consensus_distance=between.consensus_distance,
    )
