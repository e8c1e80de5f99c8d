"""Encrypted sums: exact or within the bound, and no bytes of a peer that do more than raise HomomorphicError."""

import resource

import numpy as np
import pytest
import tenseal
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import ckks
from crypto.bfv import PLAIN_MODULUS, Bfv
from crypto.ckks import Ckks
from crypto.fixedpoint import FixedPoint
from crypto.homomorphic import MAX_MEMBERS, PUBLIC_KEY_BYTES, SLICE_BYTES
from crypto.homomorphic_errors import HomomorphicError, LibraryError
from crypto.seal_format import DATA_PRIME, DEGREE, KEY_PRIME, pack, unpack

SEED = bytes(range(32))
CKKS, BFV = Ckks(), Bfv(FixedPoint(scale=2.0**16, clip=64.0, members=16))
SCHEMES = [pytest.param(CKKS, id="ckks"), pytest.param(BFV, id="bfv")]


@pytest.fixture(scope="module")
def keys():
    return {scheme.name: scheme.generate() for scheme in (CKKS, BFV)}


def vectors(members, size, seed=0):
    return np.random.default_rng(seed).normal(scale=0.3, size=(members, size)).astype(np.float32)


def encrypted_sum(scheme, pair, values, weight):
    bodies = [scheme.encrypt(pair.public, row, weight, SEED) for row in values]
    return scheme.decrypt(pair.secret, scheme.add(bodies, values.shape[1]), values.shape[1])


# -- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 8193])
def test_a_sum_of_ckks_is_off_by_less_than_its_bound(keys, size):
    values = vectors(3, size)
    expected = values.astype(np.float64).mean(axis=0)
    got = encrypted_sum(CKKS, keys["ckks"], values, 1 / 3)
    assert got.shape == (size,)
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() < ckks.ERROR + np.spacing(np.float32(2))


def test_the_error_of_ckks_is_that_of_float32(keys):
    values = vectors(8, 20_000)
    error = encrypted_sum(CKKS, keys["ckks"], values, 1 / 8) - values.astype(np.float64).mean(axis=0)
    assert np.sqrt(np.mean(error**2)) < 7.5e-8


def test_the_noise_of_ckks_is_a_fraction_of_the_grid_that_hides_it(keys, monkeypatch):
    monkeypatch.setattr(ckks, "GRID_BITS", 45)  # to see what lies below
    values = np.zeros((1, 4096), np.float32) + np.float32(0.5)
    body = CKKS.encrypt(keys["ckks"].public, values[0], 1.0, SEED)
    for members in (1, 16, MAX_MEMBERS):
        total = CKKS.add([body] * members, 4096)  # the worst case: one noise, many times
        noise = np.std(CKKS.decrypt(keys["ckks"].secret, total, 4096).astype(np.float64) - 0.5 * members)
        assert noise < 3e-9 * members + np.spacing(np.float32(members)) / 3


@pytest.mark.parametrize("size", [1, 8191, 8192, 8193])
def test_a_sum_of_bfv_is_exact(keys, size):
    values = vectors(5, size)
    expected = sum(BFV.encode(row, 0.2, SEED) for row in values)
    got = encrypted_sum(BFV, keys["bfv"], values, 0.2)
    assert np.array_equal(got, (expected / 2.0**16).astype(np.float32))
    assert np.abs(got - values.astype(np.float64).mean(axis=0)).max() < 5 * BFV.resolution


def test_bfv_is_exact_at_the_ends_of_its_room(keys):
    top = PLAIN_MODULUS // 2
    scheme = Bfv(FixedPoint(scale=float(top - 1), clip=1.0, members=1))
    values = np.zeros(3, np.float32)
    for index, value in ((0, 1.0), (2, -1.0)):
        single = values.copy()
        single[index] = value
        body = scheme.encrypt(keys["bfv"].public, single, 1.0, SEED)
        assert np.allclose(scheme.decrypt(keys["bfv"].secret, body, 3), single, atol=1e-8)


def test_the_noise_of_as_many_as_may_add_stays_below_the_room(keys):
    scheme = Bfv(FixedPoint(scale=2.0**20, clip=1.9, members=MAX_MEMBERS))
    body = scheme.encrypt(keys["bfv"].public, np.full(8192, 0.02, np.float32), 1.0, SEED)
    encoded = scheme.encode(np.full(8192, 0.02, np.float32), 1.0, SEED)
    total = scheme.add([body] * MAX_MEMBERS, 8192)
    assert np.array_equal(scheme.decrypt(keys["bfv"].secret, total, 8192), scheme.decode(encoded * MAX_MEMBERS))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_adding_is_associative_to_the_last_bit(keys, scheme):
    rows = vectors(4, 100)
    bodies = [scheme.encrypt(keys[scheme.name].public, row, 0.25, SEED) for row in rows]
    left = scheme.add([scheme.add(bodies[:2], 100), scheme.add(bodies[2:], 100)], 100)
    assert left == scheme.add(bodies[::-1], 100)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_multiplied_before_encrypting(keys, scheme):
    rows, pair = vectors(2, 50), keys[scheme.name]
    bodies = [scheme.encrypt(pair.public, row, w, SEED) for row, w in zip(rows, (0.75, 0.25), strict=True)]
    got = scheme.decrypt(pair.secret, scheme.add(bodies, 50), 50)
    assert np.allclose(got, 0.75 * rows[0] + 0.25 * rows[1], rtol=0, atol=2 * scheme.resolution)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_vector_twice_is_two_ciphertexts_and_another_key_reads_neither(keys, scheme):
    row, pair = vectors(1, 64)[0], keys[scheme.name]
    one, two = (scheme.encrypt(pair.public, row, 1.0, SEED) for _ in range(2))
    assert np.mean(np.frombuffer(one, np.uint8) == np.frombuffer(two, np.uint8)) < 0.01
    wrong = scheme.decrypt(scheme.generate().secret, one, 64)
    assert np.abs(wrong - row).max() > 1


def test_what_is_sent_has_the_stated_sizes(keys):
    assert PUBLIC_KEY_BYTES == len(keys["ckks"].public) == len(keys["bfv"].public) == 196_608
    assert CKKS.body_bytes(4096) == BFV.body_bytes(8192) == SLICE_BYTES == 98_304
    assert CKKS.body_bytes(4097) == 2 * SLICE_BYTES
    assert len(CKKS.encrypt(keys["ckks"].public, np.ones(4096, np.float32), 1.0, SEED)) == SLICE_BYTES
    assert "secret" not in repr(keys["bfv"])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_context_to_encrypt_with_holds_a_public_key_and_nothing_else(keys, scheme):
    key = scheme.check_public(keys[scheme.name].public)
    context = tenseal.context_from(scheme.layout.public_context(key), n_threads=1)
    assert not context.is_private()
    assert not context.has_galois_keys()
    assert not context.has_relin_keys()
    again = context.serialize(save_public_key=True, save_galois_keys=False, save_relin_keys=False)
    assert np.array_equal(scheme.layout.public_key(again), key)


def test_parameters_are_named_as_seal_names_them():
    """SEAL 4.1 wrote these names into ciphertexts of these parameters, and accepts no others."""
    assert CKKS.layout.parameters_id(DATA_PRIME).hex() == (
        "bc652b178a3de901e6afda9c9e91c3326617913be0d3f9b92ab98e88e80d0dac"
    )
    assert BFV.layout.parameters_id(DATA_PRIME).hex() == (
        "3a9d1c1f08a4feef704559c8f1becf70f5bf6859a7ba0cc4e96dbf7434f70aa1"
    )


def test_the_moduli_are_within_the_standard():
    """HomomorphicEncryption.org standard (2018), tables 1 and 2: log q <= 218 classical, 202 quantum at N = 8192."""
    assert (DATA_PRIME * KEY_PRIME).bit_length() == 96 <= 202
    assert DEGREE == 8192
    for prime in (DATA_PRIME, KEY_PRIME, PLAIN_MODULUS):
        assert prime % (2 * DEGREE) == 1
        assert pow(3, prime - 1, prime) == 1


# -- what cannot be carried -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("values", "weight", "what"),
    [
        (np.zeros(0, np.float32), 1.0, r"d >= 1"),
        (np.zeros((2, 2), np.float32), 1.0, r"\(2, 2\)"),
        (np.zeros(2, np.float64), 1.0, "float64"),
        (np.array([1, np.nan], np.float32), 1.0, "not finite"),
        (np.array([1, np.inf], np.float32), 1.0, "not finite"),
        (np.zeros(2, np.float32), 0.0, "weight"),
        (np.zeros(2, np.float32), 1.5, "weight"),
        (np.zeros(2, np.float32), float("nan"), "weight"),
    ],
)
def test_values_that_no_scheme_carries_are_refused(keys, scheme, values, weight, what):
    with pytest.raises(HomomorphicError, match=what):
        scheme.encrypt(keys[scheme.name].public, values, weight, SEED)


def test_a_sum_that_could_wrap_is_refused(keys):
    with pytest.raises(HomomorphicError, match="sum not to wrap"):
        CKKS.encrypt(keys["ckks"].public, np.array([64.5], np.float32), 1.0, SEED)
    with pytest.raises(HomomorphicError, match="could wrap"):
        Bfv(FixedPoint(scale=2.0**24, clip=4.0, members=15))
    with pytest.raises(HomomorphicError, match="1 to 256"):
        CKKS.add([], 1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_coefficient_at_the_modulus_is_accepted(keys, scheme):
    body = scheme.encrypt(keys[scheme.name].public, np.ones(1, np.float32), 1.0, SEED)
    coefficients = unpack(body, 1, 2, DEGREE)
    coefficients[0, 1, 77] = DATA_PRIME - 1
    scheme.check_body(pack(coefficients), 1)
    coefficients[0, 1, 77] = DATA_PRIME
    for use in (
        lambda bad: scheme.check_body(bad, 1),
        lambda bad: scheme.add([body, bad], 1),
        lambda bad: scheme.decrypt(keys[scheme.name].secret, bad, 1),
    ):
        with pytest.raises(HomomorphicError, match=str(DATA_PRIME)):
            use(pack(coefficients))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_keys_that_are_none_are_refused(keys, scheme):
    key = unpack(keys[scheme.name].public, 2, 2, DEGREE)
    silent, big = key.copy(), key.copy()
    silent[1] = 0
    big[0, 0, 0] = DATA_PRIME
    for bad in (silent, big):
        with pytest.raises(HomomorphicError, match="public key"):
            scheme.encrypt(pack(bad), np.ones(1, np.float32), 1.0, SEED)
    with pytest.raises(LibraryError):
        scheme.decrypt(b"no context", bytes(SLICE_BYTES), 1)


# -- fuzzing ----------------------------------------------------------------------------------------------------------

bodies = st.one_of(
    st.binary(max_size=300),
    st.integers(-2, 2).map(lambda more: bytes(SLICE_BYTES + more)),
    st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).bytes(SLICE_BYTES)),
    st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).bytes(PUBLIC_KEY_BYTES)),
)


@settings(max_examples=40, deadline=None)
@given(body=bodies, name=st.sampled_from(["ckks", "bfv"]))
def test_bytes_of_a_peer_are_refused_or_are_a_sum(keys, body, name):
    scheme = CKKS if name == "ckks" else BFV
    for use in (
        lambda: scheme.add([body], 9),
        lambda: scheme.decrypt(keys[name].secret, body, 9),
        lambda: scheme.encrypt(body, np.ones(9, np.float32), 1.0, SEED),
    ):
        try:
            got = use()
        except HomomorphicError as error:
            assert not isinstance(error, LibraryError)  # refused by us, before the library saw it  # noqa: PT017
        else:
            assert len(got) in (9, SLICE_BYTES)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 30))
def test_a_ciphertext_with_flipped_bits_is_another_sum_or_refused(keys, seed, flips):
    rng = np.random.default_rng(seed)
    body = bytearray(BFV.encrypt(keys["bfv"].public, np.ones(9, np.float32), 1.0, SEED))
    for place in rng.integers(len(body), size=flips):
        body[place] ^= 1 << int(rng.integers(8))
    try:
        got = BFV.decrypt(keys["bfv"].secret, bytes(body), 9)
    except HomomorphicError as error:
        assert "coefficient" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(got).all()


def test_a_body_of_another_length_costs_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(HomomorphicError, match="bytes expected, got 3"):
        CKKS.check_body(b"abc", 10**9)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
