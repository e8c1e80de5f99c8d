"""Sums over changing companies, made up with known parts: who pulls away is found, and nobody else."""

import numpy as np
import pytest

from crypto.identity import PeerId
from detect.peers.group_test import GroupTest

PEERS = [PeerId(f"p{i}") for i in range(8)]
DIMENSION = 60


def play(rounds, companies, bad, noise, seed, peers=PEERS):
    """Each honest member adds the common direction and something of its own; a bad one the opposite."""
    rng = np.random.default_rng(seed)
    direction = np.ones(DIMENSION) / np.sqrt(DIMENSION)
    test = GroupTest(peers)
    for round_ in range(rounds):
        members = companies(round_, rng)
        parts = [
            (-1 if peer in bad else 1) * direction + 0.3 * rng.normal(size=DIMENSION) / np.sqrt(DIMENSION)
            for peer in members
        ]
        # Learning slows down: what is opened late is a fraction of what was opened first.
        total = 0.97**round_ * (np.sum(parts, axis=0) + noise * rng.normal(size=DIMENSION))
        test.see(members, (total / len(members)).astype(np.float32))
    return test


def one_benched(round_, rng):
    return [peer for place, peer in enumerate(PEERS) if place != round_ % 8]


@pytest.mark.parametrize("seed", range(4))
def test_one_that_pulls_away_is_found_where_one_in_turn_sits_out(seed):
    pulls = play(40, one_benched, {PEERS[5]}, 0.1, seed).pulls()
    assert max(pulls, key=lambda peer: pulls[peer]) == PEERS[5]
    assert pulls[PEERS[5]] > 4
    assert all(pull < 4 for peer, pull in pulls.items() if peer != PEERS[5])


def test_two_among_rotating_cells_of_a_larger_swarm_are_found():
    peers = [PeerId(f"p{i:02}") for i in range(24)]
    bad = {peers[3], peers[17]}
    test = play(120, lambda _, rng: [peers[i] for i in rng.permutation(24)[:8]], bad, 0.2, 1, peers)
    pulls = test.pulls()
    assert set(sorted(pulls, key=lambda peer: -pulls[peer])[:2]) == bad


@pytest.mark.parametrize("seed", range(10))
def test_among_the_honest_hardly_anybody_is_suspected(seed):
    pulls = play(60, one_benched, set(), 0.5, seed).pulls()
    assert all(pull < 4 for pull in pulls.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_weighed_sum_is_read_by_its_weights(seed):
    """All are always there, and weigh more or less: without the weights nothing could be told."""
    rng = np.random.default_rng(seed)
    weighed, plain = GroupTest(PEERS), GroupTest(PEERS)
    for round_ in range(40):
        weights = [int(weight) for weight in rng.integers(1, 9, len(PEERS))]
        parts = np.ones((len(PEERS), DIMENSION)) + 0.3 * rng.normal(size=(len(PEERS), DIMENSION))
        parts[5] *= -1
        mean = (0.97**round_ * np.average(parts, axis=0, weights=weights)).astype(np.float32)
        weighed.see(PEERS, mean, weights)
        plain.see(PEERS, mean)
    pulls = weighed.pulls()
    assert max(pulls, key=lambda peer: pulls[peer]) == PEERS[5]
    assert pulls[PEERS[5]] > 4
    assert plain.pulls() == {}


def test_a_company_that_never_changes_tells_nothing():
    assert play(60, lambda *_: PEERS, {PEERS[2]}, 0.1, 1).pulls() == {}


def test_members_that_are_always_together_are_not_told_apart():
    def in_pairs(round_, rng):
        return [peer for place, peer in enumerate(PEERS) if place // 2 != round_ % 4]

    pulls = play(60, in_pairs, {PEERS[4]}, 0.1, 1).pulls()
    assert pulls[PEERS[4]] == pytest.approx(pulls[PEERS[5]], abs=1e-6)


def test_too_few_rounds_and_sums_that_are_none_say_nothing():
    assert play(7, one_benched, {PEERS[2]}, 0.1, 1).pulls() == {}
    test = GroupTest(PEERS)
    for _ in range(20):
        test.see(PEERS, np.full(DIMENSION, np.nan, np.float32))
        test.see([PeerId("stranger")], np.ones(DIMENSION, np.float32))
    assert test.pulls() == {}


def test_strong_noise_hides_it():
    """What the noise of differential privacy is for: then nobody is accused, rather than anybody."""
    pulls = play(60, one_benched, {PEERS[5]}, 200.0, 3).pulls()
    assert all(pull < 4 for pull in pulls.values())


def test_whoever_brings_little_is_not_whoever_works_against_the_others():
    """A member with few rows is far below the median, and above nothing."""
    test, rng = GroupTest(PEERS), np.random.default_rng(1)
    direction = np.ones(DIMENSION) / np.sqrt(DIMENSION)
    for round_ in range(80):
        members = one_benched(round_, rng)
        parts = [(0.1 if peer == PEERS[3] else 1) * direction for peer in members]
        total = np.sum(parts, axis=0) + 0.1 * rng.normal(size=DIMENSION)
        test.see(members, (total / 7).astype(np.float32))
    assert test.pulls()[PEERS[3]] < 1


def test_what_is_stored_goes_on_and_what_is_damaged_changes_nothing():
    test = play(40, one_benched, {PEERS[5]}, 0.1, 1)
    other = GroupTest(PEERS)
    other.restore(test.snapshot())
    assert other.pulls() == test.pulls()
    damaged = test.snapshot() | {"rows": [[1.0, float("nan")]]}
    with pytest.raises(ValueError, match="cannot be read"):
        other.restore(damaged)
    assert other.pulls() == test.pulls()
    other.restore({"peers": ["somebody"], "rows": []})
    assert other.pulls() == test.pulls()
