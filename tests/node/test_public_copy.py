"""What is not worth sending is kept, and nothing that was learned is lost."""

import numpy as np
import pytest

from node.public_copy import PublicCopy


def vector(*values):
    return np.array(values, np.float32)


def test_a_small_change_is_kept_back_and_a_large_one_is_sent():
    copy = PublicCopy(0.1)
    first = copy.offer(vector(10, 0))
    assert copy.offer(vector(10, 0.9)) is first
    np.testing.assert_array_equal(copy.after(vector(4, 4)), vector(4, 4.9))
    later = vector(10, 1.2)
    assert copy.offer(later) is later
    np.testing.assert_array_equal(copy.after(vector(4, 4)), vector(4, 4))


def test_small_changes_add_up_until_they_are_sent():
    copy, sent = PublicCopy(0.1), []
    for step in range(12):
        offered = copy.offer(vector(10, 0.4 * step))
        if not sent or offered is not sent[-1]:
            sent.append(offered)
    assert [float(one[1]) for one in sent] == pytest.approx([0.0, 1.2, 2.4, 3.6])


def test_a_round_in_which_nobody_was_there_leaves_the_model_as_it_was():
    copy = PublicCopy(0.5)
    copy.offer(vector(1, 1))
    public = copy.offer(vector(1.1, 0.9))
    np.testing.assert_allclose(copy.after(public), vector(1.1, 0.9), atol=1e-6)


def test_the_mean_over_all_moves_as_if_all_had_been_sent():
    rng = np.random.default_rng(1)
    mixing = np.full((5, 5), 0.2)
    models = rng.normal(size=(5, 7)).astype(np.float32)
    copies, exact, spared = [PublicCopy(0.3) for _ in range(5)], models.mean(axis=0), 0
    before = [None] * 5
    for _ in range(40):
        step = 0.1 * rng.normal(size=(5, 7)).astype(np.float32)
        models, exact = models + step, exact + step.mean(axis=0)
        public = [copy.offer(model) for copy, model in zip(copies, models, strict=True)]
        spared += sum(one is other for one, other in zip(public, before, strict=True))
        before = public
        mixed = (mixing @ np.stack(public)).astype(np.float32)
        models = np.stack([copy.after(one) for copy, one in zip(copies, mixed, strict=True)])
    assert spared > 40
    np.testing.assert_allclose(models.mean(axis=0), exact, atol=1e-4)
    assert np.linalg.norm(models - models.mean(axis=0), axis=1).max() < 0.5 * np.linalg.norm(exact) + 1


def test_what_is_not_finite_is_sent_as_it_is():
    copy = PublicCopy(0.1)
    copy.offer(vector(1, 1))
    broken = vector(np.nan, 1)
    assert copy.offer(broken) is broken
