import itertools

import numpy as np
import pytest

from consensus.committee import plan
from consensus.mixing import compose


@pytest.mark.parametrize(("n", "size"), [(8, 2), (9, 3), (16, 4), (27, 3), (5, 5)])
def test_a_grid_reaches_the_exact_average(n, size):
    phases = plan("grid", n, [], seed=2, size=size).phases(0)
    assert size ** len(phases) == n
    assert np.allclose(compose(phases), 1 / n, atol=1e-14)


def test_cells_are_disjoint_and_two_nodes_share_one_at_most():
    grid = plan("grid", 27, [], seed=2, size=3)
    met = [frozenset(weights) for member in range(27) for weights in grid.phases_of(member, 0)]
    cells = set(met)
    assert all(met.count(cell) == 3 for cell in cells)
    assert all(len(one & other) <= 1 for one, other in itertools.combinations(cells, 2))


def test_an_epoch_moves_everybody():
    grid = plan("grid", 16, [], seed=2, size=4, epoch_rounds=5)
    same = [np.array_equal(grid.phases(0)[0], grid.phases(round_)[0]) for round_ in range(11)]
    assert same == [True] * 5 + [False] * 6
    assert not np.array_equal(grid.phases(0)[0], plan("grid", 16, [], seed=3, size=4).phases(0)[0])


def test_cells_of_the_first_phase_cover_all_and_change_with_the_seed():
    grid = plan("grid", 16, [], seed=2, size=4, epoch_rounds=5)
    cells = grid.cells(6)
    assert sorted(itertools.chain.from_iterable(cells)) == list(range(16))
    assert {len(cell) for cell in cells} == {4}
    moved = grid.with_seed(1, b"s" * 32, 5)
    assert moved.cells(4) == grid.cells(4)
    assert moved.cells(5) != grid.cells(5)
    assert moved.cells(9) == moved.cells(5) != moved.cells(10)


def test_a_grid_is_exact_whatever_the_seed():
    for epoch in range(1, 9):
        grid = plan("grid", 27, [], seed=2, size=3).with_seed(epoch, bytes([epoch]) * 32, 16 * epoch)
        assert np.allclose(compose(grid.phases(16 * epoch)), 1 / 27, atol=1e-14)


def test_anybody_may_meet_anybody():
    assert plan("grid", 9, [], seed=1, size=3).company_of(4) == set(range(9)) - {4}
