import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crypto import field, shamir
from crypto.field import PRIME, Matrix, lagrange
from crypto.randomness import Stream
from crypto.shamir import SHARE_BLOCK, Dealer, Packing, PackingError, SeededShare
from tests.crypto import oracle

TABLE = [(4, 1, 2, 0, 1), (8, 2, 3, 1, 1), (8, 2, 2, 2, 0), (16, 5, 6, 2, 1), (8, 3, 4, 0, 1)]


def seeds(count):
    return [bytes([i + 1]) * 32 for i in range(count)]


def dealt(packing, secrets, seeded):
    """All m shares, computed and expanded."""
    dealer = Dealer(packing, seeded)
    rows = dict(zip(dealer.computed, dealer.deal(secrets, seeds(packing.tolerated)), strict=True))
    rows |= {h: shamir.expand(seed, secrets.shape[1]) for h, seed in zip(seeded, seeds(packing.tolerated), strict=True)}
    return [rows[h] for h in range(packing.members)]


@pytest.mark.parametrize("parameters", TABLE)
def test_the_parameters_of_the_protocol_fit(parameters):
    packing = Packing(*parameters)
    assert packing.degree == packing.tolerated + packing.packed - 1


@pytest.mark.parametrize(
    ("parameters", "theorem"),
    [
        ((8, 2, 3, 2, 0), r"m - f >= t \+ l \+ 2e.*m=8, f=0, t=2, l=3, e=2"),
        ((8, 2, 3, 1, 2), r"m - f >= t \+ l \+ 2e"),
        ((8, 4, 1, 0, 0), r"m - f >= 2t \+ 1 \+ e"),
        ((8, 0, 1, 0, 0), "t >= 1"),
        ((8, 1, 0, 0, 0), "l >= 1"),
        ((1, 1, 1, 0, 0), "2 <= m <= 256"),
        ((8, 1, 1, -1, 0), "e >= 0"),
    ],
)
def test_parameters_outside_a_bound_are_refused_with_the_bound(parameters, theorem):
    with pytest.raises(PackingError, match=theorem):
        Packing(*parameters)


def test_where_quadratic_liars_can_only_be_noticed_that_is_said():
    Packing(8, 2, 3, 1, 1).require_quadratic_correction()
    assert not Packing(8, 2, 2, 2, 0).corrects_quadratic
    with pytest.raises(PackingError, match=r"2t \+ 1 \+ 2e"):
        Packing(8, 2, 2, 2, 0).require_quadratic_correction()


@st.composite
def packings(draw):
    m, t, packed = draw(st.integers(3, 12)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    assume(m >= t + packed and m >= 2 * t + 1)
    return Packing(m, t, packed)


@settings(max_examples=30, deadline=None)
@given(packings(), st.integers(1, 40), st.integers(0, 100), st.integers(0, 2**32))
def test_shares_are_those_of_the_oracle(packing, columns, round_number, seed):
    secrets = np.random.default_rng(seed).integers(0, PRIME, (packing.packed, columns)).astype(np.uint32)
    seeded = packing.seeded(seed % packing.members, round_number)
    shares = dealt(packing, secrets, seeded)
    column = columns - 1
    points = [*packing.secret_points, *(h + 1 for h in seeded)]
    values = [int(s) for s in secrets[:, column]] + [int(shares[h][column]) for h in seeded]
    assert [int(share[column]) for share in shares] == [
        oracle.interpolate(points, values, h + 1) for h in range(packing.members)
    ]


@settings(max_examples=30, deadline=None)
@given(packings(), st.data())
def test_any_shares_enough_give_the_secrets_back(packing, data):
    secrets = Stream(bytes(32), "secrets").elements(packing.packed, 9)
    shares = dealt(packing, secrets, packing.seeded(0, data.draw(st.integers(0, 20))))
    holders = data.draw(st.permutations(range(packing.members)))[: packing.degree + 1]
    assert (shamir.reconstruct(packing, holders, [shares[h] for h in holders]) == secrets).all()


def test_sums_of_shares_are_shares_of_the_sum():
    packing = Packing(8, 2, 3, 1, 1)
    secrets = [Stream(bytes(32), str(i)).elements(3, 50) for i in range(8)]
    shares = [dealt(packing, s, packing.seeded(i, 4)) for i, s in enumerate(secrets)]
    sums = [field.total([shares[dealer][holder] for dealer in range(8)]) for holder in range(5)]
    expected = np.sum([s.astype(object) for s in secrets], axis=0) % PRIME
    assert (shamir.reconstruct(packing, range(5), sums).astype(object) == expected).all()


@pytest.mark.parametrize("columns", [1, SHARE_BLOCK - 1, SHARE_BLOCK, 2 * SHARE_BLOCK + 5])
def test_blocks_are_the_whole_in_pieces_in_any_order(columns):
    packing = Packing(5, 1, 2)
    secrets = Stream(bytes(32), "secrets").elements(2, columns)
    dealer = Dealer(packing, packing.seeded(2, 1))
    whole, pieces = dealer.deal(secrets, seeds(1)), np.zeros((4, columns), dtype=np.uint32)
    for number in reversed(shamir.blocks_of(columns)):
        where = slice(number * SHARE_BLOCK, (number + 1) * SHARE_BLOCK)
        dealer.deal_block(secrets[:, where], seeds(1), number, pieces[:, where])
    assert (whole == pieces).all()


def test_a_seeded_share_is_the_same_however_it_is_looked_at():
    size = 2 * SHARE_BLOCK + 77
    whole, share = shamir.expand(b"s" * 32, size), SeededShare(b"s" * 32, size)
    for start, stop in ((0, 5), (5, 9), (SHARE_BLOCK - 3, 2 * SHARE_BLOCK + 4), (40, 50), (2 * SHARE_BLOCK, size + 9)):
        assert (share[start:stop] == whole[start:stop]).all()
    assert (whole[:100] != whole[SHARE_BLOCK : SHARE_BLOCK + 100]).any()


def test_a_vector_longer_than_a_block_is_dealt_without_a_seam():
    packing = Packing(4, 1, 2, 0, 1)
    secrets = Stream(bytes(32), "secrets").elements(2, field.BLOCK + 3)
    shares = dealt(packing, secrets, (1,))
    assert (shamir.reconstruct(packing, (0, 1, 3), [shares[h] for h in (0, 1, 3)]) == secrets).all()


def test_stripes_are_contiguous_and_padded():
    values = np.arange(1, 8, dtype=np.uint32)
    assert shamir.stripes(values, 3).tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0]]
    assert np.shares_memory(shamir.stripes(values[:6], 3), values)
    assert Packing(8, 2, 3).columns(7) == 3


def test_seeds_rotate_over_all_others_and_never_to_the_dealer():
    packing = Packing(8, 2, 3, 1, 1)
    for dealer in range(8):
        chosen = Counter(h for number in range(70) for h in packing.seeded(dealer, number))
        assert set(chosen) == set(range(8)) - {dealer}
        assert set(chosen.values()) == {20}


def test_seeds_must_be_fresh_and_as_many_as_tolerated():
    packing = Packing(5, 2, 1)
    with pytest.raises(PackingError, match="take seeds"):
        Dealer(packing, (1,))
    with pytest.raises(PackingError, match="different seeds"):
        Dealer(packing, (0, 1)).deal(np.zeros((1, 3), np.uint32), [bytes(32), bytes(32)])
    with pytest.raises(PackingError, match="1 stripes"):
        Dealer(packing, (0, 1)).deal(np.zeros((2, 3), np.uint32), seeds(2))


@pytest.mark.parametrize("degree", [2, 4])
def test_secrets_at_zero_have_the_degree_they_should(degree):
    packing = Packing(8, 2, 3, 1, 1)
    secrets = Stream(bytes(32), "secrets").elements(20)
    shares = shamir.share_at_zero(packing, secrets, degree, Stream(bytes(32), "r"))
    for holders in ((0, 1, 2, 3, 4), (7, 5, 3, 1, 0)):
        chosen = holders[: degree + 1]
        assert [
            oracle.interpolate([h + 1 for h in chosen], shares[list(chosen), c].tolist(), 0) for c in range(20)
        ] == secrets.tolist()
    lower = oracle.interpolate(range(1, degree + 1), shares[:degree, 0].tolist(), degree + 1)
    assert lower != shares[degree, 0]  # no polynomial of a lower degree


def test_packed_masks_open_to_what_was_shared():
    packing = Packing(8, 2, 3, 1, 1)
    secrets = Stream(bytes(32), "secrets").elements(3, 4)
    shares = shamir.share_packed(packing, secrets, Stream(bytes(32), "r"))
    assert oracle.reconstruct_column({h: int(shares[h, 1]) for h in (0, 2, 3, 6, 7)}, 3) == secrets[:, 1].tolist()


@pytest.mark.parametrize(("m", "t", "packed", "prime"), [(4, 1, 2, 11), (5, 2, 1, 7), (5, 2, 2, 11)])
@pytest.mark.parametrize("rotation", [0, 1, 2])
def test_what_any_tolerated_holders_see_is_independent_of_the_secrets(m, t, packed, prime, rotation):
    """Every choice of randomness is played through the kernel over a small field: each view of t holders occurs
    equally often.
    """
    packing = Packing(m, t, packed)
    seeded = packing.seeded(rotation, rotation)
    sources = packing.secret_points + tuple(h + 1 for h in seeded)
    kernel = Matrix(lagrange(sources, packing.points, prime), prime)
    random = np.array(list(itertools.product(range(prime), repeat=t)), dtype=np.uint32).T
    for secrets in itertools.product((0, 1, prime - 1, prime // 2), repeat=packed):
        fixed = [np.full(random.shape[1], s, dtype=np.uint32) for s in secrets]
        shares = kernel.apply([*fixed, *random])
        for coalition in itertools.combinations(range(m), t):
            views = Counter(zip(*(shares[h].tolist() for h in coalition), strict=True))
            assert len(views) == prime**t
            assert set(views.values()) == {1}


def test_one_holder_too_many_sees_something():
    """The exhaustive test above can fail: t + 1 holders of a packed polynomial narrow the secrets down."""
    packing, prime = Packing(4, 1, 2), 11
    kernel = Matrix(lagrange((0, -1, 1), packing.points, prime), prime)
    random = np.arange(prime, dtype=np.uint32)
    views = [
        frozenset(
            zip(
                *kernel.apply([np.full(prime, a, np.uint32), np.full(prime, b, np.uint32), random])[:2].tolist(),
                strict=True,
            )
        )
        for a, b in ((0, 0), (1, 2))
    ]
    assert views[0] != views[1]
