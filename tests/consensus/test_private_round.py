import pytest

from crypto.shamir import Packing
from tests.consensus.private_cell import SIX, Cell, terms_of


@pytest.mark.parametrize("cell", [(4, 1, 2, 0, 1), (6, 1, 2, 1, 1), (8, 2, 3, 1, 1), (8, 2, 2, 2, 0)])
def test_the_sum_of_an_honest_cell_is_exact(cell):
    packing = Packing(*cell)
    run = Cell(terms_of(packing)).run()
    assert run.check() == {tuple(range(packing.members))}
    assert run.took_s < 2
    for outcome in run.outcomes():
        assert outcome.void is None
        assert not outcome.culprits
        assert not outcome.absent
        assert outcome.certified
        assert len(outcome.certificate) == packing.members


def test_real_signatures_carry_a_round():
    run = Cell(terms_of(SIX, rows=128), real_signatures=True).run()
    assert run.check() == {tuple(range(6))}
