"""A member as dealer: its update as sealed shares, then the proof that it is short, and what a dispute asks of it.

Shares are dealt block by block, and nothing of a block is kept but its digests: what has to be sent again is dealt
again, from the same seeds. Beside the update in lattice units and its own share a dealer holds one block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from consensus.private_boxes import WINDOW, Box, BoxPlan
from consensus.private_messages import Body, Fetch, Sealed, Stage
from consensus.private_supply import Entry, pack_entries, proof_associated, proof_key
from consensus.private_terms import PrivateTerms
from crypto.commitment import Leaf, digest
from crypto.field import Signed, Vector, from_signed
from crypto.fixedpoint import Update
from crypto.norm_proof import BitShares, deal_bits, deal_masks
from crypto.randomness import SEED_BYTES, Stream
from crypto.sealing import KEY_BYTES, commit_key, leaf_of, wrap
from crypto.shamir import SHARE_BLOCK, Dealer, blocks_of
from crypto.sketch import Sketch

Randbytes = Callable[[int], bytes]
SHARE_BOX, PROOF_BOX = 1, 2
_WORD = np.dtype("<u4")


class PrivateDealer:
    """Deals one update in one round."""

    def __init__(
        self,
        terms: PrivateTerms,
        me: int,
        randbytes: Randbytes,
        *,
        update: Update,
        noise: Signed | None = None,
    ) -> None:
        """`update` is float32 (d,); `noise`, int32 (d,) in lattice units, is added after encoding.

        Raises FixedPointError for an update that is not finite.
        """
        self.me = me
        self._terms = terms
        self._randbytes = randbytes
        packing = terms.packing
        columns = packing.columns(terms.size)
        lattice: Signed = np.zeros(packing.packed * columns, dtype=np.int32)
        terms.fixed.encode(update, Stream(randbytes(SEED_BYTES), "rounding"), out=lattice[: terms.size])
        if noise is not None:
            lattice[: terms.size] += noise
        self.lattice: Signed = lattice.reshape(packing.packed, columns)
        """Stripes (ℓ, G) of what is dealt, in lattice units."""
        self._dealer = Dealer(packing, terms.seeded(me))
        self._seeds = [randbytes(SEED_BYTES) for _ in self._dealer.seeded]
        self._masks = deal_masks(terms.proof, Stream(randbytes(SEED_BYTES), "masks"))
        self.own_share: Vector = np.empty(columns, dtype=np.uint32)
        self.own_masks = self._masks[me]
        self.own_bits: BitShares | None = None
        self._keys = [randbytes(KEY_BYTES) for _ in range(packing.members)]
        self._plans = {holder: BoxPlan(terms, me, holder) for holder in range(packing.members) if holder != me}
        self._heads = {holder: self._head(holder) for holder in self._plans}
        self._blocks = blocks_of(columns)
        self._digests: dict[int, list[bytes]] = {holder: [] for holder in self._plans}
        self._told = dict.fromkeys(self._plans, 0)
        """The first block that a holder has not told us to have come."""
        self._sent = dict.fromkeys(self._plans, 0)
        self._dealt = 0
        self.proof_boxes: dict[int, Sealed] = {}
        """Boxes of bits, by holder."""

    def _head(self, holder: int) -> tuple[bytes, bytes]:
        terms, key, context = self._terms, self._keys[holder], self._plans[holder].context
        return wrap(key, context, terms.channel_keys[terms.cell[holder]]), commit_key(key, context)

    # --- dealing --------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether all blocks are dealt."""
        return self._dealt == len(self._blocks)

    def slow(self, away: Collection[int]) -> set[int]:
        """Holders that have yet to tell us that a block came before the next one is dealt."""
        return {
            holder
            for holder, told in self._told.items()
            if holder not in away and self._dealt >= told + WINDOW and self._dealt < self._plans[holder].count
        }

    def deal(self) -> list[tuple[int, Sealed]]:
        """Deal and seal the next block; gives it for the holders that keep up."""
        block, out = self._dealt, []
        rows = self._rows(block)
        self.own_share[block * SHARE_BLOCK : (block + 1) * SHARE_BLOCK] = rows[self.me]
        self._dealt += 1
        for holder, plan in self._plans.items():
            if block >= plan.count:
                continue
            sealed = self._seal(holder, block, rows[holder])
            self._digests[holder].append(hashlib.sha256(sealed).digest())
            if self._sent[holder] == block < self._told[holder] + WINDOW:
                out.append((holder, self._travelling(holder, block, sealed)))
                self._sent[holder] += 1
        return out

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """One a holder, once all is dealt."""
        return tuple(
            own_leaf(self._terms, self.me)
            if holder == self.me
            else leaf_of(*self._heads[holder], self._digests[holder])
            for holder in range(self._terms.packing.members)
        )

    def _secrets(self, block: int) -> Vector:
        """Of the columns of a block, (ℓ, w)."""
        part = self.lattice[:, block * SHARE_BLOCK : (block + 1) * SHARE_BLOCK]
        return from_signed(part)  # type: ignore[arg-type] # int32 is a signed integer

    def _rows(self, block: int) -> dict[int, Vector]:
        """What goes into a block, by holder: columns of a share, or in block 0 the seed of one."""
        secrets = self._secrets(block)
        rows = np.empty((len(self._dealer.computed), secrets.shape[1]), dtype=np.uint32)
        self._dealer.deal_block(secrets, self._seeds, block, rows)
        seeds = (np.frombuffer(seed, _WORD).astype(np.uint32) for seed in self._seeds)
        return {
            **dict(zip(self._dealer.computed, rows, strict=True)),
            **dict(zip(self._dealer.seeded, seeds, strict=True)),
        }

    def _seal(self, holder: int, block: int, row: Vector) -> bytes:
        words = np.concatenate([self._masks[holder].to_vector(), row]) if block == 0 else row
        plain = words.astype(_WORD, copy=False).view(np.uint8).data
        return self._plans[holder].cipher(self._keys[holder]).seal(block, plain)

    def _travelling(self, holder: int, block: int, sealed: bytes) -> Sealed:
        body: Body = sealed if block else b"".join([*self._heads[holder], sealed])
        return Sealed(self._terms.number, Stage.COMMIT, body, block)

    def _again(self, holder: int, block: int) -> Sealed:
        return self._travelling(holder, block, self._seal(holder, block, self._rows(block)[holder]))

    # --- holders that ask -----------------------------------------------------------------------------------------

    def goes_on(self, holder: int, fetch: Fetch) -> bool:
        """Whether a holder says that it has more than it told us before, and has lost nothing: then it asks for the box
        of the share alone.
        """
        return fetch.part == SHARE_BOX and self._told[holder] < fetch.block < self._plans[holder].count

    def answer(self, holder: int, fetch: Fetch) -> list[tuple[int, Sealed]]:
        """Boxes for a holder, SHARE_BOX, PROOF_BOX or both: of that of the share a window from the block it lacks."""
        out: list[tuple[int, Sealed]] = []
        if fetch.part & ~(SHARE_BOX | PROOF_BOX):
            return out
        if fetch.part & SHARE_BOX:
            count, first = self._plans[holder].count, fetch.block
            stop = min(first + WINDOW, count, self._dealt)
            if self.goes_on(holder, fetch):  # the rest of what was sent is under way, or it will ask again
                first = max(first, self._sent[holder])
            self._told[holder] = max(self._told[holder], min(fetch.block, count))
            out += [(holder, self._again(holder, block)) for block in range(first, stop)]
            self._sent[holder] = max(self._sent[holder], stop)
        if fetch.part & PROOF_BOX and holder in self.proof_boxes:
            out.append((holder, self.proof_boxes[holder]))
        return out

    # --- the proof ------------------------------------------------------------------------------------------------

    def prove(self, sketch: Sketch) -> tuple[bytes, ...]:
        """Seal the bits for coin 1; gives the digests of the boxes, one a holder. Raises ProofError for an update that
        has no proof; of honest ones that is one in 3 · 10⁴ at worst (`deal_bits`).
        """
        terms = self._terms
        bits = deal_bits(terms.proof, sketch.values(self.lattice), Stream(self._randbytes(SEED_BYTES), "bits"))
        return self.seal_bits(bits)

    def seal_bits(self, bits: Sequence[BitShares]) -> tuple[bytes, ...]:
        """Boxes of these bits."""
        terms, digests = self._terms, []
        self.own_bits = bits[self.me]
        for holder, part in enumerate(bits):
            if holder == self.me:
                digests.append(bytes(32))
                continue
            associated = proof_associated(terms, self.me, holder)
            cipher = terms.bulk.cipher(proof_key(self._keys[holder], associated))
            sealed = cipher.encrypt(bytes(12), part.to_vector().astype(_WORD, copy=False).tobytes(), associated)
            self.proof_boxes[holder] = Sealed(terms.number, Stage.PROVE, sealed)
            digests.append(hashlib.sha256(sealed).digest())
        return tuple(digests)

    # --- disputes -------------------------------------------------------------------------------------------------

    def entries(self, docket: Mapping[int, Mapping[int, bool]]) -> bytes | None:
        """What settles the complaints about us, as the body of an item; None where there are none."""
        if self.me not in docket:
            return None
        entries = [self.entry(holder, reveal=reveal) for holder, reveal in sorted(docket[self.me].items())]
        return pack_entries([entry for entry in entries if entry is not None])

    def entry(self, holder: int, *, reveal: bool) -> Entry | None:
        """What settles a complaint of `holder`: its boxes, and with `reveal` the key to them."""
        if holder not in self._plans or holder not in self.proof_boxes:
            return None
        sealed = [self._seal(holder, b, self._rows(b)[holder]) for b in range(self._plans[holder].count)]
        key = self._keys[holder] if reveal else None
        return Entry(holder, key, Box(*self._heads[holder], sealed).pack(), self.proof_boxes[holder].body)


def own_leaf(terms: PrivateTerms, me: int) -> Leaf:
    """The leaf of the box that a dealer would send itself: there is none."""
    nothing = digest("grapevine no box v1", terms.context, me)
    return Leaf(nothing, nothing)
