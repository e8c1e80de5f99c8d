"""What a member says in each stage of a private round, and what it does about what was decided.

Nothing here hears or sends: `PrivateRound` agrees on the bundles and asks `Stages` what follows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from consensus.conviction import Certainty
from consensus.dispute import Settled, proof_of
from consensus.private_dealer import PrivateDealer, Randbytes
from consensus.private_holder import PrivateHolder, Status, pack_scalars, scalars_about
from consensus.private_messages import Body, Item, Sealed, Stage
from consensus.private_outcome import Culprits
from consensus.private_record import Record, no_leaves, promise
from consensus.private_supply import Dealt, pack_entries
from consensus.private_terms import PrivateTerms
from consensus.recall import Recall
from consensus.vault import Kept
from crypto.commitment import NONCE_BYTES
from crypto.distances import distance_shares
from crypto.field import Vector, total, weighted
from crypto.norm_proof import ProofError
from crypto.shamir import Share


@dataclass(frozen=True, slots=True, eq=False)
class Enter:
    """Go on to the agreement of a stage."""

    stage: Stage
    body: Body | None
    """What we say in it; None: nothing."""
    expected: Collection[int]
    """Whose items are awaited."""
    least: int
    """Items that the decision has at least."""
    boxes: Mapping[int, Sealed] = field(default_factory=dict)
    """To be sent first, by holder."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Wait for what dealers sent, and then `complain`."""


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """Open the sum over the accepted set."""

    context: bytes
    """What statements of the opening are about."""
    share: Vector | None
    """Of the sum (G,), ours; None if we lack a dealer's."""


@dataclass(frozen=True, slots=True)
class Void:
    """There is no sum, and all who get here find the same."""

    reason: str


Step: TypeAlias = Enter | Gather | Open | Void


class Stages:
    """The part of member `me` in one round. `record` is what was agreed on so far."""

    def __init__(
        self,
        terms: PrivateTerms,
        me: int,
        dealer: PrivateDealer | None,
        holder: PrivateHolder,
        culprits: Culprits,
        randbytes: Randbytes,
        *,
        key_is_new: bool,
        recall: Recall,
        shunned: Collection[int] = (),
    ) -> None:
        """`shunned` are members that we would leave out of the sum."""
        self.record = Record(terms, recall)
        self.kept: Mapping[int, Share] = {}
        """Our shares of the accepted updates of others, once the sum is to be opened, where they are to be kept."""
        self._terms = terms
        self._me = me
        self._dealer = dealer
        self._holder = holder
        self._culprits = culprits
        self._key_is_new = key_is_new
        self._shunned = frozenset(shunned) - {me}
        self._nonces = {stage: randbytes(NONCE_BYTES) for stage in (Stage.NONCE_1, Stage.NONCE_2)}
        self._scalars: Mapping[int, Item] = {}
        self._disputes: Mapping[int, Item] = {}
        self._follow: dict[Stage, Callable[[Mapping[int, Item]], Step]] = {
            Stage.COMMIT: self._committed,
            Stage.RECALL: self._recalled,
            Stage.NONCE_1: self._first_coin,
            Stage.PROVE: self._proved,
            Stage.NONCE_2: self._second_coin,
            Stage.SUPPLY: self._supplied,
            Stage.SCALARS: self._judge,
            Stage.DISPUTE: self._disputed,
            Stage.DISTANCES: self._weigh,
        }

    def follow(self, stage: Stage, items: Mapping[int, Item]) -> Step:
        """What to do about the bundle that `stage` decided on."""
        return self._follow[stage](items)

    # --- what we say when it is time to -----------------------------------------------------------------------------

    def commit(self) -> Enter:
        """Once all is dealt: leaves, commitments to nonces, and whom we would leave out."""
        leaves = no_leaves(self._terms)
        if self._dealer is not None:
            leaves = b"".join(leaf.ciphertext_digest + leaf.key_commitment for leaf in self._dealer.leaves)
        promises = [promise(self._terms, stage, self._me, nonce) for stage, nonce in self._nonces.items()]
        everyone = range(self._terms.packing.members)
        shunned = bytes(member in self._shunned for member in everyone)
        said = leaves + b"".join(promises) + shunned + self.record.recall.plea
        return Enter(Stage.COMMIT, said, everyone, self._terms.least_heard)

    def complain(self) -> Enter:
        """Once all boxes are there, or it is too late for them: our second nonce, and what we have of each dealer."""
        body = self._complaints() if self._me in self.record.members else None
        return Enter(Stage.NONCE_2, body, self.record.members, self._terms.least_heard)

    def lacking(self, away: Collection[int]) -> set[int]:
        """Dealers, not `away`, of whom a box is still to come."""
        return {d for d in self.record.dealers - set(away) if self._holder.status(d) == Status.LACKS}

    def _complaints(self) -> bytes | None:
        """A box that does not open is its dealer's fault, unless it may be sealed to a key that we had before: to have
        it published would cost an honest dealer a share. Who complains of all is not believed, and is no holder.
        """
        dealers, packing = self.record.dealers, self._terms.packing
        statuses = self._holder.statuses(dealers)
        if self._key_is_new and Status.UNUSABLE in statuses:
            if len(dealers - {self._me}) <= packing.liars + packing.absentees:
                return None
            statuses = bytes(Status.UNUSABLE if d in dealers else Status.FINE for d in range(packing.members))
        return self._nonces[Stage.NONCE_2] + statuses

    # --- what follows from what was decided -------------------------------------------------------------------------

    def _committed(self, items: Mapping[int, Item]) -> Step:
        record = self.record
        record.commit(items)
        if len(record.dealers) < self._terms.least_accepted:
            return Void(record.too_few_updates(record.dealers))
        self._holder.fix_leaves(record.leaves)
        convict = record.recall.about
        if convict is None:
            return self._first_nonce()
        mine = record.recall.body if self._me in record.members else None
        return Enter(Stage.RECALL, None if convict == self._me else mine, record.members - {convict}, 0)

    def _recalled(self, items: Mapping[int, Item]) -> Step:
        self.record.recall.take(items)
        return self._first_nonce()

    def _first_nonce(self) -> Step:
        record = self.record
        mine = self._nonces[Stage.NONCE_1] if self._me in record.members else None
        return Enter(Stage.NONCE_1, mine, record.members, self._terms.least_heard)

    def _first_coin(self, items: Mapping[int, Item]) -> Step:
        sketch = self.record.draw_sketch(items)
        for liar in self.record.recall.liars:
            self._culprits.name(liar, "signed wrong shares of a convict's updates")
        body: Body | None = None
        boxes: Mapping[int, Sealed] = {}
        if self._dealer is not None and self._me in self.record.dealers:
            with contextlib.suppress(ProofError):  # bad luck, or too much noise: we sit out as a dealer
                body = b"".join(self._dealer.prove(sketch))
            if self._dealer.own_bits is not None:
                self._holder.keep_own(Dealt(self._dealer.own_share, self._dealer.own_masks, self._dealer.own_bits))
            boxes = self._dealer.proof_boxes
        return Enter(Stage.PROVE, body, self.record.dealers, self._terms.least_accepted, boxes)

    def _proved(self, items: Mapping[int, Item]) -> Step:
        self.record.fix_proofs(items)
        self._holder.fix_digests(self.record.digests)
        return Gather()

    def _second_coin(self, items: Mapping[int, Item]) -> Step:
        self.record.draw_checks(items)
        if self.record.docket:
            return Enter(Stage.SUPPLY, self._entries(), self.record.docket.keys(), 0)
        return self._publish()

    def _supplied(self, items: Mapping[int, Item]) -> Step:
        self._take_settled(self.record.supply(items), items)
        return self._publish()

    def _publish(self) -> Step:
        """Our scalars about all dealers."""
        record = self.record
        if (reason := record.too_few(record.dealers)) is not None:
            return Void(reason)
        body = None
        if self._me in record.holders and record.checker is not None:
            body = pack_scalars(self._terms, scalars_about(record.checker, self._holder.dealt(record.dealers)))
        return Enter(Stage.SCALARS, body, record.holders, self._terms.least_holders)

    def _judge(self, items: Mapping[int, Item]) -> Step:
        self._scalars = items
        self._take_settled(self.record.judge(items), items)
        if not self.record.docket:
            return self._settled()
        return Enter(Stage.DISPUTE, self._answer(), self.record.docket.keys(), 0)

    def _disputed(self, items: Mapping[int, Item]) -> Step:
        self._disputes = items
        self._take_settled(self.record.dispute(items), self._scalars, items)
        return self._settled()

    def _settled(self) -> Step:
        """The accepted set is known: open the sum, or what weighs the updates in it."""
        record = self.record
        if (reason := record.too_few(record.accepted)) is not None:
            return Void(reason)
        if self._terms.screen is None:
            return self._open()
        dealt = self._holder.dealt(record.accepted)
        body = None
        if self._me in record.holders and dealt.keys() == record.accepted:
            shares = distance_shares(self._terms.proof, {dealer: part.bits for dealer, part in dealt.items()})
            body = shares.astype("<u4", copy=False).tobytes()
        return Enter(Stage.DISTANCES, body, record.holders, self._terms.least_holders)

    def _weigh(self, items: Mapping[int, Item]) -> Step:
        liars = self.record.weigh(items)
        if liars is None:
            return Void("the distances could not be opened: too many shares of them are off")
        for liar in liars:
            self._culprits.name(
                liar, "signed wrong shares of the distances", proof_of(liar, items), Certainty.SUSPECTED
            )
        return self._open()

    def _open(self) -> Step:
        record = self.record
        dealt = self._holder.dealt(record.accepted)
        mine = self._sum(dealt) if dealt.keys() == record.accepted else None
        if self._terms.keep_rounds:
            self.kept = {dealer: part.share for dealer, part in dealt.items() if dealer != self._me}
        self._holder.forget()
        self._dealer = None
        return Open(record.opening_context(self._disputes), mine)

    def keep(self, counted: Collection[int]) -> Kept | None:
        """Our shares of the updates that are `counted` in the sum; None where none are to be kept."""
        cell, weights, terms = self._terms.cell, self.record.weights, self._terms
        if not self.kept:
            return None
        whole = terms.whole_weight if weights else len(counted)
        shares = {cell[dealer]: self.kept[dealer] for dealer in counted if dealer in self.kept}
        return Kept(terms.number, shares, {cell[dealer]: weights.get(dealer, 1) for dealer in counted}, whole)

    def _sum(self, dealt: Mapping[int, Dealt]) -> Vector:
        weights = self.record.weights
        if not weights:
            return total([part.share for part in dealt.values()])
        chosen = {dealer: part for dealer, part in dealt.items() if weights[dealer]}
        return weighted([part.share for part in chosen.values()], [weights[dealer] for dealer in chosen])

    def _answer(self) -> bytes | None:
        """The boxes of holders that signed something else about us than we dealt them, whomever the docket names."""
        if self._dealer is None or self._me not in self.record.docket:
            return None
        entries = (self._dealer.entry(holder, reveal=True) for holder in sorted(self._scalars) if holder != self._me)
        return pack_entries([one for one in entries if one is not None and self.record.disputed(self._me, one)])

    # --- small steps --------------------------------------------------------------------------------------------------

    def _entries(self) -> bytes | None:
        return None if self._dealer is None else self._dealer.entries(self.record.docket)

    def _take_settled(self, settled: Settled, *bundles: Mapping[int, Item]) -> None:
        for member, (reason, certainty) in settled.named.items():
            self._culprits.name(member, reason, proof_of(member, *bundles), certainty)
        for (dealer, holder), (entry, box) in settled.supplied.items():
            if holder == self._me and dealer in self.record.dealers:
                self._holder.supply(dealer, entry, box)
