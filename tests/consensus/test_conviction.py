"""From how many values on a located liar is certain: against every other way in which the values could have come."""

from itertools import combinations

import pytest

from consensus.conviction import Certainty, located
from crypto.field import PRIME, lagrange


def alike(values, holders, degree):
    """Whether the values of these holders are on one polynomial of `degree`."""
    points = tuple(holder + 1 for holder in holders)
    rows = lagrange(points[: degree + 1], points[degree + 1 :])
    told = [sum(c * values[h] for c, h in zip(row, holders, strict=False)) % PRIME for row in rows]
    return told == [values[h] % PRIME for h in holders[degree + 1 :]]


def explanations(values, degree, most):
    """Every set of at most `most` holders without whom the values are on one polynomial of `degree`."""
    holders = sorted(values)
    for count in range(most + 1):
        for liars in combinations(holders, count):
            rest = [holder for holder in holders if holder not in liars]
            if alike(values, rest, degree):
                yield frozenset(liars)


@pytest.mark.parametrize(("off", "bound"), [({1}, 1), ({1}, 2), ({1}, 3), ({0, 3}, 2), ({0, 3}, 3)])
@pytest.mark.parametrize("degree", [1, 3, 4])
def test_a_located_liar_is_in_every_explanation_from_that_many_values_on(degree, bound, off):
    certain = 0
    for n in range(degree + 1 + len(off), degree + 8):
        values = {holder: pow(holder + 1, degree) + 5 + (holder in off) for holder in range(n)}
        found = set(explanations(values, degree, bound))
        assert frozenset(off) in found
        if located(n, degree, len(off), bound) is Certainty.WITNESSED:
            certain += 1
            assert all(off <= liars for liars in found)
        else:
            assert n < degree + 1 + len(off) + bound
    assert certain


def test_in_the_default_cell_it_takes_all_eight():
    assert located(8, 4, 1, 2) is Certainty.WITNESSED
    values = {holder: 7 + (holder == 1) for holder in range(7)}
    assert located(7, 4, 1, 2) is Certainty.SUSPECTED
    assert any(1 not in liars for liars in explanations(values, 4, 2)), "two others may have lied instead"
