"""What is kept of closed rounds, and what an update makes of a base."""

from dataclasses import replace

import numpy as np
import pytest

from consensus.base import Base
from consensus.vault import Kept, Part, Vault, amended
from crypto.identity import PeerId

A, B = PeerId("a"), PeerId("b")


def kept(number, *peers):
    return Kept(number, {peer: np.zeros(3, np.uint32) for peer in peers}, dict.fromkeys(peers, 1), len(peers) + 1)


def test_the_last_rounds_are_kept_and_each_counts_those_that_moved_the_base_since():
    vault = Vault(2)
    for number in range(4):
        vault = vault.closed(kept(number, A, B), bytes([number]))
    assert [(one.number, one.steps) for one in vault.rounds] == [(2, 2), (3, 1)]
    assert vault.base == bytes([3])
    assert [(one.number, one.steps) for one in vault.closed(None, b"x").rounds] == [(2, 3), (3, 2)]
    assert vault.emptied().rounds == ()


def test_what_was_taken_back_is_owed_no_more_and_what_comes_later_is():
    vault = Vault(3).closed(kept(0, A, B), b"0").convict(A, b"proof")
    assert vault.accused == {A: b"proof"}
    settled = vault.settled(A)
    assert settled.accused == {}
    assert [one.number for one in settled.owed(B)] == [0]
    assert [one.number for one in settled.closed(kept(1, A), b"1").owed(A)] == [1]


def test_a_proof_that_others_can_check_is_not_lost_to_one_that_they_cannot():
    assert Vault(1).convict(A, b"proof").convict(A, b"").convicts == {A: b"proof"}
    assert Vault(0).convict(A, b"proof").convicts == {}


@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.99])
def test_a_base_without_a_part_is_the_one_that_rounds_without_it_come_to(momentum):
    rng = np.random.default_rng(1)
    means = rng.normal(size=(6, 5)).astype(np.float32)
    mine = (rng.normal(size=(6, 5)) / 5).astype(np.float32)

    def walk(steps):
        y, v = np.zeros(5), np.zeros(5)
        for step in steps:
            v = momentum * v + step
            y = y + v
        return Base(y.astype(np.float32), 6, v.astype(np.float32))

    parts = [Part(number, 6 - number, mine[number]) for number in (2, 4, 5)]
    left = means.copy()
    left[[2, 4, 5]] -= mine[[2, 4, 5]]
    whole, without = walk(means), walk(left)
    found = amended(whole, parts, momentum)
    np.testing.assert_allclose(found.vector, without.vector, atol=1e-5)
    np.testing.assert_allclose(found.velocity, without.velocity, atol=1e-5)
    assert found.opened == 6
    assert not found.vector.flags.writeable
    plain = amended(replace(whole, velocity=None), parts[-1:], 0.0)
    np.testing.assert_allclose(plain.vector, whole.vector - mine[5], atol=1e-6)
    assert plain.velocity is None
