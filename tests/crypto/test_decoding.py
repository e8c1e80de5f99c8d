import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.decoding import decode, locate, open_shares
from crypto.field import PRIME
from crypto.randomness import Stream
from crypto.shamir import Packing, share_packed
from tests.crypto import oracle


def codeword(degree, members, seed):
    coefficients = Stream(bytes([seed % 256]) * 32, str(seed)).elements(degree + 1).tolist()
    value = lambda x: sum(c * pow(x, k, PRIME) for k, c in enumerate(coefficients)) % PRIME  # noqa: E731
    return value, {h: value(h + 1) for h in range(members)}


@pytest.mark.parametrize(
    ("members", "degree", "liars", "absentees"), [(8, 4, 1, 1), (8, 3, 2, 0), (8, 2, 2, 1), (7, 4, 1, 0), (6, 1, 2, 0)]
)
def test_every_combination_of_liars_and_absentees_up_to_the_bound_is_right(members, degree, liars, absentees):
    value, word = codeword(degree, members, members)
    for gone in itertools.combinations(range(members), absentees):
        present = [h for h in range(members) if h not in gone]
        for count in range(liars + 1):
            for bad in itertools.combinations(present, count):
                seen = {h: (word[h] + (h + 1 if h in bad else 0)) % PRIME for h in present}
                decoded = decode(seen, degree, liars, at=(0, -1, -2))
                assert decoded is not None
                assert decoded.values == (value(0), value(-1), value(-2))
                assert decoded.liars == set(bad)


def test_one_liar_beyond_is_noticed_where_the_distance_allows():
    """n = degree + 1 + c + liars: with n = 7, degree 2 and two liars noticed, both are corrected; of eight, a third is
    still noticed.
    """
    for members, degree, liars in ((7, 4, 2), (6, 3, 1), (8, 4, 2)):
        _, word = codeword(degree, members, 3)
        correct = min(liars, members - degree - 1 - liars)
        for count in range(correct + 1, liars + 1):
            for bad in itertools.combinations(range(members), count):
                seen = {h: (v + (7 * h + 1 if h in bad else 0)) % PRIME for h, v in word.items()}
                assert decode(seen, degree, liars) is None


def test_a_crafted_second_codeword_does_not_pass_for_the_first():
    """Three colluders of eight move towards another codeword: with distance 8 - 4 they cannot reach it unnoticed."""
    value, word = codeword(4, 8, 1)
    other, _ = codeword(4, 8, 2)
    for bad in itertools.combinations(range(8), 2):
        seen = {h: (other(h + 1) if h in bad else v) for h, v in word.items()}
        assert decode(seen, 4, 1) is None or decode(seen, 4, 1).values == (value(0),)


@pytest.mark.parametrize("count", range(5))
def test_too_few_values_decide_nothing(count):
    _, word = codeword(4, 8, 1)
    assert decode({h: word[h] for h in range(count)}, 4, 0) is None
    assert decode({h: word[h] for h in range(count + 1)}, 4, 1) is None


def test_with_no_liars_expected_the_shares_of_a_polynomial_suffice():
    value, word = codeword(4, 8, 1)
    assert decode({h: word[h] for h in (0, 2, 3, 5, 7)}, 4, 0).values == (value(0),)


@settings(max_examples=80, deadline=None)
@given(st.integers(4, 9), st.integers(0, 4), st.integers(0, 3), st.data())
def test_decoding_agrees_with_the_search_of_all_subsets(members, degree, errors, data):
    _, word = codeword(degree, members, 5)
    for holder in data.draw(st.sets(st.integers(0, members - 1), max_size=errors + 1)):
        word[holder] = data.draw(st.integers(0, PRIME - 1))
    if members < degree + 1 + 2 * errors:
        return
    expected = oracle.nearest_codeword(word, degree, errors)
    decoded = decode(word, degree, errors, at=(0,))
    assert (decoded is None) == (expected is None)
    if expected:
        assert decoded.values == (expected[0][0],)
        assert decoded.liars == expected[1]


def shares_of(packing, columns):
    secrets = Stream(bytes(32), "secrets").elements(packing.packed, columns)
    shares = share_packed(packing, secrets, Stream(bytes(32), "random"))
    return secrets, {h: shares[h] for h in range(packing.members)}


def test_a_sum_opens_past_every_liar_and_absentee():
    packing = Packing(8, 2, 3, 1, 1)
    secrets, shares = shares_of(packing, 30)
    for liar, gone in itertools.permutations(range(8), 2):
        seen = {h: v.copy() for h, v in shares.items() if h != gone}
        seen[liar][liar] = (seen[liar][liar] + 1) % PRIME  # one wrong element is enough
        opened = open_shares(packing, seen, Stream(bytes(32), f"{liar} {gone}"))
        assert (opened.secrets == secrets).all()
        assert opened.liars == {liar}


def test_an_honest_sum_opens_and_accuses_nobody():
    packing = Packing(8, 2, 2, 2, 0)
    secrets, shares = shares_of(packing, 5)
    opened = open_shares(packing, shares, Stream(bytes(32), "coin"))
    assert (opened.secrets == secrets).all()
    assert opened.liars == frozenset()


def test_liars_in_different_columns_are_found_together():
    packing = Packing(8, 2, 2, 2, 0)
    secrets, shares = shares_of(packing, 5)
    shares[1][0] ^= 1
    shares[6][4] ^= 1
    opened = open_shares(packing, shares, Stream(bytes(32), "coin"))
    assert opened.liars == {1, 6}
    assert (opened.secrets == secrets).all()


def test_more_absentees_than_tolerated_void_the_opening():
    packing = Packing(8, 2, 3, 1, 1)
    _, shares = shares_of(packing, 5)
    assert open_shares(packing, {}, Stream(bytes(32), "coin")) is None
    assert open_shares(packing, {h: shares[h] for h in range(5)}, Stream(bytes(32), "coin")) is None


def test_two_liars_where_one_is_tolerated_never_give_a_wrong_sum():
    packing = Packing(8, 2, 3, 1, 0)  # distance 4: two errors are noticed
    _, shares = shares_of(packing, 6)
    for bad in itertools.combinations(range(8), 2):
        seen = {h: v.copy() for h, v in shares.items()}
        for h in bad:
            seen[h] = np.roll(seen[h], 1)
        assert locate(packing, seen, Stream(bytes(32), "coin")) is None


def cells():
    """Every packing of five to eight members that the bounds allow, with liars."""
    for m, t, packed, e, f in itertools.product(range(5, 9), range(1, 4), range(1, 5), range(1, 3), range(3)):
        if m - f >= max(t + packed + 2 * e, 2 * t + 1 + e):
            yield Packing(m, t, packed, e, f)


def conspiracy(word, degree, liars, seed):
    """The best that liars can do: another codeword, through themselves and as many honest members as it can go."""
    honest = [h for h in word if h not in liars]
    roots = honest[:degree]
    factor = int(Stream(bytes(32), str(seed)).elements(1)[0]) or 1
    moved = dict(word)
    for liar in liars:
        value = factor
        for root in roots:
            value = value * (liar - root) % PRIME
        moved[liar] = (word[liar] + value) % PRIME
    return moved


@pytest.mark.parametrize("packing", cells(), ids=str)
def test_conspiring_liars_are_corrected_noticed_and_beyond_that_believed(packing):
    """All numbers of absentees and liars, up to the bounds and beyond: the claim, and that it is sharp."""
    degree, e = packing.degree, packing.liars
    value, whole = codeword(degree, packing.members, packing.members + degree)
    for present in range(degree + 1 + e, packing.members + 1):
        for count in range(present - degree):
            for start in (0, 1):
                word = {h: whole[h] for h in sorted(range(packing.members), key=lambda h: (h * 3) % 8)[-present:]}
                liars = sorted(word)[start : start + count]
                decoded = decode(conspiracy(word, degree, liars, count), degree, e)
                if count <= min(e, present - degree - 1 - e):
                    assert decoded is not None
                    assert (decoded.values, decoded.liars) == ((value(0),), frozenset(liars))
                elif count <= max(e, present - degree - 1 - e):
                    assert decoded is None
                elif count == present - degree - e and present - degree - 1 >= 2 * e:
                    assert decoded is not None
                    assert decoded.values != (value(0),)
        if present > packing.members - packing.absentees:
            assert present - degree - 1 - e > e  # one liar beyond, one absentee less: noticed
