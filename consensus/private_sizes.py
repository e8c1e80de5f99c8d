"""How large a message of a private round may be: what no honest member sends is refused before it is kept or read."""

from __future__ import annotations

from consensus.certificate import certificate_bytes
from consensus.private_boxes import HEAD_BYTES
from consensus.private_messages import (
    Bundle,
    Fetch,
    Item,
    Portion,
    PortionKind,
    PrivateMessage,
    Sealed,
    Stage,
    Vote,
)
from consensus.private_runs import CHECK_BYTES
from consensus.private_supply import ENTRY_HEAD_BYTES, proof_box_bytes
from consensus.private_terms import PrivateTerms
from consensus.recall import plea_bytes, words_bytes
from crypto.commitment import DIGEST_BYTES, NONCE_BYTES
from crypto.norm_proof import MaskShares, Scalars
from crypto.randomness import SEED_BYTES
from crypto.sealing import TAG_BYTES
from crypto.shamir import SHARE_BLOCK, Packing, blocks_of

_BUNDLE_HEAD, _BUNDLE_MEMBER = 256, 512
"""Beside the items: the value, and of each member author, size and signatures."""


def published(packing: Packing) -> int:
    """Boxes that dealers publish in one stage, and honest members pass on in one bundle, at most.

    A holder that accuses more than e + f dealers is not believed; about one dealer no more than b lie or say nothing,
    and f are slow; and a liar may publish what nobody asked for.
    """
    m, bound = packing.members, max(packing.tolerated, packing.liars)
    return max(m - 1, m * (bound + packing.absentees)) + bound * (m - 1)


class Sizes:
    """The largest bodies, in bytes, of one round."""

    def __init__(self, terms: PrivateTerms) -> None:
        packing, proof = terms.packing, terms.proof
        m, columns = packing.members, packing.columns(terms.size)
        self._members = m
        # The longest run of columns: there are no fewer owners.
        self._run = 4 * (columns if terms.direct else -(-columns // terms.least_holders))
        self._packed = packing.packed
        masks = 4 * sum(MaskShares.sizes(proof))
        self._block = HEAD_BYTES + masks + max(4 * min(columns, SHARE_BLOCK), SEED_BYTES) + TAG_BYTES
        share_box = HEAD_BYTES + masks + max(4 * columns, SEED_BYTES) + TAG_BYTES * len(blocks_of(columns))
        self._proof_box = proof_box_bytes(terms)
        entry = ENTRY_HEAD_BYTES + share_box + self._proof_box
        entries = (m - 1) * entry
        self._published = published(packing) * entry
        self._items: dict[int, int] = {
            Stage.COMMIT: 2 * DIGEST_BYTES * (m + 1) + m + plea_bytes(terms),
            Stage.RECALL: words_bytes(terms) if terms.keep_rounds else 0,
            Stage.NONCE_1: NONCE_BYTES,
            Stage.PROVE: DIGEST_BYTES * m,
            Stage.NONCE_2: NONCE_BYTES + m,
            Stage.SUPPLY: entries,
            Stage.SCALARS: m * (1 + 4 * sum(Scalars.sizes(proof))),
            Stage.DISPUTE: entries,
            Stage.DISTANCES: 4 * len(proof.blur.pairs) if proof.blur else 0,
            Stage.CHECK: m * CHECK_BYTES,
            Stage.CERTIFY: certificate_bytes(m),
        }

    def fits(self, message: PrivateMessage) -> bool:
        """Whether an honest member may have sent it."""
        match message:
            case Sealed():
                most = self._block if message.stage == Stage.COMMIT else self._proof_box
                return len(message.body) <= most
            case Item():
                return len(message.body) <= self.item(message.stage)
            case Bundle():
                return len(message.body) <= self._bundle(message.stage)
            case Portion():
                rows = 1 if message.kind == PortionKind.SHARE else self._packed
                return len(message.body) <= rows * self._run
            case Vote() | Fetch():
                return True

    def item(self, stage: int) -> int:
        """Of an item of a stage."""
        return self._items.get(stage, 0)

    def _bundle(self, stage: int) -> int:
        heads = _BUNDLE_HEAD + self._members * _BUNDLE_MEMBER
        if stage in (Stage.SUPPLY, Stage.DISPUTE):
            return heads + self._published
        return heads + self._members * self.item(stage)
