import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import norm_proof, shamir
from crypto.field import PRIME, FieldError, Matrix, from_signed, lagrange
from crypto.norm_proof import BitShares, Checker, MaskShares, ProofError, ProofParameters, Scalars, deal_bits, judge
from crypto.randomness import Stream
from crypto.shamir import Packing
from tests.crypto import oracle
from tests.crypto.cell import (
    COIN_1,
    COIN_2,
    PARAMETERS,
    clipped_bits,
    deal,
    honest,
    modular_rows,
    publish,
    short_vector,
    spelled_with_a_nonbit,
    verdict,
)
from tests.crypto.test_sketch import PATTERNS

SIZE = 600
HONEST = short_vector(SIZE, PARAMETERS.honest_norm)
SCALAR_FIELDS = ("degree", "bit_degree", "sketch", "value", "statement")


def nudged(words, name, place=0, by=1):
    """A copy of a run of field elements, one of them wrong."""
    values = getattr(words, name).copy()
    values[place] = (int(values[place]) + by) % PRIME
    return replace(words, **{name: values})


@pytest.mark.parametrize("cell", [(8, 2, 3, 1, 1), (4, 1, 2, 0, 1), (8, 2, 2, 2, 0), (16, 5, 6, 2, 1), (8, 3, 4, 0, 1)])
def test_honest_dealers_are_accepted_in_every_cell_of_the_protocol(cell):
    parameters = ProofParameters(Packing(*cell))
    dealers = [
        honest(short_vector(SIZE, parameters.honest_norm, i), parameters, secret=bytes([i + 1]) * 32) for i in range(3)
    ]
    for published in publish(dealers, parameters):
        finding = judge(parameters, published)
        assert finding.accepted
        assert not finding.liars


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.integers(0, 2**32), st.sampled_from([32, 64, 128]))
def test_every_short_vector_has_a_proof(size, seed, rows):
    parameters = replace(PARAMETERS, rows=rows)
    coin = seed.to_bytes(32, "big")
    assert verdict(honest(short_vector(size, parameters.honest_norm, seed), parameters, coin), parameters).accepted


@pytest.mark.parametrize("vector", [np.zeros(SIZE, np.int32), np.eye(1, SIZE, 5, dtype=np.int32)[0] * 3600])
def test_the_longest_and_the_shortest_honest_vectors_pass(vector):
    assert verdict(honest(vector)).accepted


def test_the_scalars_are_those_of_the_oracle():
    dealt = honest(HONEST)
    checker = Checker(PARAMETERS, dealt.sketch, COIN_2)
    columns, words = dealt.stripes.shape[1], PARAMETERS.rows * PARAMETERS.bits + PARAMETERS.slack_bits
    draw = lambda label, *shape: Stream(COIN_2, label).elements(*shape).tolist()  # noqa: E731
    weights = (
        [draw("check C1 0", columns), draw("check C1 1", columns)],
        draw("check C1b", 2, words),
        draw("check C2", PARAMETERS.rows),
        draw("check C3", words),
        draw("check C4", 1)[0],
    )
    shape = (PARAMETERS.bits, PARAMETERS.shift, PARAMETERS.bound, PARAMETERS.tau)
    rows = dealt.sketch.matrix(columns).tolist()
    for holder in (0, 3, 7):
        masks, bits = dealt.masks[holder], dealt.bits[holder]
        expected = oracle.holder_scalars(
            dealt.shares[holder].tolist(),
            [getattr(masks, name).tolist() for name in ("degree", "sketch", "value", "zero")],
            [getattr(bits, name).tolist() for name in ("rows", "slack", "degree")],
            rows, weights, shape,
        )  # fmt: skip
        found = checker.scalars([dealt.shares[holder]], [masks], [bits])[0]
        assert found.to_vector().tolist() == expected


def test_the_bits_that_are_dealt_state_what_the_oracle_checks():
    dealt = honest(HONEST)
    values = oracle.sketch_values(dealt.sketch.matrix(200).tolist(), shamir.stripes(HONEST, 3).tolist())
    assert oracle.norm_statement(values, PARAMETERS.bound, PARAMETERS.shift, PARAMETERS.tau)
    opened = [
        oracle.interpolate((2, 5, 8), [int(dealt.bits[h].to_vector()[i]) for h in (1, 4, 7)], 0)
        for i in range(PARAMETERS.rows * PARAMETERS.bits + PARAMETERS.slack_bits)
    ]
    assert set(opened) <= {0, 1}
    rows = [opened[a * 16 : (a + 1) * 16] for a in range(128)]
    assert [sum(b << j for j, b in enumerate(row)) - PARAMETERS.bound for row in rows] == values
    slack = sum(b << j for j, b in enumerate(opened[2048:]))
    assert slack + sum((y >> PARAMETERS.shift) ** 2 for y in values) == PARAMETERS.tau


# Forgeries


def wrapping(pattern):
    stripes = shamir.stripes(from_signed(short_vector(SIZE, 1000)), 3).copy()
    for stripe, column, value in pattern:
        stripes[stripe, column] = value
    return stripes.reshape(-1)


@pytest.mark.parametrize("forge", [clipped_bits, spelled_with_a_nonbit])
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_a_vector_that_wraps_is_refused(pattern, forge):
    for number in range(3):
        dealt = deal(wrapping(pattern), coin=bytes([number + 10]) * 32)
        forge(dealt)
        finding = verdict(dealt)
        assert finding.failed == ("C2" if forge is clipped_bits else "C3/C4")


@pytest.mark.parametrize("forge", [clipped_bits, spelled_with_a_nonbit])
@pytest.mark.parametrize("times", [3.0, 10.0, 300.0])
def test_a_vector_too_long_is_refused(times, forge):
    dealt = deal(short_vector(SIZE, PARAMETERS.clip * times))
    forge(dealt)
    assert not verdict(dealt).accepted


def test_a_vector_too_long_has_no_honest_proof():
    with pytest.raises(ProofError, match="clip the update to norm 3600"):
        honest(short_vector(SIZE, 3 * PARAMETERS.clip))
    with pytest.raises(ProofError, match="32768"):
        deal_bits(PARAMETERS, np.array([1 << 15] + [0] * 127), Stream(COIN_1, "x"))


def test_a_slack_that_is_negative_cannot_be_hidden_in_a_nonbit():
    long = short_vector(SIZE, 3 * PARAMETERS.clip)
    dealt = deal(long)
    rows = modular_rows(dealt.sketch, dealt.stripes)
    bits = ((rows + PARAMETERS.bound)[:, None] >> np.arange(PARAMETERS.bits) & 1).astype(np.uint32)
    slack = np.zeros(PARAMETERS.slack_bits, dtype=np.uint32)
    slack[0] = (PARAMETERS.tau - int(((rows >> PARAMETERS.shift) ** 2).sum())) % PRIME
    dealt.bits = list(norm_proof.share_bits(PARAMETERS, bits, slack, Stream(COIN_1, "bits")))
    assert verdict(dealt).failed == "C3/C4"


def test_bits_of_another_vector_are_refused():
    dealt, other = honest(HONEST), honest(short_vector(SIZE, 3000, 9))
    dealt.bits = other.bits
    assert verdict(dealt).failed == "C2"


def test_bits_of_another_coin_are_refused():
    dealt, other = honest(HONEST), honest(HONEST, coin=b"\x63" * 32)
    dealt.bits = other.bits
    assert verdict(dealt).failed == "C2"


@pytest.mark.parametrize("holders", list(itertools.combinations(range(0, 8, 2), 2)))
def test_shares_that_are_inconsistent_for_two_holders_are_refused(holders):
    dealt = honest(HONEST)
    for holder in holders:
        dealt.shares[holder] = dealt.shares[holder].copy()
        dealt.shares[holder][5] ^= 1
    assert verdict(dealt).failed == "C1"


@pytest.mark.parametrize(("name", "check"), [("degree", "C1"), ("sketch", "C2"), ("value", "C2"), ("zero", "C3/C4")])
def test_masks_that_are_inconsistent_for_two_holders_are_refused(name, check):
    dealt = honest(HONEST)
    for holder in (1, 6):
        dealt.masks[holder] = nudged(dealt.masks[holder], name, by=holder + 11)
    assert verdict(dealt).failed == check


@pytest.mark.parametrize(("name", "check"), [("value", "C2"), ("zero", "C3/C4")])
def test_masks_of_a_wrong_secret_are_refused(name, check):
    """The same constant added to all shares moves the secret and keeps the degree."""
    dealt = honest(HONEST)
    dealt.masks = [nudged(mask, name) for mask in dealt.masks]
    assert verdict(dealt).failed == check


def test_bits_of_too_high_a_degree_are_refused():
    dealt = honest(HONEST)
    for holder in range(8):
        dealt.bits[holder] = nudged(dealt.bits[holder], "rows", 40, by=(holder + 1) ** 3)  # 0 at 0, degree 3
    assert verdict(dealt).failed == "C1b"


def test_a_dealer_that_spreads_its_lies_over_several_checks_is_refused():
    dealt = honest(HONEST)
    dealt.masks[1] = nudged(dealt.masks[1], "degree")
    dealt.masks[4] = nudged(dealt.masks[4], "zero")
    finding = verdict(dealt)
    assert finding.failed == "liars"
    assert finding.liars == {1, 4}


@pytest.mark.parametrize("holder", range(8))
def test_a_share_that_is_wrong_for_one_holder_is_located(holder):
    dealt = honest(HONEST)
    dealt.shares[holder] = dealt.shares[holder].copy()
    dealt.shares[holder][11] ^= 1
    finding = verdict(dealt)
    assert finding.accepted
    assert finding.liars == {holder}


# Holders that lie or stay away


@pytest.mark.parametrize("name", SCALAR_FIELDS)
def test_a_lying_holder_is_located_whoever_is_absent(name):
    published = publish([honest(HONEST)])[0]
    for liar, gone in itertools.permutations(range(8), 2):
        seen = {h: scalars for h, scalars in published.items() if h != gone}
        seen[liar] = nudged(seen[liar], name, by=liar * 97 + 5)
        finding = judge(PARAMETERS, seen)
        assert finding.accepted, (liar, gone)
        assert finding.liars == {liar}


@pytest.mark.parametrize("name", SCALAR_FIELDS)
def test_two_liars_of_which_one_is_tolerated_never_pass_a_forgery(name):
    dealt = deal(wrapping(PATTERNS["one coordinate"]))
    spelled_with_a_nonbit(dealt)
    published = publish([dealt])[0]
    for liars in itertools.combinations(range(8), 2):
        seen = dict(published)
        for liar in liars:
            seen[liar] = nudged(seen[liar], name, by=liar + 3)
        assert not judge(PARAMETERS, seen).accepted


def test_too_few_answers_accept_nobody():
    published = publish([honest(HONEST)])[0]
    assert judge(PARAMETERS, {}).failed == "C1"
    assert judge(PARAMETERS, {h: published[h] for h in range(5)}).failed == "C1"


def test_where_quadratic_liars_are_only_noticed_a_lie_refuses_and_never_accepts_wrongly():
    parameters = ProofParameters(Packing(8, 2, 2, 2, 0))
    published = publish([honest(HONEST, parameters)], parameters)[0]
    one = dict(published) | {3: nudged(published[3], "statement")}
    assert judge(parameters, one).liars == {3}
    two = one | {5: nudged(published[5], "statement")}
    assert judge(parameters, two).failed == "C3/C4"


# What the scalars say to who must not know


def moments(values):
    return np.histogram(values, bins=8, range=(0, PRIME))[0]


@pytest.mark.parametrize("vector", [np.zeros(30, np.int32), short_vector(30, 3000)])
def test_published_scalars_are_uniform_whatever_the_vector(vector):
    """Over the dealer's masks, with vector and challenges fixed: chi-squared with 7 degrees, for one holder's every
    scalar.
    """
    parameters = replace(PARAMETERS, rows=32)
    columns = []
    for number in range(200):
        dealt = honest(vector, parameters, secret=number.to_bytes(32, "big"))
        checker = Checker(parameters, dealt.sketch, COIN_2)
        columns.append(checker.scalars([dealt.shares[2]], [dealt.masks[2]], [dealt.bits[2]])[0].to_vector())
    for scalars in np.array(columns).T:
        assert ((moments(scalars) - 25) ** 2 / 25).sum() < 7 + 7 * 14**0.5


def codewords(points, sources, values, prime):
    """Values (m, n) at all holders of polynomials given by columns of values at `sources`."""
    return Matrix(lagrange(sources, points, prime), prime).apply(values)


def test_in_a_small_field_the_scalars_of_c2_tell_nothing_but_that_they_agree():
    """m = 3, t = 1, ℓ = 2, p = 5: all masks are played. Two vectors with equal sums give one and the same law of all
    that is published.
    """
    prime, points, packed = 5, (1, 2, 3), 2
    draws = np.array(list(itertools.product(range(prime), repeat=7)), dtype=np.uint32).T
    laws = []
    for stripes, randoms, agree in (((1, 2), (3, 0, 4), True), ((4, 0), (0, 1, 1), True), ((4, 0), (0, 1, 1), False)):
        fixed = lambda value, row=draws[0]: np.full_like(row, value % prime)  # noqa: E731
        seen = []
        for q in range(packed):
            word = codewords(points, (0, -1, 1), [fixed(stripes[0]), fixed(stripes[1]), fixed(randoms[q])], prime)
            mask = codewords(points, (0, -1, 1), list(draws[3 * q : 3 * q + 3]), prime)
            seen.append((word + mask) % prime)
        diagonal = (draws[0] + draws[4]) % prime  # secret 0 of the first mask, secret 1 of the second
        statement = sum(stripes) + (0 if agree else 1)
        word = codewords(points, (0, 1), [fixed(statement), fixed(randoms[2])], prime)
        seen.append((word + codewords(points, (0, 1), [diagonal, draws[6]], prime)) % prime)
        laws.append(Counter(map(tuple, np.concatenate(seen).T.tolist())))
    assert laws[0] == laws[1]
    assert set(laws[0].values()) == {1}
    assert laws[0] != laws[2]


@pytest.mark.parametrize(
    ("sources", "secret"), [((0, -1, 1), None), ((0, 1), None), ((0, 1, 2), 0)], ids=["C1", "C1b", "C3/C4"]
)
def test_in_a_small_field_a_masked_word_is_a_uniform_codeword(sources, secret):
    """The mask is a uniform codeword (through `secret` at 0 where that is said), so its sum with any codeword of the
    kind is one too.
    """
    prime, points = 5, (1, 2, 3)
    choices = [range(prime) if secret is None or x != 0 else (secret,) for x in sources]
    masks = codewords(points, sources, list(np.array(list(itertools.product(*choices)), dtype=np.uint32).T), prime)
    laws = []
    for values in ((0, 1, 2), (0, 4, 4)):
        word = codewords(points, sources, [np.array([v], dtype=np.uint32) for v in values[: len(sources)]], prime)
        laws.append(Counter(map(tuple, ((masks + word) % prime).T.tolist())))
    assert laws[0] == laws[1]
    assert set(laws[0].values()) == {1}


# Parameters and messages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 100}, "32, 64, 96 or 128"),
        ({"clip": 5000}, "B >= 8 C.*bound_bits=16"),
        ({"clip": 0}, "clip >= 1"),
        ({"shift": 15}, "shift < bound_bits"),
        ({"bound_bits": 20, "shift": 4}, "lest the sum of squares wrap"),
    ],
)
def test_parameters_under_which_the_proof_says_nothing_are_refused(changes, message):
    with pytest.raises(ProofError, match=message):
        replace(PARAMETERS, **changes)


def test_the_parameters_of_the_protocol():
    assert (PARAMETERS.bound, PARAMETERS.bits, PARAMETERS.tau, PARAMETERS.slack_bits) == (32768, 16, 3185854, 22)
    assert PARAMETERS.honest_norm == 3600


@pytest.mark.parametrize("kind", [MaskShares, BitShares, Scalars])
def test_runs_of_elements_survive_the_wire_and_malformed_ones_do_not(kind):
    size = sum(kind.sizes(PARAMETERS))
    vector = Stream(COIN_1, "any").elements(size)
    assert kind.from_vector(PARAMETERS, vector).to_vector().tolist() == vector.tolist()
    for bad in (vector[1:], np.append(vector, np.uint32(0)), vector.reshape(1, -1)):
        with pytest.raises(FieldError, match=f"{kind.__name__} has {size}"):
            kind.from_vector(PARAMETERS, bad)
    vector[3] = PRIME
    with pytest.raises(FieldError, match="below p"):
        kind.from_vector(PARAMETERS, vector)
    with pytest.raises(FieldError, match="uint32"):
        kind.from_vector(PARAMETERS, vector.astype(np.int64))
