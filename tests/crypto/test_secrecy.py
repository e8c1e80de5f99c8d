"""What t members see of an update through a whole round of checks, by exact linear algebra over the real field.

All that is dealt and published, but for C3/C4, is linear in the update, the bits and the dealer's randomness. A view is
the same law for two inputs exactly where their difference lies in the span of the randomness (both uniform). So the
view of a coalition is independent of all secrets but the one number that C2 opens, where the inputs add one to the rank
of the randomness: for that number, which is 0 for every honest dealer.
"""

import itertools
from functools import cache

import numpy as np
import pytest

from crypto import shamir
from crypto.field import PRIME, Matrix, lagrange
from crypto.norm_proof import REPEATS, Checker, ProofParameters, deal_masks, share_bits
from crypto.shamir import Packing
from crypto.sketch import Sketch
from tests.crypto.cell import COIN_1, COIN_2

COLUMNS = 2


class Chosen:
    """A stream whose elements are chosen."""

    def __init__(self, elements):
        self._elements = elements

    def elements(self, *shape):
        count = int(np.prod(shape))
        taken, self._elements = self._elements[:count], self._elements[count:]
        return taken.reshape(shape)


def rank(columns):
    """Of a list of vectors over the field of p."""
    rows, found = np.array(columns, dtype=np.int64), 0
    for place in range(rows.shape[1]):
        below = np.flatnonzero(rows[found:, place])
        if not below.size:
            continue
        pivot = found + below[0]
        rows[[found, pivot]] = rows[[pivot, found]]
        rows[found] = rows[found] * pow(int(rows[found, place]), -1, PRIME) % PRIME
        others = found + 1 + np.flatnonzero(rows[found + 1 :, place])
        rows[others] = (rows[others] - rows[others, place, None] * rows[found]) % PRIME
        found += 1
        if found == len(rows):
            break
    return found


class Played:
    """What every holder is dealt and publishes, for each unit vector of secrets and of randomness."""

    def __init__(self, packing):
        self.packing = packing
        self.parameters = parameters = ProofParameters(packing, clip=1, rows=32, bound_bits=3, shift=1)
        t, packed = packing.tolerated, packing.packed
        words = parameters.rows * parameters.bits + parameters.slack_bits
        masks = REPEATS * (packed + t) + packed * (packed + t) + t + 2 * t
        sizes = {
            "secrets": packed * COLUMNS,
            "bits": words,
            "shares": t * COLUMNS,
            "masks": masks,
            "bit shares": (words + REPEATS) * t + REPEATS,
        }
        width, edges = sum(sizes.values()), np.cumsum([0, *sizes.values()])
        self.secret, self.masks = int(edges[2]), slice(edges[3], edges[4])
        """How many of the unit vectors are those of secrets, and which are those of masks."""
        inputs = np.vstack([np.eye(width, dtype=np.uint32), np.zeros(width, np.uint32)])
        parts = [np.split(row, edges[1:-1]) for row in inputs]
        self.held = [self._deal(*part) for part in parts]
        checker = Checker(parameters, Sketch(COIN_1, parameters.rows, packed), COIN_2)
        published = [
            checker.scalars(*(list(kind) for kind in zip(*(dealt[h] for dealt in self.held), strict=True)))
            for h in range(packing.members)
        ]
        linear = [[s.to_vector()[:-1] for s in scalars] for scalars in published]  # the last is C3/C4
        self.published = np.concatenate(linear, axis=1).astype(np.int64)

    def _deal(self, secrets, bits, shares, masks, bit_shares):
        packing, parameters = self.packing, self.parameters
        seeded = packing.seeded(0, 1)
        sources = packing.secret_points + tuple(packing.points[h] for h in seeded)
        stripes = [*secrets.reshape(-1, COLUMNS), *shares.reshape(-1, COLUMNS)]
        rows = Matrix(lagrange(sources, packing.points)).apply(stripes)
        dealt_masks = deal_masks(parameters, Chosen(masks))
        spelled = np.split(bits, [parameters.rows * parameters.bits])
        dealt_bits = share_bits(parameters, spelled[0].reshape(parameters.rows, -1), spelled[1], Chosen(bit_shares))
        return list(zip(rows, dealt_masks, dealt_bits, strict=True))

    def view(self, coalition):
        """The views (inputs, …) of the coalition, one a unit vector."""
        own = [
            np.concatenate(
                [np.concatenate([share, masks.to_vector(), bits.to_vector()]) for share, masks, bits in held]
            )
            for held in ([dealt[h] for h in coalition] for dealt in self.held)
        ]
        both = np.concatenate([np.array(own, dtype=np.int64), self.published], axis=1)
        return (both[:-1] - both[-1]) % PRIME  # less what all inputs 0 give


@cache
def played_in(cell):
    return Played(Packing(*cell))


CELLS = {cell: Packing(*cell) for cell in ((4, 1, 2, 0, 1), (5, 2, 1, 0, 0), (6, 1, 2, 1, 1), (8, 2, 3, 1, 1))}


@pytest.mark.parametrize("cell", CELLS)
def test_what_any_t_members_see_is_independent_of_update_and_bits(cell):
    packing, played = CELLS[cell], played_in(cell)
    coalitions = list(itertools.combinations(range(packing.members), packing.tolerated))
    for coalition in coalitions[:: max(1, len(coalitions) // 3)]:
        view = played.view(coalition)
        assert rank(view) == rank(view[played.secret :]) + 1


def test_one_member_more_sees_something():
    played = played_in((6, 1, 2, 1, 1))
    view = played.view((2, 5))
    assert rank(view) > rank(view[played.secret :]) + 1


def test_without_the_masks_the_scalars_would_say_more():
    """The test can fail: leave the randomness of the masks out, and what is published depends on the update."""
    played = played_in((4, 1, 2, 0, 1))
    view = played.view((1,))
    unmasked = np.delete(view, np.r_[: played.secret, played.masks], axis=0)
    assert rank(np.concatenate([view[: played.secret], unmasked])) > rank(unmasked) + 1


@pytest.mark.parametrize("prime", [7, 11])
def test_in_a_small_field_c3_and_c4_say_nothing_more_to_who_holds_t_shares_of_the_mask(prime):
    """m = 5, t = 2, every mask: the word of degree 2t that is 0 at 0, beside the coalition's shares of the mask. Two
    statements that agree where the coalition stands give one and the same law.
    """
    t, points = 2, (1, 2, 3, 4, 5)
    draws = np.array(list(itertools.product(range(prime), repeat=2 * t)), dtype=np.uint32).T
    words = lambda values: Matrix(lagrange((0, 1, 2, 3, 4), points, prime), prime).apply(values)  # noqa: E731
    masks = words([np.zeros(draws.shape[1], np.uint32), *draws])
    for coalition in itertools.combinations(range(5), t):
        laws = []
        for scale in (0, 1, prime - 2):
            roots = (0, *(points[h] for h in coalition))
            apart = np.array([scale * np.prod([x - root for root in roots]) % prime for x in points], dtype=np.uint32)
            seen = np.concatenate([masks[list(coalition)], (masks + apart[:, None]) % prime])
            laws.append(np.sort(prime ** np.arange(len(seen)) @ seen.astype(np.int64)).tolist())
        assert laws[0] == laws[1] == laws[2]


def test_seeds_are_what_makes_this_computational():
    """What the algebra takes for uniform rows are streams of seeds: other seeds, other shares, the same secrets."""
    packing = CELLS[8, 2, 3, 1, 1]
    secrets = np.arange(6, dtype=np.uint32).reshape(3, 2)
    dealer = shamir.Dealer(packing, packing.seeded(0, 1))
    one, other = (dealer.deal(secrets, [bytes([i]) * 32, bytes([i + 1]) * 32]) for i in (1, 3))
    assert (one != other).all()
