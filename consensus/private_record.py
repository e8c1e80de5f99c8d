"""What the members of a cell have agreed on so far in a private round: a function of the bundles decided, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from consensus.dispute import (
    Committed,
    Docket,
    Judgement,
    Settled,
    answers,
    complaints,
    contradicts,
    convict,
    examine,
    settle,
)
from consensus.notary import value_of
from consensus.private_holder import Status, unpack_scalars
from consensus.private_messages import Body, BodyError, Item, Stage
from consensus.private_runs import elements
from consensus.private_supply import Entry, unpack_entries
from consensus.private_terms import PrivateTerms
from consensus.recall import Recall, plea_bytes
from consensus.vault import Recalled
from crypto.commitment import DIGEST_BYTES, NONCE_BYTES, Leaf, coin, commit_nonce, digest, merkle_root
from crypto.distances import open_distances
from crypto.norm_proof import Checker, Scalars
from crypto.sketch import Sketch


class Record:
    """The same on all honest members that have decided as many stages. Members are places in the roster."""

    def __init__(self, terms: PrivateTerms, recall: Recall) -> None:
        """`recall` is ours; what it makes of what was agreed on is the same on all."""
        self._terms = terms
        self.recall = recall
        self._nonce_commitments: dict[int, tuple[bytes, bytes]] = {}
        self._published: dict[int, dict[int, Scalars]] = {}
        self._judgement = Judgement()
        self._scalars: Mapping[int, Item] = {}
        self._distances: Mapping[int, Item] = {}
        self.leaves: dict[int, tuple[Leaf, ...]] = {}
        self.digests: dict[int, tuple[bytes, ...]] = {}
        """Of the boxes of bits, by dealer and holder."""
        self.members: set[int] = set(range(terms.packing.members))
        """Who has said all that was asked so far."""
        self.dealers: set[int] = set(self.members)
        """Whose update may still count."""
        self.holders: set[int] = set()
        self.accepted: set[int] = set()
        self.weights: dict[int, int] = {}
        """Of the accepted, where a screen weighed them."""
        self.left_out: set[int] = set()
        """Whom more than half of the members shun."""
        self.recalled: Recalled | None = None
        """What a convict brought to earlier rounds, where this one is about a convict."""
        self.docket: Docket = {}
        self.sketch: Sketch | None = None
        self.checker: Checker | None = None

    # --- what follows from each bundle ----------------------------------------------------------------------------

    def commit(self, items: Mapping[int, Item]) -> None:
        """COMMIT: leaves, commitments to nonces, and whom each would leave out. Who commits to no leaves deals nothing;
        whom more than half of the members would leave out deals nothing either.
        """
        nothing, cell, leaves = no_leaves(self._terms), len(self._terms.cell), _leaves_bytes(self._terms)
        against: Counter[int] = Counter()
        for author, item in items.items():
            parts = _digests(item.body[:leaves])
            against.update(place for place, shunned in enumerate(item.body[leaves : leaves + cell]) if shunned)
            self.leaves[author] = tuple(Leaf(*parts[i : i + 2]) for i in range(0, len(parts) - 2, 2))
            self._nonce_commitments[author] = parts[-2], parts[-1]
        self.members = set(items)
        self.left_out = {member for member, voices in against.items() if 2 * voices > cell}
        self.dealers = {author for author, item in items.items() if item.body[: len(nothing)] != nothing}
        self.dealers -= self.left_out
        self.recall.hear(items)

    def draw_sketch(self, items: Mapping[int, Item]) -> Sketch:
        """NONCE_1: coin 1."""
        roots = {author: merkle_root(leaves) for author, leaves in self.leaves.items()}
        nonces = {author: bytes(item.body) for author, item in items.items()}
        seed = coin("coin 1", self._terms.context, self._terms.beacon, roots, nonces)
        self.recalled = self.recall.open(seed)
        self.sketch = Sketch(seed, self._terms.proof.rows, self._terms.packing.packed)
        self.members &= set(items)
        self.dealers &= self.members
        return self.sketch

    def fix_proofs(self, items: Mapping[int, Item]) -> None:
        """PROVE: digests of the boxes of bits."""
        self.digests = {author: _digests(item.body) for author, item in items.items()}
        self.dealers &= set(items)

    def draw_checks(self, items: Mapping[int, Item]) -> None:
        """NONCE_2: coin 2, and complaints."""
        if self.sketch is None:
            raise RuntimeError("coin 2 before coin 1")
        roots = {author: digest("grapevine bits root v1", *parts) for author, parts in self.digests.items()}
        nonces = {author: bytes(item.body[:NONCE_BYTES]) for author, item in items.items()}
        seed = coin("coin 2", self._terms.context, self._terms.beacon, roots, nonces)
        self.checker = Checker(self._terms.proof, self.sketch, seed)
        statuses = {author: bytes(item.body[NONCE_BYTES:]) for author, item in items.items()}
        self.docket, dismissed = complaints(self._terms, statuses, self.dealers)
        self.members &= set(items)
        self.holders = set(items) - dismissed

    def supply(self, items: Mapping[int, Item]) -> Settled:
        """SUPPLY: what dealers published for the docket."""
        settled = self._settle(items)
        self.dealers -= settled.out
        return settled

    def judge(self, items: Mapping[int, Item]) -> Settled:
        """SCALARS: who is accepted, and what is to be settled."""
        self.holders, self._scalars = set(items), items
        self._published = {author: unpack_scalars(self._terms, item.body) for author, item in items.items()}
        judgement = self._judgement = examine(self._terms, self._published, self.dealers)
        self.accepted, self.docket = judgement.accepted, judgement.docket
        self.dealers -= judgement.settled.out
        return judgement.settled

    def disputed(self, dealer: int, entry: Entry) -> bool:
        """Whether the holder of an entry that we could publish, as `dealer`, signed other scalars about us than the
        entry shows, or none: then it may be published.
        """
        if self.checker is None:
            raise RuntimeError("a dispute before coin 2")
        committed = Committed(self.leaves, self.digests)
        opened = answers(self._terms, {dealer}, {dealer: {entry.holder: entry}}, committed)
        return entry.holder in contradicts(opened, self.checker, self._published)

    def dispute(self, items: Mapping[int, Item]) -> Settled:
        """DISPUTE: who of dealers and holders is convicted."""
        if self.checker is None:
            raise RuntimeError("a dispute before coin 2")
        published: dict[int, Mapping[int, Entry]] = {a: unpack_entries(item.body) for a, item in items.items()}
        settled = answers(self._terms, self.docket.keys(), published, Committed(self.leaves, self.digests))
        self.accepted |= convict(self._terms, self._judgement, items, settled, self.checker, self._published)
        self.dealers -= settled.out
        return settled

    def weigh(self, items: Mapping[int, Item]) -> frozenset[int] | None:
        """DISTANCES: what each accepted update weighs. Gives the holders that lied; None where nobody can tell."""
        if self._terms.screen is None:
            raise RuntimeError("distances where there is no screen")
        said = {author: elements(item.body, self._pairs) for author, item in items.items()}
        words = {author: vector for author, vector in said.items() if vector is not None}
        opened = open_distances(self._terms.packing, words)
        if opened is None:
            return None
        self._distances = items
        chosen = sorted(self.accepted)
        self.weights = self._terms.screen.weights(chosen, opened.squared, self._terms.least_accepted)
        return opened.liars

    @property
    def _pairs(self) -> int:
        return len(self.accepted) * (len(self.accepted) - 1) // 2

    def opening_context(self, disputes: Mapping[int, Item]) -> bytes:
        """What statements of the opening are about: this decision, this accepted set, these holders and weights."""
        decision: tuple[bytes, ...] = value_of(Stage.SCALARS, self._scalars), value_of(Stage.DISPUTE, disputes)
        chosen: tuple[int, ...] = (*sorted(self.accepted), -1, *sorted(self.holders))
        if self._terms.screen is not None:
            decision += (value_of(Stage.DISTANCES, self._distances),)
            chosen += (-1, *(weight for _, weight in sorted(self.weights.items())))
        return digest("grapevine opening v1", self._terms.context, *decision, *chosen)

    def too_few(self, dealers: Collection[int]) -> str | None:
        """Why the round is void; all who get here find the same."""
        terms = self._terms
        if len(dealers) < terms.least_accepted:
            return self.too_few_updates(dealers)
        if len(self.holders) < terms.least_holders:
            return f"{len(self.holders)} holders are left, {terms.least_holders} are needed"
        return None

    def too_few_updates(self, dealers: Collection[int]) -> str:
        """Why a round on the updates of `dealers` is void, where they are too few."""
        return f"{len(dealers)} updates are left, h + t = {self._terms.least_accepted} are needed"

    def _settle(self, items: Mapping[int, Item]) -> Settled:
        published: dict[int, Mapping[int, Entry]] = {a: unpack_entries(item.body) for a, item in items.items()}
        return settle(self._terms, self.docket, published, Committed(self.leaves, self.digests))

    # --- what may be in a bundle ----------------------------------------------------------------------------------

    def check(self, author: int, item: Item) -> str | None:
        """What is wrong with the body of an item of the stage under way, as all members see it."""
        cell, size = len(self._terms.cell), len(item.body)
        match Stage(item.stage):
            case Stage.COMMIT:
                leaves = _leaves_bytes(self._terms)
                said = item.body[leaves : leaves + cell]
                whole = size == leaves + cell + plea_bytes(self._terms) and all(one in (0, 1) for one in said)
                return None if whole else f"{size} bytes of commitments"
            case Stage.RECALL:
                return self.recall.check(author, item, self.members)
            case Stage.PROVE:
                return None if author in self.dealers and size == 32 * cell else "digests that nobody asked for"
            case Stage.NONCE_1:
                return self._check_nonce(Stage.NONCE_1, author, item, NONCE_BYTES)
            case Stage.NONCE_2:
                if any(status not in tuple(Status) for status in item.body[NONCE_BYTES:]):
                    return "complaints that are none"
                return self._check_nonce(Stage.NONCE_2, author, item, NONCE_BYTES + cell)
            case Stage.DISTANCES:
                mine = author in self.holders and elements(item.body, self._pairs) is not None
                return None if mine else "shares of distances that nobody asked for, or of another form"
            case _:
                return self._check_matter(author, item)

    def _check_nonce(self, stage: Stage, author: int, item: Item, size: int) -> str | None:
        if author not in self.members or len(item.body) != size:
            return "a nonce that nobody asked for"
        promised = self._nonce_commitments[author][stage == Stage.NONCE_2]
        nonce = bytes(item.body[:NONCE_BYTES])
        return None if promise(self._terms, stage, author, nonce) == promised else "not the nonce committed to"

    def _check_matter(self, author: int, item: Item) -> str | None:
        if author not in (self.holders if item.stage == Stage.SCALARS else self.docket):
            return "nobody asked for it"
        try:
            if item.stage == Stage.SCALARS:
                unpack_scalars(self._terms, item.body)
            elif any(holder >= len(self._terms.cell) for holder in unpack_entries(item.body)):
                return "boxes of holders that there are not"
        except BodyError as error:
            return str(error)
        return None


def no_leaves(terms: PrivateTerms) -> bytes:
    """What a member that deals nothing commits to, in place of its leaves."""
    return bytes(2 * DIGEST_BYTES * terms.packing.members)


def _leaves_bytes(terms: PrivateTerms) -> int:
    """Leaves, and commitments to two nonces."""
    return 2 * DIGEST_BYTES * (len(terms.cell) + 1)


def promise(terms: PrivateTerms, stage: Stage, author: int, nonce: bytes) -> bytes:
    """The commitment to the nonce of a stage."""
    return commit_nonce(digest("grapevine nonce of v1", terms.context, int(stage)), author, nonce)


def _digests(said: Body) -> tuple[bytes, ...]:
    body = bytes(said)
    return tuple(body[start : start + DIGEST_BYTES] for start in range(0, len(body), DIGEST_BYTES))
