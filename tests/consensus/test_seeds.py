import pytest

from consensus.seeds import Seeds

E = 4


def seed(epoch):
    return bytes([epoch]) * 32


def known_until(epoch):
    seeds = Seeds.first(7, E)
    for one in range(1, epoch + 1):
        seeds = seeds.with_seed(one, seed(one), one * E)
    return seeds


def test_the_first_epoch_follows_from_the_topologys_seed():
    assert Seeds.first(7, E).at(0) == Seeds.first(7, E).at(E - 1)
    assert Seeds.first(7, E).at(0) != Seeds.first(8, E).at(0)


def test_each_epoch_has_its_own():
    seeds = known_until(3)
    assert [seeds.at(number).epoch for number in range(4 * E)] == [0] * E + [1] * E + [2] * E + [3] * E
    assert seeds.at(2 * E).value == seed(2)


def test_an_epoch_without_a_seed_is_drawn_from_the_last_known_and_moves_all_the_same():
    seeds = known_until(2)
    assert seeds.at(5 * E).value == seed(2)
    assert len({seeds.label(number) for number in range(2 * E, 6 * E)}) == 4


def test_a_late_seed_is_in_force_from_its_start_on():
    seeds = known_until(1).with_seed(2, seed(2), 2 * E + 3)
    assert [seeds.at(number).epoch for number in range(2 * E, 3 * E)] == [1, 1, 1, 2]


def test_a_seed_that_comes_after_a_later_ones_start_changes_nothing_from_there_on():
    seeds = known_until(1).with_seed(3, seed(3), 3 * E).with_seed(2, seed(2), 3 * E + 1)
    assert [seeds.at(number).epoch for number in range(2 * E, 4 * E)] == [1] * E + [3] * E


def test_the_order_of_learning_does_not_matter():
    one = Seeds.first(7, E).with_seed(1, seed(1), E).with_seed(2, seed(2), 2 * E)
    assert one == Seeds.first(7, E).with_seed(2, seed(2), 2 * E).with_seed(1, seed(1), E)


def test_what_is_known_of_an_epoch_stays():
    assert known_until(2).with_seed(2, seed(9), 2 * E) == known_until(2)


def test_memory_is_bounded_and_the_oldest_serves_for_what_is_forgotten():
    seeds = known_until(50)
    assert len(seeds.known) == 4
    assert seeds.at(0).epoch == 47
    assert seeds.with_seed(3, seed(3), 3 * E) == seeds


@pytest.mark.parametrize(
    ("epoch", "value", "start"), [(0, b"s" * 32, 0), (2, b"s" * 31, 2 * E), (2, b"s" * 32, 2 * E - 1)]
)
def test_what_is_no_seed_is_refused(epoch, value, start):
    with pytest.raises(ValueError, match="no seed"):
        known_until(1).with_seed(epoch, value, start)
