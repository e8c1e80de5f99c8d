"""Means under noise that hides a few rounds: many rounds tell what the noise leaves, and keep quiet where it turns."""

import numpy as np
import pytest

from crypto.identity import PeerId
from detect.peers import long_run
from detect.peers.group_test import GroupTest
from detect.peers.long_run import LongRun

PEERS = [PeerId(f"p{i}") for i in range(8)]
DIMENSION = 650


def under_noise(rounds, bad, noise, seed, *, turning=0.0):
    """One in turn sits out; `noise` is that of a mean, in lengths of an honest update, over all coordinates."""
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(rng.normal(size=(DIMENSION, 2)))[0]
    test = GroupTest(PEERS)
    for number in range(rounds):
        direction = np.cos(turning * number) * plane[:, 0] + np.sin(turning * number) * plane[:, 1]
        members = [peer for place, peer in enumerate(PEERS) if place != number % 8]
        mean = direction * sum(bad.get(peer, 1.0) for peer in members) / 7
        mean = mean + noise / DIMENSION**0.5 * rng.normal(size=DIMENSION)
        test.see(members, mean.astype(np.float32))
    return test


@pytest.mark.parametrize("seed", range(6))
def test_under_noise_as_long_as_the_mean_a_strong_one_is_found_and_nobody_else(seed):
    pulls = under_noise(50, {PEERS[5]: -3.0}, 2.0, seed).pulls()
    assert pulls[PEERS[5]] > 4
    assert max(pull for peer, pull in pulls.items() if peer != PEERS[5]) < 2


@pytest.mark.parametrize("seed", range(6))
def test_who_brings_nothing_is_not_accused(seed):
    pulls = under_noise(60, {PEERS[2]: 0.0}, 2.0, seed).pulls()
    assert max(pulls.values()) < 4


def test_a_pull_has_the_spread_that_it_claims():
    """Of a member that brings nothing: standard normal, or less where a larger standard error was taken."""
    pulls = [under_noise(50, {PEERS[2]: 0.0}, 2.0, seed).pulls()[PEERS[2]] for seed in range(40)]
    assert abs(np.mean(pulls)) < 0.5
    assert 0.5 < np.std(pulls) < 1.4


def test_what_turns_is_told_by_the_rounds_around_alone():
    steady, turning = LongRun(), LongRun()
    for number in range(40):
        company, angle = np.full(8, 1 / 8), number / 4
        steady.see(company, np.array([1.0, 0.1 * (-1) ** number, 0.0], np.float32))
        turning.see(company, np.array([np.cos(angle), np.sin(angle), 0.0], np.float32))
    assert steady.steady
    assert turning.steady is False
    assert LongRun().steady is None


def test_rows_are_those_of_the_model():
    """Against the words of the module, one round at a time."""
    rng = np.random.default_rng(3)
    means = [rng.normal(size=20) + 1 for _ in range(15)]
    companies = [rng.dirichlet(np.ones(4)) for _ in range(15)]
    run = LongRun()
    for company, mean in zip(companies, means, strict=True):
        run.see(company, mean.astype(np.float32))
    for place, (row, value) in enumerate(run.rows()):
        direction = np.sum([mean for i, mean in enumerate(means) if i != place], axis=0)
        direction /= np.linalg.norm(direction)
        first = max(0, min(place - 4, 15 - 9))
        around = [i for i in range(first, first + 9) if i != place]
        level = np.mean([means[i] @ direction for i in around])
        np.testing.assert_allclose(row, level * (companies[place] - np.mean([companies[i] for i in around], axis=0)))
        assert value == pytest.approx(means[place] @ direction - level, abs=1e-5)


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(long_run, "_ROOM", 12 * 10)
    run = LongRun()
    for number in range(30):
        run.see(np.ones(2) / 2, np.full(10, number, np.float32))
    assert len(run.rows()) == 12
    run.see(np.ones(2) / 2, np.ones(11, np.float32))  # of another length
    assert run.rows() == []
    for _ in range(30):
        run.see(np.ones(2) / 2, np.ones(100, np.float32))  # too long to remember nine of
    assert run.rows() == []


def test_a_restart_believes_what_the_long_run_found():
    before = under_noise(50, {PEERS[5]: -3.0}, 2.0, 1)
    after = GroupTest(PEERS)
    after.restore(before.snapshot())
    assert after.pulls() == before.pulls()
    assert after.pulls()[PEERS[5]] > 4
