"""Attacks on records of the digits: they succeed where models are sent in the open, and fail where a claim says so."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from tests.audit.games import Claim
from tests.audit.records import (
    Records,
    gradients,
    inverted,
    likeness,
    membership,
    model,
    noise_of,
    opened,
    rows,
    sent_in_the_open,
)
from tests.audit.statistics import auc
from tests.consensus.private_cell import SIX

HONEST = [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def records():
    return Records.deal([40] * 6, 1)


def test_the_attackers_gradients_are_those_of_training(records):
    numbers = records.held[1]
    sent = sent_in_the_open(numbers)
    values = model().vector().astype(np.float64)
    data = rows(numbers)
    logits = data.features.numpy() @ values[:640].reshape(10, 64).T + values[640:]
    back = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(10)[data.labels.numpy()]
    assert np.allclose(sent[640:], back.sum(axis=0), atol=1e-3)
    assert np.linalg.norm(gradients(numbers), axis=1).max() <= 0.5 + 1e-12


def in_the_open(records, node):
    return membership(records, sent_in_the_open(records.held[node]), [node], clip=math.inf)


def test_members_are_told_from_others_by_an_update_in_the_open(records):
    found = np.mean([auc(*in_the_open(records, node)) for node in HONEST])
    assert found > 0.9


@pytest.mark.parametrize("target", [0.25, 1.0])
def test_members_are_not_told_from_others_by_a_noised_sum(records, target):
    """No attacker does better than Φ(μ / √2), which the claim allows for one record; 500 games allow for 0.07 more."""
    seen = opened(records, SIX, (0,), target, 1)
    found = auc(*membership(records, seen, HONEST, noise=noise_of(records, SIX, (0,), target)))
    allowed = NormalDist().cdf(Claim(target).mu / math.sqrt(2))
    assert found < allowed + 0.07


def test_a_sum_hides_members_among_others_but_does_not_make_them_safe(records):
    found = auc(*membership(records, opened(records, SIX, (0,), None, 1), HONEST))
    assert 0.55 < found < 0.85


def test_a_record_is_read_from_an_update_in_the_open_and_from_no_sum():
    numbers, open_, summed, noised = [], [], [], []
    for seed in range(4):
        single = Records.deal([1] * 6, seed)
        numbers.append(int(single.held[1][0]))
        open_.append(inverted(sent_in_the_open(single.held[1])))
        summed.append(inverted(opened(single, SIX, (0,), None, seed)))
        noised.append(inverted(opened(single, SIX, (0,), 8.0, seed)))
    exact = likeness(open_, numbers, single)
    assert exact.error < 1e-6
    assert exact.recognised == 1.0
    for guesses in (summed, noised):
        found = likeness(guesses, numbers, single)
        assert found.error >= 1.0
        assert found.recognised <= 0.25
