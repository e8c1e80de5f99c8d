"""One private round of one node, as a state machine without I/O: the sum of a cell's updates, and nothing else.

    COMMIT ─► [RECALL] ─► NONCE_1 ─► PROVE ─► (boxes) ─► NONCE_2 ─► [SUPPLY] ─► SCALARS ─► [DISPUTE]
       │          │          │         │       wait         │           │           │           │
       └──────────┴──────────┴─────────┴────────────────────┴───────────┴───────────┴───────────┴─► CLOSED
                                                                     [DISTANCES] ─► opening ───────────┘

Each stage in capitals is one agreement (`consensus.agreement`) on one bundle of signed items, one a member: the leaves
of its boxes and commitments to two nonces; the first nonce (coin 1 draws the sketch); digests of the boxes of bits; the
second nonce (coin 2 draws the checks) and what it lacks; masked scalars. SUPPLY and DISPUTE take place where somebody
complains, or a scalar is off; DISTANCES where the cell weighs its updates (`screen`); RECALL where somebody shows that
a member lied in an earlier round (`recall`). All that follows is a function of the bundles decided: who is left out,
who is convicted, the accepted set, the weights. So honest members that come to the end of SCALARS or DISPUTE have **one
accepted set**.

**No member opens two sums.** A member opens when the last stage is decided, once, and its statements are about that
decision. Decisions are unique (the argument is in `agreement`: two quorums of ⌊(m + b) / 2⌋ + 1 votes, b = max(t, e),
share an honest member, and honest members vote once a view), even if every message is late. A node that has lost its
state in a round must not take part in that round again: the caller writes the number down before it starts.

**No sum is wrong.** Scalars and short sums are decoded from at least max(t + ℓ, 2t + 1) + e values, long ones from
t + ℓ + e, so that e lies are noticed whoever is absent, and corrected while no more than f are. Otherwise the round is
void: nobody opens. Beyond e: n values are never decoded wrongly while n − (t + ℓ) − e of them lie or fewer, so that
e + 1 liars open no wrong sum unless f members are absent too. Then e + 1 that conspire can, with t + ℓ − 1 honest
members on the codeword that they choose; what they cannot do is learn an update, see `dispute`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import ClassVar

from consensus.agreement import Agreement, Outgoing
from consensus.compute import SecretEffect, SecretEvent
from consensus.direct_opening import DirectOpening
from consensus.effects import Close, Down, Heard, Send, Up, WakeAt
from consensus.messages import Vector
from consensus.notary import Notary, Verify
from consensus.private_dealer import PROOF_BOX, SHARE_BOX, PrivateDealer, Randbytes
from consensus.private_holder import PrivateHolder
from consensus.private_messages import Bundle, Fetch, Item, Portion, Sealed, Stage, Vote
from consensus.private_opening import Opening
from consensus.private_outcome import Culprits, Patience, PrivateOutcome
from consensus.private_sizes import Sizes
from consensus.private_stages import Enter, Gather, Open, Stages, Step, Void
from consensus.private_terms import PrivateTerms
from consensus.recall import Recall
from consensus.vault import Vault
from crypto import identity
from crypto.field import Signed
from crypto.identity import PeerId
from crypto.sealing import ChannelKey

_EARLY_PORTIONS = 4


class PrivateRound:
    """Averages `update` with the other members of `terms.cell`.

    `update` is float32 (d,), `noise` int32 (d,) in lattice units; `sign` is that of our identity. With `update` None we
    deal nothing: we hold, vote and open, and learn the mean. `absent` are not waited for. We vote
    against `shunned`: whom more than half of the members vote against is left out by all. With `key_is_new` others may
    still seal to a key that we had before. Events must come over channels that prove who speaks, those through a relay
    too: a vote counts before its signature is looked at. Raises PlanError if we are no member, FixedPointError for an
    update that is not finite.
    """

    deals: ClassVar[type[PrivateDealer]] = PrivateDealer

    def __init__(
        self,
        me: PeerId,
        terms: PrivateTerms,
        update: Vector | None,
        *,
        sign: Callable[[bytes], bytes],
        channel_key: ChannelKey,
        randbytes: Randbytes,
        verify: Verify = identity.verify,
        noise: Signed | None = None,
        absent: Collection[PeerId] = (),
        shunned: Collection[PeerId] = (),
        key_is_new: bool = False,
        vault: Vault | None = None,
    ) -> None:
        self.number = terms.number
        self.outcome: PrivateOutcome | None = None
        self._terms = terms
        self._index = {peer: place for place, peer in enumerate(terms.cell)}
        self._me = self._index[me]
        self._randbytes = randbytes
        everyone = frozenset(range(terms.packing.members))
        self._notary = Notary(terms.cell, self._me, terms.number, terms.context, sign, verify, everyone)
        self._dealer: PrivateDealer | None = None
        if update is not None:
            self._dealer = self.deals(terms, self._me, randbytes, update=update, noise=noise)
        self._holder = PrivateHolder(terms, self._me, channel_key)
        self._culprits = Culprits(terms.cell, self._me)
        self._stages = Stages(
            terms,
            self._me,
            self._dealer,
            self._holder,
            self._culprits,
            randbytes,
            key_is_new=key_is_new,
            recall=Recall(terms, self._me, vault or Vault(), verify),
            shunned=[self._index[peer] for peer in shunned if peer in self._index],
        )
        tardy: set[int] = set()
        self._sizes = Sizes(terms)
        self._agreements = {
            stage: Agreement(
                self._notary,
                stage,
                terms.quorum,
                terms.first_leader(stage),
                self._culprits.name,
                tardy,
                largest=self._sizes.item(stage),
            )
            for stage in Stage
            if stage <= Stage.DISPUTE
            or (stage is Stage.DISTANCES and terms.screen is not None)
            or (stage is Stage.RECALL and terms.keep_rounds > 0)
        }
        self._stage: Stage | None = None
        self._gather_until = math.inf
        self._retry_at = math.inf
        self._away = {self._index[peer] for peer in absent if peer in self._index}
        self._patience = Patience(terms.packing.members)
        self._early: list[tuple[int, Item | Portion]] = []
        self._record = self._stages.record
        self._opening: Opening | DirectOpening | None = None
        self._void: str | None = None
        self._out: list[Outgoing] = []
        self._closed = False

    # --- the outside ----------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[SecretEffect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""
        if self._stage is not None:
            raise RuntimeError(f"private round {self.number} was started before")
        self._stage = Stage.COMMIT
        self._gather_until = now + self._terms.deadline_s
        self._retry_at = now + self._terms.deadline_s / 4
        return self._progress(now)

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """What to do about `event`; before `start` it only listens.

        Never raises for what a peer did: culprits are in the outcome.
        """
        match event:
            case Heard(peer, message) if peer in self._index and self._index[peer] != self._me:
                if not isinstance(message, Sealed | Item | Vote | Bundle | Fetch | Portion):
                    return []
                if message.round == self.number:
                    self._hear(self._index[peer], message)
            case Up(peer) if peer in self._index:
                self._away.discard(self._index[peer])
                self._fetch(self._index[peer])
            case Down(peer) if peer in self._index:
                self._away.add(self._index[peer])
        return self._progress(now)

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom the round waits for at the moment, sorted."""
        if self.outcome is not None or self._stage is None:
            return ()
        return tuple(self._terms.cell[member] for member in sorted(self._waited_for()))

    # --- hearing --------------------------------------------------------------------------------------------------

    def _hear(self, peer: int, message: Sealed | Item | Vote | Bundle | Fetch | Portion) -> None:
        if isinstance(message, Fetch):
            self._answer(peer, message)
            return
        if self.outcome is not None:
            return
        if not self._sizes.fits(message):
            self._culprits.name(peer, f"sends a {type(message).__name__} larger than any that an honest member sends")
            return
        self._away.discard(peer)
        match message:
            case Sealed():
                self._hear_box(peer, message)
            case Item(stage=Stage.CHECK | Stage.CERTIFY) | Portion():
                self._hear_opening(peer, message)
            case Item() if message.stage in self._agreements:
                self._agreements[Stage(message.stage)].hear_item(peer, message)
            case Vote() if message.stage in self._agreements:
                self._out += self._agreements[Stage(message.stage)].hear_vote(peer, message)
            case Bundle() if message.stage in self._agreements:
                self._agreements[Stage(message.stage)].hear_bundle(peer, message)

    def _hear_box(self, peer: int, sealed: Sealed) -> None:
        if (wrong := self._holder.hear(peer, sealed)) is not None:
            self._culprits.name(peer, wrong)
        if (block := self._holder.asks(peer)) is not None:
            self._out.append((peer, Fetch(self.number, Stage.PROVE, SHARE_BOX, block)))

    def _hear_opening(self, peer: int, message: Item | Portion) -> None:
        if self._opening is None:
            if sum(author == peer for author, _ in self._early) < _EARLY_PORTIONS + self._terms.packing.members:
                self._early.append((peer, message))
        elif isinstance(message, Portion):
            self._opening.hear_portion(peer, message)
        else:
            self._opening.hear_item(peer, message)

    def _answer(self, peer: int, fetch: Fetch) -> None:
        if self._dealer is not None and fetch.stage == Stage.PROVE and fetch.part and self._dealer.goes_on(peer, fetch):
            self._out += self._dealer.answer(peer, fetch)
            return
        if not self._patience.lasts(peer, fetch):
            return
        if fetch.stage in (Stage.CHECK, Stage.CERTIFY):
            if self._opening is not None:
                self._out += self._opening.answer(peer, fetch.part, fetch.stage)
        elif fetch.stage in self._agreements and fetch.part == 0:
            self._out += self._agreements[Stage(fetch.stage)].answer(peer)
        elif self._dealer is not None and fetch.stage == Stage.PROVE:
            self._out += self._dealer.answer(peer, fetch)

    # --- progress -------------------------------------------------------------------------------------------------

    def _progress(self, now: float) -> list[SecretEffect]:
        while self.outcome is None and self._stage is not None and self._move(now):
            self._retry_at = now + self._terms.deadline_s / 4
        if self.outcome is None and now >= self._retry_at:
            self._retry_at = now + self._terms.deadline_s / 4
            self._fetch(None)
        effects = self._effects()
        if self.outcome is None and self._stage is not None:
            return [*effects, WakeAt(self._wake_at(now))]
        return effects

    def _move(self, now: float) -> bool:
        """One step; False where there is none to take."""
        if self._opening is not None:
            self._out += self._opening.advance(now, self._away)
            if self._opening.closed(now, self._away):
                self._close(self._opening)
            return False
        if self._stage is Stage.COMMIT and not self._agreements[Stage.COMMIT].entered:
            return self._deal(now)
        if self._stage is Stage.NONCE_2 and not self._agreements[Stage.NONCE_2].entered:
            return self._gather(now)
        agreement = self._agreements[Stage(self._stage or 0)]
        self._out += agreement.advance(now, self._away)
        if agreement.exhausted:
            self._give_up(f"no agreement in stage {agreement.stage.name}", certain=False)
            return False
        if agreement.decided is None:
            return False
        self._take(self._stages.follow(agreement.stage, agreement.decided), now)
        return True

    def _take(self, step: Step, now: float) -> None:
        # Who is missing from what was decided is not waited for, until it is heard again.
        self._away |= set(range(len(self._terms.cell))) - self._record.members - {self._me}
        match step:
            case Enter():
                self._enter(step, now)
            case Gather():
                self._stage = Stage.NONCE_2
                self._gather_until = now + self._terms.deadline_s
            case Open():
                self._open(step, now)
            case Void():
                self._give_up(step.reason, certain=True)

    def _deal(self, now: float) -> bool:
        """Deal on, as fast as holders take it in, or after the deadline without those that do not; then commit."""
        if self._dealer is not None:
            while not self._dealer.done and (now >= self._gather_until or not self._dealer.slow(self._away)):
                self._out += self._dealer.deal()
            if not self._dealer.done:
                return False
        self._enter(self._stages.commit(), now)
        return True

    def _gather(self, now: float) -> bool:
        """Go on once all boxes are there, or at the deadline."""
        if now < self._gather_until and self._stages.lacking(self._away):
            return False
        self._enter(self._stages.complain(), now)
        return True

    def _enter(self, step: Enter, now: float) -> None:
        self._out += step.boxes.items()
        self._stage = step.stage
        self._retry_at = now + self._terms.deadline_s / 4
        self._agreements[step.stage].enter(
            now,
            None if step.body is None else self._notary.item(step.stage, step.body),
            deadline_s=self._terms.deadline_s,
            expected=step.expected,
            least=step.least,
            check=self._record.check,
        )

    def _open(self, step: Open, now: float) -> None:
        self._dealer = None  # what others lack of it now, they could not use any more
        kind = DirectOpening if self._terms.direct else Opening
        notary = replace(self._notary, context=step.context)
        holders, name = self._record.holders, self._culprits.name
        self._opening = kind(self._terms, notary, holders, step.share, self._randbytes, name, now)
        early, self._early = self._early, []
        for peer, message in early:
            self._hear_opening(peer, message)
        self._move(now)

    # --- the end --------------------------------------------------------------------------------------------------

    def _give_up(self, reason: str, *, certain: bool) -> None:
        self._void = reason
        opened = self._stage is Stage.DISTANCES  # of which more than our own share may be known
        self._finish(None, (), exposed=(opened or not certain) and self._me in self._record.dealers)

    def _close(self, opening: Opening | DirectOpening) -> None:
        mean = None
        accepted, weights = self._record.accepted, self._record.weights
        if opening.total is None:
            self._void = "the sum could not be opened"
        else:
            mean = self._terms.fixed.decode(opening.total, self._terms.whole_weight if weights else len(accepted))
            mean.flags.writeable = False
        self._finish(mean, tuple(sorted(opening.certificate.items())), exposed=self._me in self._record.accepted)

    def _finish(self, mean: Vector | None, certificate: tuple[tuple[int, Item], ...], *, exposed: bool) -> None:
        cell, weights, recall = self._terms.cell, self._record.weights, self._record.recall
        counted = sorted(member for member in self._record.accepted if weights.get(member, 1))
        self.outcome = PrivateOutcome(
            number=self.number,
            mean=mean,
            accepted=tuple(cell[member] for member in counted) if mean is not None else (),
            culprits=self._culprits.named,
            absent=tuple(cell[member] for member in sorted(self._away | self._waited_for())),
            void=self._void,
            exposed=exposed,
            certificate=tuple((cell[author], item.signature) for author, item in certificate),
            certified=len(certificate) >= self._terms.quorum.size,
            weights=tuple(weights[member] for member in counted) if weights and mean is not None else (),
            convicts={one.peer: recall.proof_for(one.proof) for one in self._culprits.named if one.proved}
            | recall.shown,
            kept=None if mean is None else self._stages.keep(counted),
            recalled=self._record.recalled,
        )

    def _effects(self) -> list[SecretEffect]:
        effects: list[SecretEffect] = []
        for to, message in self._out:
            members = range(len(self._terms.cell)) if to is None else (to,)
            effects += [Send(self._terms.cell[member], message) for member in members if member != self._me]
        self._out = []
        if self.outcome is not None and self._stage is not None and not self._closed:
            self._closed = True
            effects.append(Close(self.outcome))
        return effects

    def _wake_at(self, now: float) -> float:
        if self._opening is not None:
            return min(self._retry_at, self._opening.wake_at(now))
        agreement = self._agreements[Stage(self._stage or 0)]
        return min(self._retry_at, agreement.wake_at(now) if agreement.entered else self._gather_until)

    def _fetch(self, peer: int | None) -> None:
        """Ask for what we wait for (again)."""
        if self._stage is None or self.outcome is not None:
            return
        if self._opening is not None:
            self._out += [(peer if to is None else to, fetch) for to, fetch in self._opening.fetch_again()]
            return
        lacking = self._holder.partial()
        if self._agreements[self._stage].entered:
            self._out.append((peer, Fetch(self.number, self._stage, 0)))
        elif self._stage is Stage.NONCE_2:
            lacking = self._stages.lacking(self._away)
        for dealer in lacking if peer is None else lacking & {peer}:
            part = PROOF_BOX if self._holder.has_share(dealer) else SHARE_BOX | PROOF_BOX
            self._out.append((dealer, Fetch(self.number, Stage.PROVE, part, self._holder.next_block(dealer))))

    def _waited_for(self) -> set[int]:
        if self._opening is not None:
            return self._opening.missing(self._away) - {self._me}
        agreement = self._agreements[Stage(self._stage or 0)]
        if agreement.entered:
            return agreement.awaited(self._away) - {self._me}
        if self._stage is Stage.COMMIT:
            return set() if self._dealer is None else self._dealer.slow(self._away)
        return self._stages.lacking(self._away) - {self._me}
