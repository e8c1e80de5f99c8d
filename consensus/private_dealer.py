"""A member as dealer: its update as sealed shares, then the proof that it is short, and what a dispute asks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from consensus.private_messages import Sealed, Stage
from consensus.private_supply import Entry, pack_share_box, proof_associated, proof_key
from consensus.private_terms import PrivateTerms
from crypto.commitment import Leaf, digest
from crypto.field import Signed, Vector, from_signed
from crypto.fixedpoint import Update
from crypto.norm_proof import BitShares, MaskShares, deal_bits, deal_masks
from crypto.randomness import SEED_BYTES, Stream
from crypto.sealing import KEY_BYTES, seal
from crypto.shamir import Dealer, stripes
from crypto.sketch import Sketch

Randbytes = Callable[[int], bytes]
_WORD = np.dtype("<u4")


class PrivateDealer:
    """Deals one update in one round."""

    def __init__(
        self,
        terms: PrivateTerms,
        me: int,
        sign: Callable[[bytes], bytes],
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
        lattice = terms.fixed.encode(update, Stream(randbytes(SEED_BYTES), "rounding"))
        if noise is not None:
            lattice += noise
        secrets = stripes(from_signed(lattice), packing.packed)  # type: ignore[arg-type] # int32 is a signed integer
        self.lattice: Signed = stripes(lattice, packing.packed)  # type: ignore[assignment,arg-type] # cut alike
        """Stripes (ℓ, G) of what is dealt, in lattice units."""
        shares = self._deal(secrets)
        masks = deal_masks(terms.proof, Stream(randbytes(SEED_BYTES), "masks"))
        self.own_share, self.own_masks = self._own_share, masks[me]
        self._keys = [randbytes(KEY_BYTES) for _ in range(packing.members)]
        self.boxes: dict[int, Sealed] = {}
        """Boxes of shares, by holder."""
        self.proof_boxes: dict[int, Sealed] = {}
        """Boxes of bits, by holder."""
        self.own_bits: BitShares | None = None
        self.leaves: tuple[Leaf, ...] = tuple(
            own_leaf(terms, me) if holder == me else self._seal(holder, masks[holder], shares, sign)
            for holder in range(packing.members)
        )
        """One a holder."""

    def _deal(self, secrets: Vector) -> dict[int, Vector]:
        """What goes into the boxes of shares, by holder: words of a share, or of the seed of one."""
        seeded = self._terms.seeded(self.me)
        seeds = [self._randbytes(SEED_BYTES) for _ in seeded]
        dealer = Dealer(self._terms.packing, seeded)
        rows: dict[int, Vector] = dict(zip(dealer.computed, dealer.deal(secrets, seeds), strict=True))
        self._own_share = rows.pop(self.me)
        rows |= {h: np.frombuffer(seed, _WORD).astype(np.uint32) for h, seed in zip(seeded, seeds, strict=True)}
        return rows

    def _seal(self, holder: int, masks: MaskShares, shares: dict[int, Vector], sign: Callable[[bytes], bytes]) -> Leaf:
        terms = self._terms
        plain = np.concatenate([masks.to_vector(), shares.pop(holder)]).astype(_WORD, copy=False)
        public = terms.channel_keys[terms.cell[holder]]
        context = terms.box(self.me, holder, "share")
        box = seal(plain.view(np.uint8).data, context, public, sign, self._keys[holder], terms.bulk)
        leaf = box.leaf
        self.boxes[holder] = Sealed(terms.number, Stage.COMMIT, pack_share_box(box))
        return leaf

    def prove(self, sketch: Sketch) -> tuple[bytes, ...]:
        """Seal the bits for coin 1; gives the digests of the boxes, one a holder. Raises ProofError for an update that
        has no proof, which an honest one has but for 2⁻³⁰.
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

    def entry(self, holder: int, *, reveal: bool) -> Entry | None:
        """What settles a complaint of `holder`: its boxes, and with `reveal` the key to them."""
        if holder not in self.boxes or holder not in self.proof_boxes:
            return None
        key = self._keys[holder] if reveal else None
        return Entry(holder, key, self.boxes[holder].body, self.proof_boxes[holder].body)


def own_leaf(terms: PrivateTerms, me: int) -> Leaf:
    """The leaf of the box that a dealer would send itself: there is none."""
    nothing = digest("grapevine no box v1", terms.context, me)
    return Leaf(nothing, nothing)
