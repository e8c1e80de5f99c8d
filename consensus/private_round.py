"""One private round of one node, as a state machine without I/O: the sum of a cell's updates, and nothing else.

    COMMIT ─► NONCE_1 ─► PROVE ─► (boxes) ─► NONCE_2 ─► [SUPPLY] ─► SCALARS ─► [DISPUTE] ─► opening ─► CLOSED
       │         │          │         wait       │          │           │           │          │
       └─────────┴──────────┴────────────────────┴──────────┴───────────┴───────────┴──────────┴─► void, CLOSED

Each stage in capitals is one agreement (`consensus.agreement`) on one bundle of signed items, one a member: the leaves
of its boxes and commitments to two nonces; the first nonce (coin 1 draws the sketch); digests of the boxes of bits; the
second nonce (coin 2 draws the checks) and what it lacks; masked scalars. SUPPLY and DISPUTE take place where somebody
complains, or a scalar is off. All that follows is a function of the bundles decided: who is left out, who is convicted,
the accepted set. So honest members that come to the end of SCALARS or DISPUTE have **one accepted set**.

**No member opens two sums.** A member opens when the last stage is decided, once, and its statements are about that
decision. Decisions are unique (the argument is in `agreement`: two quorums of ⌊(m + b) / 2⌋ + 1 votes, b = max(t, e),
share an honest member, and honest members vote once a view), even if every message is late. A node that has lost its
state in a round must not take part in that round again: the caller writes the number down before it starts.

**What a wrong sum would take.** Sums and scalars are decoded with at least max(t + ℓ, 2t + 1) + e values, so that e
lies are noticed whoever is absent, and corrected while no more than f are. Where that is not to be had, the round is
void: nobody opens. Nothing that the network does can make it worse than that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from consensus.agreement import Agreement, Outgoing
from consensus.dispute import Committed, Docket, Settled, complaints, convict, examine, proof_of, settle
from consensus.effects import Close, Down, Effect, Event, Heard, Send, Up, WakeAt
from consensus.messages import Vector
from consensus.notary import Notary, Verify, value_of
from consensus.private_dealer import PrivateDealer, Randbytes
from consensus.private_holder import PrivateHolder, Status, pack_scalars, scalars_about, unpack_scalars
from consensus.private_messages import Body, BodyError, Bundle, Fetch, Item, Portion, Sealed, Stage, Vote
from consensus.private_opening import Opening
from consensus.private_outcome import Culprit, PrivateOutcome
from consensus.private_supply import Dealt, Entry, pack_entries, unpack_entries
from consensus.private_terms import PrivateTerms
from crypto import identity
from crypto.commitment import NONCE_BYTES, Leaf, coin, commit_nonce, digest, merkle_root
from crypto.field import Signed, total
from crypto.identity import PeerId
from crypto.norm_proof import Checker, ProofError, Scalars
from crypto.sealing import ChannelKey
from crypto.sketch import Sketch

_SHARE_BOX, _PROOF_BOX = 1, 2
_ANSWERS = 8
"""How often a member is sent the same thing again."""
_EARLY_PORTIONS = 4


class PrivateRound:
    """Averages `update` with the other members of `terms.cell`.

    `update` is float32 (d,), `noise` int32 (d,) in lattice units; `sign` is that of our identity. `absent` are not
    waited for. Raises PlanError if we are no member, FixedPointError for an update that is not finite.
    """

    def __init__(
        self,
        me: PeerId,
        terms: PrivateTerms,
        update: Vector,
        *,
        sign: Callable[[bytes], bytes],
        channel_key: ChannelKey,
        randbytes: Randbytes,
        verify: Verify = identity.verify,
        noise: Signed | None = None,
        absent: Collection[PeerId] = (),
    ) -> None:
        self.number = terms.number
        self.outcome: PrivateOutcome | None = None
        self._terms = terms
        self._index = {peer: place for place, peer in enumerate(terms.cell)}
        self._me = self._index[me]
        self._randbytes = randbytes
        self._notary = Notary(terms.cell, self._me, terms.number, terms.context, sign, verify)
        self._nonces = {stage: randbytes(NONCE_BYTES) for stage in (Stage.NONCE_1, Stage.NONCE_2)}
        self._dealer = PrivateDealer(terms, self._me, sign, randbytes, update=update, noise=noise)
        self._holder = PrivateHolder(terms, self._me, channel_key, self._verified)
        self._agreements = {
            stage: Agreement(self._notary, stage, terms.quorum, terms.first_leader(stage), self._name)
            for stage in Stage
            if stage <= Stage.DISPUTE
        }
        self._stage: Stage | None = None
        self._gather_until = math.inf
        self._retry_at = math.inf
        self._away = {self._index[peer] for peer in absent if peer in self._index}
        self._culprits: dict[int, Culprit] = {}
        self._answered: dict[tuple[int, int, int], int] = {}
        self._early: list[tuple[int, Item | Portion]] = []
        self._leaves: dict[int, tuple[Leaf, ...]] = {}
        self._nonce_commitments: dict[int, tuple[bytes, bytes]] = {}
        self._digests: dict[int, tuple[bytes, ...]] = {}
        self._members: set[int] = set()
        self._dealers: set[int] = set(range(terms.packing.members))
        self._holders: set[int] = set()
        self._docket: Docket = {}
        self._sketch: Sketch | None = None
        self._checker: Checker | None = None
        self._published: dict[int, dict[int, Scalars]] = {}
        self._accepted: set[int] = set()
        self._opening: Opening | None = None
        self._void: str | None = None
        self._out: list[Outgoing] = []
        self._closed = False

    # --- the outside ----------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""
        if self._stage is not None:
            raise RuntimeError(f"private round {self.number} was started before")
        self._out += [(holder, box) for holder, box in self._dealer.boxes.items()]
        leaves = b"".join(leaf.ciphertext_digest + leaf.key_commitment for leaf in self._dealer.leaves)
        promises = [self._commit_nonce(stage, self._me, nonce) for stage, nonce in self._nonces.items()]
        everyone = range(self._terms.packing.members)
        self._enter(Stage.COMMIT, now, leaves + b"".join(promises), everyone, self._terms.least_heard)
        return self._progress(now)

    def receive(self, event: Event, now: float) -> list[Effect]:
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
            case _:
                pass
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
        self._away.discard(peer)
        match message:
            case Sealed():
                wrong = self._holder.hear(peer, message)
                if wrong is not None:
                    self._name(peer, wrong)
            case Item() if message.stage in (Stage.CHECK, Stage.CERTIFY):
                self._hear_opening(peer, message)
            case Portion():
                self._hear_opening(peer, message)
            case Item() if message.stage in self._agreements:
                self._agreements[Stage(message.stage)].hear_item(peer, message)
            case Vote() if message.stage in self._agreements:
                self._agreements[Stage(message.stage)].hear_vote(peer, message)
            case Bundle() if message.stage in self._agreements:
                self._agreements[Stage(message.stage)].hear_bundle(peer, message)
            case _:
                pass

    def _hear_opening(self, peer: int, message: Item | Portion) -> None:
        if self._opening is None:
            if sum(author == peer for author, _ in self._early) < _EARLY_PORTIONS + self._terms.packing.members:
                self._early.append((peer, message))
        elif isinstance(message, Portion):
            self._opening.hear_portion(peer, message)
        else:
            self._opening.hear_item(peer, message)

    def _answer(self, peer: int, fetch: Fetch) -> None:
        key = peer, fetch.stage, fetch.part
        self._answered[key] = self._answered.get(key, 0) + 1
        if self._answered[key] > _ANSWERS or len(self._answered) > 64 * self._terms.packing.members:
            return
        if fetch.stage in (Stage.CHECK, Stage.CERTIFY):
            if self._opening is not None:
                self._out += self._opening.answer(peer, fetch.part, fetch.stage)
        elif fetch.stage in self._agreements and fetch.part == 0:
            self._out += self._agreements[Stage(fetch.stage)].answer(peer)
        else:
            for bit, boxes in ((_SHARE_BOX, self._dealer.boxes), (_PROOF_BOX, self._dealer.proof_boxes)):
                if fetch.part & bit and peer in boxes:
                    self._out.append((peer, boxes[peer]))

    # --- progress -------------------------------------------------------------------------------------------------

    def _progress(self, now: float) -> list[Effect]:
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
                self._close()
            return False
        if self._stage is Stage.NONCE_2 and not self._agreements[Stage.NONCE_2].entered:
            return self._gathered(now)
        agreement = self._agreements[Stage(self._stage or 0)]
        self._out += agreement.advance(now, self._away)
        if agreement.exhausted:
            self._give_up(f"no agreement in stage {agreement.stage.name}", certain=False)
            return False
        if agreement.decided is None:
            return False
        self._settle_stage(agreement.stage, agreement.decided, now)
        return True

    def _settle_stage(self, stage: Stage, items: Mapping[int, Item], now: float) -> None:
        follow = {
            Stage.COMMIT: self._committed,
            Stage.NONCE_1: self._first_coin,
            Stage.PROVE: self._proved,
            Stage.NONCE_2: self._second_coin,
            Stage.SUPPLY: self._supplied,
            Stage.SCALARS: self._judge,
            Stage.DISPUTE: self._disputed,
        }
        follow[stage](items, now)

    def _enter(self, stage: Stage, now: float, body: Body | None, expected: Collection[int], least: int) -> None:
        self._stage = stage
        self._retry_at = now + self._terms.deadline_s / 4
        self._agreements[stage].enter(
            now,
            None if body is None else self._notary.item(stage, body),
            deadline_s=self._terms.deadline_s,
            expected=expected,
            least=least,
            check=self._check,
        )

    # --- the stages, each from what was decided in the one before ---------------------------------------------------

    def _committed(self, items: Mapping[int, Item], now: float) -> None:
        for author, item in items.items():
            body = bytes(item.body)
            parts = [body[start : start + 32] for start in range(0, len(body), 32)]
            self._leaves[author] = tuple(Leaf(*parts[i : i + 2]) for i in range(0, len(parts) - 2, 2))
            self._nonce_commitments[author] = parts[-2], parts[-1]
        self._members = set(items)
        self._dealers &= self._members
        self._missed()
        self._holder.fix_leaves(self._leaves)
        mine = self._nonces[Stage.NONCE_1] if self._me in self._members else None
        self._enter(Stage.NONCE_1, now, mine, self._members, self._terms.least_heard)

    def _first_coin(self, items: Mapping[int, Item], now: float) -> None:
        roots = {author: merkle_root(leaves) for author, leaves in self._leaves.items()}
        nonces = {author: bytes(item.body) for author, item in items.items()}
        seed = coin("coin 1", self._terms.context, self._terms.beacon, roots, nonces)
        self._sketch = Sketch(seed, self._terms.proof.rows, self._terms.packing.packed)
        self._members &= set(items)
        self._dealers &= self._members
        self._missed()
        body = None
        if self._me in self._members:
            try:
                body = b"".join(self._dealer.prove(self._sketch))
            except ProofError:
                body = None  # with probability 2⁻³⁰, or too much noise: we sit out as a dealer
        if self._dealer.own_bits is not None:
            self._holder.keep_own(Dealt(self._dealer.own_share, self._dealer.own_masks, self._dealer.own_bits))
        self._out += [(holder, box) for holder, box in self._dealer.proof_boxes.items()]
        self._enter(Stage.PROVE, now, body, self._members, self._terms.least_accepted)

    def _proved(self, items: Mapping[int, Item], now: float) -> None:
        for author, item in items.items():
            body = bytes(item.body)
            self._digests[author] = tuple(body[start : start + 32] for start in range(0, len(body), 32))
        self._dealers &= set(items)
        self._holder.fix_digests(self._digests)
        self._stage = Stage.NONCE_2
        self._gather_until = now + self._terms.deadline_s

    def _gathered(self, now: float) -> bool:
        """Go on once all boxes are there, or at the deadline."""
        if now < self._gather_until and self._lacking():
            return False
        body = None
        if self._me in self._members:
            statuses = [self._holder.status(d) if d in self._dealers else 0 for d in range(len(self._terms.cell))]
            body = self._nonces[Stage.NONCE_2] + bytes(statuses)
        self._enter(Stage.NONCE_2, now, body, self._members, self._terms.least_heard)
        return True

    def _lacking(self) -> set[int]:
        return {d for d in self._dealers - self._away if self._holder.status(d) == Status.LACKS}

    def _second_coin(self, items: Mapping[int, Item], now: float) -> None:
        roots = {author: digest("grapevine bits root v1", *parts) for author, parts in self._digests.items()}
        nonces = {author: bytes(item.body[:NONCE_BYTES]) for author, item in items.items()}
        seed = coin("coin 2", self._terms.context, self._terms.beacon, roots, nonces)
        if self._sketch is None:
            raise RuntimeError("coin 2 before coin 1")
        self._checker = Checker(self._terms.proof, self._sketch, seed)
        statuses = {author: bytes(item.body[NONCE_BYTES:]) for author, item in items.items()}
        self._docket, dismissed = complaints(self._terms, statuses, self._dealers)
        self._holders = set(items) - dismissed
        self._members &= set(items)
        self._missed()
        if self._docket:
            self._enter(Stage.SUPPLY, now, self._entries(), self._docket.keys(), 0)
        else:
            self._scalars(now)

    def _entries(self) -> bytes | None:
        wanted = self._docket.get(self._me)
        if wanted is None:
            return None
        entries = [self._dealer.entry(holder, reveal=reveal) for holder, reveal in sorted(wanted.items())]
        return pack_entries([entry for entry in entries if entry is not None])

    def _supplied(self, items: Mapping[int, Item], now: float) -> None:
        self._take_settled(self._settle_docket(items), items)
        self._scalars(now)

    def _settle_docket(self, items: Mapping[int, Item]) -> Settled:
        published: dict[int, Mapping[int, Entry]] = {a: unpack_entries(item.body) for a, item in items.items()}
        committed = Committed(self._leaves, self._digests, self._verified)
        return settle(self._terms, self._docket, published, committed)

    def _take_settled(self, settled: Settled, *bundles: Mapping[int, Item]) -> None:
        self._dealers -= settled.out
        for member, (reason, proved) in settled.named.items():
            self._name(member, reason, proof_of(member, *bundles), proved=proved)
        for (dealer, holder), (entry, box) in settled.supplied.items():
            if holder == self._me and dealer in self._dealers:
                self._holder.supply(dealer, entry, box)

    def _scalars(self, now: float) -> None:
        if self._fewer_than_needed():
            return
        body = None
        if self._me in self._holders and self._checker is not None:
            body = pack_scalars(self._terms, scalars_about(self._checker, self._holder.dealt(self._dealers)))
        self._enter(Stage.SCALARS, now, body, self._holders, self._terms.least_holders)

    def _judge(self, items: Mapping[int, Item], now: float) -> None:
        self._holders = set(items)
        self._published = {author: unpack_scalars(self._terms, item.body) for author, item in items.items()}
        judgement = examine(self._terms, self._published, self._dealers)
        self._take_settled(judgement.settled, items)
        self._accepted = judgement.accepted
        self._docket = judgement.docket
        self._missed()
        if self._docket:
            self._enter(Stage.DISPUTE, now, self._entries(), self._docket.keys(), 0)
        else:
            self._open(now, value_of(Stage.SCALARS, items))

    def _disputed(self, items: Mapping[int, Item], now: float) -> None:
        settled = self._settle_docket(items)
        if self._checker is None:
            raise RuntimeError("a dispute before coin 2")
        self._accepted |= convict(self._terms, self._docket, settled, self._checker, self._published)
        scalars = self._agreements[Stage.SCALARS].decided or {}
        self._take_settled(settled, scalars, items)
        self._open(
            now, digest("grapevine accepted v1", value_of(Stage.SCALARS, scalars), value_of(Stage.DISPUTE, items))
        )

    def _open(self, now: float, decision: bytes) -> None:
        self._dealers = set(self._accepted)
        if self._fewer_than_needed():
            return
        context = digest(
            "grapevine opening v1", self._terms.context, decision, *sorted(self._accepted), -1, *sorted(self._holders)
        )
        notary = Notary(self._terms.cell, self._me, self.number, context, self._notary.sign, self._notary.verify)
        dealt = self._holder.dealt(self._accepted)
        mine = None
        if dealt.keys() == self._accepted:
            mine = total([part.share for part in dealt.values()])
        self._opening = Opening(self._terms, notary, self._holders, mine, self._randbytes, self._name, now)
        early, self._early = self._early, []
        for peer, message in early:
            self._hear_opening(peer, message)
        self._move(now)

    def _fewer_than_needed(self) -> bool:
        """Whether too few are left, so that the round is void; all who get here find the same."""
        terms = self._terms
        if len(self._dealers) < terms.least_accepted:
            self._give_up(
                f"{len(self._dealers)} updates are left, h + t = {terms.least_accepted} are needed", certain=True
            )
        elif len(self._holders) < terms.least_holders:
            self._give_up(f"{len(self._holders)} holders are left, {terms.least_holders} are needed", certain=True)
        return self.outcome is not None

    # --- the end --------------------------------------------------------------------------------------------------

    def _give_up(self, reason: str, *, certain: bool) -> None:
        self._void = reason
        self._finish(None, (), exposed=not certain and self._me in self._dealers)

    def _close(self) -> None:
        opening = self._opening
        if opening is None:
            raise RuntimeError("nothing was opened")
        mean = None
        if opening.total is None:
            self._void = "the sum could not be opened"
        else:
            mean = self._terms.fixed.decode(opening.total, len(self._accepted))
            mean.flags.writeable = False
        self._finish(mean, tuple(sorted(opening.certificate.items())), exposed=self._me in self._accepted)

    def _finish(self, mean: Vector | None, certificate: tuple[tuple[int, Item], ...], *, exposed: bool) -> None:
        cell = self._terms.cell
        self.outcome = PrivateOutcome(
            number=self.number,
            mean=mean,
            accepted=tuple(cell[member] for member in sorted(self._accepted)) if mean is not None else (),
            culprits=tuple(self._culprits[member] for member in sorted(self._culprits)),
            absent=tuple(cell[member] for member in sorted(self._away | self._waited_for())),
            void=self._void,
            exposed=exposed,
            certificate=tuple((cell[author], item.signature) for author, item in certificate),
            certified=len(certificate) >= self._terms.quorum.size,
        )

    # --- small things ---------------------------------------------------------------------------------------------

    def _effects(self) -> list[Effect]:
        effects: list[Effect] = []
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
        elif self._agreements[self._stage].entered:
            self._out.append((peer, Fetch(self.number, self._stage, 0)))
        else:
            for dealer in self._lacking() if peer is None else self._lacking() & {peer}:
                part = _PROOF_BOX if self._holder.has_share(dealer) else _SHARE_BOX | _PROOF_BOX
                self._out.append((dealer, Fetch(self.number, Stage.PROVE, part)))

    def _waited_for(self) -> set[int]:
        if self._opening is not None:
            return self._opening.missing(self._away) - {self._me}
        agreement = self._agreements[Stage(self._stage or 0)]
        return (agreement.awaited(self._away) if agreement.entered else self._lacking()) - {self._me}

    def _missed(self) -> None:
        """Who is missing from what was decided is not waited for, until it is heard again."""
        self._away |= set(range(len(self._terms.cell))) - self._members - {self._me}

    def _check(self, author: int, item: Item) -> str | None:
        """What is wrong with the body of an item, as all members see it."""
        cell, size = self._terms.cell, len(item.body)
        body = bytes(item.body[:NONCE_BYTES])
        match Stage(item.stage):
            case Stage.COMMIT:
                return None if size == 64 * len(cell) + 64 else f"{size} bytes of commitments"
            case Stage.NONCE_1:
                return self._check_nonce(Stage.NONCE_1, author, body, size, NONCE_BYTES)
            case Stage.PROVE:
                return None if author in self._members and size == 32 * len(cell) else "digests that nobody asked for"
            case Stage.NONCE_2:
                if any(status not in tuple(Status) for status in item.body[NONCE_BYTES:]):
                    return "complaints that are none"
                return self._check_nonce(Stage.NONCE_2, author, body, size, NONCE_BYTES + len(cell))
            case _:
                return self._check_matter(author, item)

    def _check_nonce(self, stage: Stage, author: int, nonce: bytes, size: int, expected: int) -> str | None:
        if author not in self._members or size != expected:
            return "a nonce that nobody asked for"
        promised = self._nonce_commitments[author][stage == Stage.NONCE_2]
        return None if self._commit_nonce(stage, author, nonce) == promised else "not the nonce committed to"

    def _check_matter(self, author: int, item: Item) -> str | None:
        wanted: Collection[int] = self._holders if item.stage == Stage.SCALARS else self._docket
        if author not in wanted:
            return "nobody asked for it"
        try:
            if item.stage == Stage.SCALARS:
                unpack_scalars(self._terms, item.body)
            else:
                unpack_entries(item.body)
        except BodyError as error:
            return str(error)
        return None

    def _commit_nonce(self, stage: Stage, author: int, nonce: bytes) -> bytes:
        return commit_nonce(digest("grapevine nonce of v1", self._terms.context, int(stage)), author, nonce)

    def _verified(self, author: int, statement: bytes, signature: bytes) -> bool:
        return self._notary.verify(self._terms.cell[author], statement, signature)

    def _name(self, member: int, reason: str, proof: tuple[Item, ...] = (), *, proved: bool | None = None) -> None:
        """Name a culprit; what is proved replaces what is not."""
        known = self._culprits.get(member)
        sure = bool(proof) if proved is None else proved
        if member != self._me and (known is None or (sure and not known.proved)):
            self._culprits[member] = Culprit(self._terms.cell[member], reason, sure, proof)
