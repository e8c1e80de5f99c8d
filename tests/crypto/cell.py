"""A cell in one process: honest dealers and holders, with places where a test can cheat."""

from dataclasses import dataclass, field

import numpy as np

from crypto import shamir
from crypto.field import PRIME, from_signed
from crypto.norm_proof import Checker, ProofParameters, deal_bits, deal_masks, judge, share_bits
from crypto.randomness import Stream
from crypto.shamir import Dealer, Packing
from crypto.sketch import Sketch

COIN_1, COIN_2 = b"\x01" * 32, b"\x02" * 32
PARAMETERS = ProofParameters(Packing(8, 2, 3, 1, 1))


def short_vector(size, norm, seed=0):
    """A lattice vector of about that norm, int32."""
    values = np.random.default_rng(seed).standard_normal(size)
    return np.round(values * norm / np.linalg.norm(values)).astype(np.int32)


def modular_rows(sketch, stripes):
    """Sketch rows of field elements, mod p and with sign: what a dealer computes whose vector wraps."""
    matrix = sketch.matrix(stripes.shape[1]).astype(np.int64).reshape(sketch.rows, -1)
    rows = (matrix * stripes.reshape(-1).astype(np.int64)).sum(axis=1) % PRIME  # no overflow below 2³² coordinates
    return np.array([y - PRIME if y > PRIME // 2 else y for y in rows.tolist()], dtype=np.int64)


@dataclass
class Dealt:
    """All that one dealer sends, by holder."""

    stripes: np.ndarray
    shares: list
    masks: list
    sketch: Sketch
    bits: list = field(default_factory=list)


def deal(lattice, parameters=PARAMETERS, coin=COIN_1, secret=b"\x07" * 32):
    """Wave 1 of a dealer, for a vector of int32 or of field elements."""
    packing = parameters.packing
    values = lattice if lattice.dtype == np.uint32 else from_signed(lattice)
    stripes = shamir.stripes(values, packing.packed)
    dealer = Dealer(packing, packing.seeded(0, 0))
    seeds = [Stream(secret, f"seed {i}").take_bytes(32) for i in range(packing.tolerated)]
    rows = dict(zip(dealer.computed, dealer.deal(stripes, seeds), strict=True))
    rows |= {h: shamir.expand(seed, stripes.shape[1]) for h, seed in zip(dealer.seeded, seeds, strict=True)}
    masks = list(deal_masks(parameters, Stream(secret, "masks")))
    return Dealt(
        stripes, [rows[h] for h in range(packing.members)], masks, Sketch(coin, parameters.rows, packing.packed)
    )


def honest(lattice, parameters=PARAMETERS, coin=COIN_1, secret=b"\x07" * 32):
    """Both waves of an honest dealer."""
    dealt = deal(lattice, parameters, coin, secret)
    values = dealt.sketch.values(shamir.stripes(lattice, parameters.packing.packed))
    dealt.bits = list(deal_bits(parameters, values, Stream(secret, "bits")))
    return dealt


def clipped_bits(dealt, parameters=PARAMETERS, secret=b"\x07" * 32):
    """Bits of the rows after forcing them into the range, and the slack modulo its width: a dealer that hopes not to
    be looked at.
    """
    rows = np.clip(modular_rows(dealt.sketch, dealt.stripes), -parameters.bound, parameters.bound - 1)
    square = int(((rows >> parameters.shift) ** 2).sum())
    bits = (rows + parameters.bound)[:, None] >> np.arange(parameters.bits) & 1
    slack = (parameters.tau - square) >> np.arange(parameters.slack_bits) & 1
    dealt.bits = list(share_bits(parameters, bits.astype(np.uint32), slack.astype(np.uint32), Stream(secret, "bits")))


def spelled_with_a_nonbit(dealt, parameters=PARAMETERS, secret=b"\x07" * 32):
    """Rows spelled exactly, by a lowest 'bit' that is none."""
    rows = modular_rows(dealt.sketch, dealt.stripes)
    clipped = np.clip(rows, -parameters.bound, parameters.bound - 1)
    bits = ((clipped + parameters.bound)[:, None] >> np.arange(parameters.bits) & 1).astype(np.int64)
    bits[:, 0] += rows - clipped
    square = sum(int(y >> parameters.shift) ** 2 for y in clipped)
    slack = (parameters.tau - square) >> np.arange(parameters.slack_bits) & 1
    dealt.bits = list(
        share_bits(parameters, (bits % PRIME).astype(np.uint32), slack.astype(np.uint32), Stream(secret, "bits"))
    )


def publish(dealers, parameters=PARAMETERS, coin=COIN_2):
    """What every holder publishes: a list over dealers of mappings from holder to scalars."""
    checker = Checker(parameters, dealers[0].sketch, coin)
    by_holder = [
        checker.scalars([d.shares[h] for d in dealers], [d.masks[h] for d in dealers], [d.bits[h] for d in dealers])
        for h in range(parameters.packing.members)
    ]
    return [{h: scalars[j] for h, scalars in enumerate(by_holder)} for j in range(len(dealers))]


def verdict(dealt, parameters=PARAMETERS, coin=COIN_2):
    """What everyone finds about one dealer when all holders are honest."""
    return judge(parameters, publish([dealt], parameters, coin)[0])
