import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import field
from crypto.field import PRIME, FieldError, Matrix

EXTREMES = (0, 1, 2, 0xFFFF, 0x10000, PRIME // 2, PRIME // 2 + 1, PRIME - 2, PRIME - 1)
elements = st.one_of(st.sampled_from(EXTREMES), st.integers(0, PRIME - 1))


def vector(values):
    return np.array(values, dtype=np.uint32)


def big(array):
    return array.astype(object)


def mixed(rng, shape):
    """Half random, half extreme."""
    return np.where(rng.random(shape) < 0.5, rng.integers(0, PRIME, shape), rng.choice(EXTREMES, shape)).astype(
        np.uint32
    )


@given(st.lists(st.tuples(elements, elements), min_size=1, max_size=40))
def test_element_wise_operations_are_those_of_the_integers(pairs):
    a, b = vector([p[0] for p in pairs]), vector([p[1] for p in pairs])
    assert field.add(a, b).tolist() == [(x + y) % PRIME for x, y in pairs]
    assert field.subtract(a, b).tolist() == [(x - y) % PRIME for x, y in pairs]
    assert field.multiply(a, b).tolist() == [x * y % PRIME for x, y in pairs]
    assert field.total([a, b, a]).tolist() == [(2 * x + y) % PRIME for x, y in pairs]
    assert field.sum_of(a) == sum(x for x, _ in pairs) % PRIME


def test_every_pair_of_extremes_multiplies_exactly():
    a, b = np.meshgrid(vector(EXTREMES), vector(EXTREMES))
    assert (big(field.multiply(a, b)) == big(a) * big(b) % PRIME).all()


@given(st.lists(st.tuples(elements, elements, elements), min_size=1, max_size=20))
def test_weighted_sums_are_those_of_the_integers(rows):
    vectors = [vector([row[0], row[1]]) for row in rows]
    expected = [sum(row[place] * row[2] for row in rows) % PRIME for place in (0, 1)]
    assert field.weighted(vectors, [row[2] for row in rows]).tolist() == expected


def test_total_of_many_large_vectors_crosses_blocks():
    worst = np.full(field.BLOCK + 5, PRIME - 1, dtype=np.uint32)
    assert set(field.total([worst] * 9).tolist()) == {9 * (PRIME - 1) % PRIME}


@given(st.lists(st.integers(-(PRIME // 2), PRIME // 2), min_size=1, max_size=30))
def test_signs_survive_a_round_trip(values):
    assert field.to_signed(field.from_signed(np.array(values))).tolist() == values


@pytest.mark.parametrize("value", [PRIME // 2 + 1, -(PRIME // 2) - 1, 2**40, -(2**31)])
def test_a_sign_that_would_be_lost_is_refused(value):
    with pytest.raises(FieldError, match="sign"):
        field.from_signed(np.array([value]))


def test_canonical_form_is_checked():
    field.require_canonical(vector([0, PRIME - 1]), "share")
    field.require_canonical(vector([]), "share")
    with pytest.raises(FieldError, match=r"share of holder 3.*below p"):
        field.require_canonical(vector([1, PRIME]), "share of holder 3")
    with pytest.raises(FieldError, match="uint32"):
        field.require_canonical(np.zeros(3, dtype=np.int64), "share")


@given(st.integers(1, PRIME - 1))
def test_inverse(value):
    assert value * field.inverse(value) % PRIME == 1


def test_zero_has_no_inverse_and_equal_points_no_interpolation():
    with pytest.raises(FieldError, match="zero"):
        field.inverse(PRIME)
    with pytest.raises(FieldError, match="differ"):
        field.lagrange((1, 1 + PRIME), (0,))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 24), st.integers(1, 70), st.integers(0, 2**32))
def test_matrix_product_is_that_of_big_integers(r, c, n, seed):
    rng = np.random.default_rng(seed)
    M, X = mixed(rng, (r, c)), mixed(rng, (c, n))
    assert (big(Matrix(M.tolist()).apply(X)) == big(M) @ big(X) % PRIME).all()


@pytest.mark.parametrize("c", [1, 2, 7, 16, Matrix.MAX_INNER])
@pytest.mark.parametrize("entry", [PRIME - 1, PRIME // 2, 1])
def test_matrix_product_at_the_extremes_of_its_range(c, entry):
    X = np.full((c, 9), PRIME - 1, dtype=np.uint32)
    X[:, ::2] = PRIME // 2 + 1
    expected = np.full((2, c), entry, dtype=object) @ big(X) % PRIME
    assert (big(Matrix([[entry] * c] * 2).apply(X)) == expected).all()


def test_residues_next_to_a_multiple_of_the_prime():
    """Quotients that fall on an integer or on a half are where rounding could go wrong."""
    x = np.arange(1, 4000, dtype=np.uint32)
    for entry in (1, 2, (PRIME + 1) // 2, PRIME // 2, PRIME - 1, PRIME - 2):
        products = Matrix([[entry, entry]]).apply([x, field.subtract(np.zeros_like(x), x)])
        assert not products.any()
        halves = Matrix([[entry]]).apply([x])[0]
        assert (big(halves) == entry * big(x) % PRIME).all()


@pytest.mark.parametrize("prime", [2, 11, 13, 65537, 2**31 - 19])
def test_matrix_works_over_smaller_primes(prime):
    rng = np.random.default_rng(prime)
    M, X = rng.integers(0, prime, (3, 5)).astype(np.uint32), rng.integers(0, prime, (5, 50)).astype(np.uint32)
    assert (big(Matrix(M.tolist(), prime).apply(X)) == big(M) @ big(X) % prime).all()


def test_matrix_blocks_join_without_a_seam():
    rng = np.random.default_rng(5)
    M, X = mixed(rng, (3, 4)), mixed(rng, (4, 2 * field.BLOCK + 77))
    assert (big(Matrix(M.tolist()).apply(list(X))) == big(M) @ big(X) % PRIME).all()


def test_matrix_refuses_what_would_not_be_exact():
    with pytest.raises(FieldError, match="512"):
        Matrix([[1] * 513])
    with pytest.raises(FieldError, match="below"):
        Matrix([[1]], prime=2**31 + 11)
    with pytest.raises(FieldError, match="takes 2 rows"):
        Matrix([[1, 2]]).apply(np.zeros((3, 4), dtype=np.uint32))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 200), st.integers(0, 2**32))
def test_dot_products_are_those_of_big_integers(k, v, n, seed):
    rng = np.random.default_rng(seed)
    left, right = mixed(rng, (k, n)), mixed(rng, (v, n))
    assert (big(field.inner(left, right)) == big(left) @ big(right).T % PRIME).all()


def test_dot_products_of_a_million_largest_elements_are_exact():
    n = (1 << 20) + 12345  # over one fold of the partial sums
    worst = np.full((1, n), PRIME - 1, dtype=np.uint32)
    assert field.inner(worst, worst)[0, 0] == n % PRIME
    odd = np.full((1, n), 0x7FFEFFFF, dtype=np.uint32)  # both limbs at their largest
    assert field.inner(odd, odd)[0, 0] == n * 0x7FFEFFFF**2 % PRIME


def test_dot_products_need_one_length():
    with pytest.raises(FieldError, match="one length"):
        field.inner(np.zeros((1, 3), np.uint32), np.zeros((1, 4), np.uint32))
