"""The Byzantine benchmark's swarm and its figures, on a problem that is learned in a second."""

from dataclasses import replace

import numpy as np
import pytest

from consensus.company import squared_distances
from detect.peers import watch
from tests.benchmarks import byzantine, byzantine_calm, byzantine_plant, byzantine_published, byzantine_tasks
from tests.benchmarks.byzantine_learning import Learners, Problem, Rows, by_class, softmax
from tests.benchmarks.byzantine_modes import (
    ACCEPTED_SHARE,
    Liars,
    Screen,
    Setting,
    cell_weights,
    in_private,
    in_the_open,
    one_of,
    squared,
)
from tests.benchmarks.byzantine_tasks import carry_out, grid


def small(classes=4, features=12):
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(classes, features)) * 2

    def rows(count):
        labels = rng.integers(0, classes, count)
        drawn = centres[labels] + rng.normal(size=(count, features))
        return Rows(np.hstack([drawn, np.ones((count, 1))]).astype(np.float32), labels)

    return Problem("small", rows(2400), rows(600), classes)


PROBLEM = small()
SETTING = Setting(honest=10, liars=2, rounds=25, rate=0.1, cell=4, clip=0.5, momentum=0.5)


def test_gradients_are_those_of_the_loss():
    shard = Rows(PROBLEM.train.features[:8], PROBLEM.train.labels[:8])
    learners = Learners([shard], 4, batch=8, seed=0)
    model = np.random.default_rng(2).normal(size=(1, PROBLEM.size)).astype(np.float32) / 4

    def loss(at):
        scores = softmax(shard.features @ at.reshape(-1, 4).astype(np.float64))
        return -np.log(scores[np.arange(8), shard.labels]).mean() + 0.05 * float(at @ at)

    gradient = learners.gradients(model, decay=0.1)[0]  # a batch of all rows, wherever it begins
    for place in range(0, PROBLEM.size, 7):
        step = np.zeros(PROBLEM.size)
        step[place] = 1e-4
        assert gradient[place] == pytest.approx((loss(model[0] + step) - loss(model[0] - step)) / 2e-4, abs=1e-4)


def test_one_class_a_node_where_there_are_nodes_enough():
    labels = np.repeat(np.arange(4), 25)
    parts = by_class(labels, 6)
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert all(len(set(labels[part])) == 1 for part in parts)
    assert [len(set(labels[part])) for part in by_class(labels, 2)] == [2, 2]


def test_distances_are_those_of_the_rules():
    vectors = np.random.default_rng(3).normal(size=(5, 30)).astype(np.float32) + 100
    np.testing.assert_allclose(squared(vectors), squared_distances(list(vectors)), rtol=1e-4)


@pytest.mark.parametrize("adversary", ["none", "sign-flip", "scaling", "alie", "isolation"])
def test_in_the_open_the_default_stands(adversary):
    outcome = in_the_open(PROBLEM, replace(SETTING, rule=byzantine.DEFAULT), adversary)
    assert outcome.worst > 90


def test_the_plain_mean_collapses_where_it_should():
    setting = replace(SETTING, rule="mean", watch=False)
    assert in_the_open(PROBLEM, setting, "none").mean > 90
    assert in_the_open(PROBLEM, setting, "gaussian").mean < 60


def test_who_flips_signs_is_caught_and_nobody_else():
    setting = replace(SETTING, partition="iid", rule=byzantine.DEFAULT, rate=0.03)  # judged while it is learning
    outcome = in_the_open(PROBLEM, setting, "sign-flip")
    assert outcome.caught_after is not None
    assert outcome.caught_after <= 10
    assert outcome.false_share == 0


@pytest.mark.parametrize("screen", [None, Screen(byzantine=1), Screen(byzantine=1, rows=64, noise=0.1)])
def test_the_bound_holds_in_private_and_distances_help(screen):
    outcome = in_private(PROBLEM, replace(SETTING, screen=screen), "sign-flip")
    assert outcome.worst > (85 if screen else 60)


def test_in_private_liars_go_to_the_bound_and_not_beyond():
    liars = Liars("sign-flip", SETTING, bounded=True)
    own, honest = np.ones((2, 5), np.float32), np.ones((3, 5), np.float32)
    said = liars.vectors(own, 0 * own, honest, 0)
    assert np.linalg.norm(said, axis=1).min() > ACCEPTED_SHARE * SETTING.clip


def test_screen_leaves_out_who_is_far_even_by_noised_sketches():
    u = np.random.default_rng(4).normal(size=(8, 50)).astype(np.float32) * 0.05
    u[:2] -= 1.0
    setting = replace(SETTING, screen=Screen(byzantine=2, noise=0.2), clip=1.0)
    weights = cell_weights(u, setting, np.random.default_rng(5))
    assert weights[:2].max() < 0.01
    assert weights.sum() == pytest.approx(1)


def test_liars_deal_the_noise_that_serves_them_and_nobody_weighs_more_than_a_sum_of_h_and_t_allows():
    u = np.random.default_rng(4).normal(size=(8, 50)).astype(np.float32) * 0.05
    u[:2] += 0.12
    screen = Screen(byzantine=2, noise=0.1, least=6)
    lying = np.arange(8) < 2
    assert screen.reach == pytest.approx(0.15)

    def theirs(lying):
        drawn = [cell_weights(u, replace(SETTING, screen=screen, clip=1.0), np.random.default_rng(seed), lying)
                 for seed in range(20)]  # fmt: skip
        assert max(weights.max() for weights in drawn) <= 1 / 6
        assert all(weights.sum() == pytest.approx(1) for weights in drawn)
        return np.mean([weights[:2].sum() for weights in drawn])

    assert theirs(lying) > theirs(None) + 0.05


def test_where_nobody_lies_hardly_anybody_is_shunned_and_nobody_evicted():
    """One seed, fewer rounds, a small problem; `make bench ONLY=byzantine` has the figures."""
    assert list(byzantine_calm.WAYS) == ["open", "fixed cell", "drawn cells"]
    for way in byzantine_calm.WAYS:
        calm = byzantine_calm.once(PROBLEM, way, seed=1, rounds=120)
        assert calm.evicted == 0
        assert calm.shunned_share <= 0.01
        assert calm.accuracy > 70


def test_what_a_watch_of_sums_does_to_the_honest_would_be_seen(monkeypatch):
    monkeypatch.setattr(watch, "_PULL", -100.0)
    monkeypatch.setattr(byzantine_calm, "WatchTerms", lambda: watch.WatchTerms(z_limit=-100.0))
    setting = replace(SETTING, honest=8, liars=0, rounds=60)
    assert byzantine_calm.of_sums(PROBLEM, setting, byzantine_calm.in_turn(8)).shunned_share > 0.1


def test_the_default_lab_finds_its_sign_flipper_and_learns_beside_it():
    plant = byzantine_plant.plant()
    with_liars, without = plant.run(3.0, 1), plant.run(None, 1)
    assert with_liars.caught is not None
    assert with_liars.accuracy > without.accuracy - 3
    assert with_liars.accuracy >= 90
    assert (with_liars.honest_shunned, without.honest_shunned, without.caught) == (0, 0, None)


def test_clipped_sums_are_those_of_single_rows():
    rng = np.random.default_rng(6)
    shard = byzantine_plant.Shard(rng.normal(size=(9, 5)), rng.integers(0, 3, 9))
    model = rng.normal(size=(5, 3))
    total = np.zeros((5, 3))
    for row, label in zip(shard.features, shard.labels, strict=True):
        chances = np.exp(row @ model) / np.exp(row @ model).sum()
        gradient = np.outer(row, chances - np.eye(3)[label])
        total += gradient * min(1, 0.5 / np.linalg.norm(gradient))
    np.testing.assert_allclose(byzantine_plant.clipped_sum(model, shard, 0.5), total)


def test_a_node_never_shuns_itself():
    seen = np.array([[1.0], [2.0], [30.0]], dtype=np.float32)
    assert one_of("mean", 0, seen, np.zeros(3, dtype=bool), 1)[0] == 2


def test_whoever_is_shunned_the_rule_bears_as_many_liars_as_before():
    """An honest one is shunned by mistake, and all liars are back from quarantine."""
    seen = np.vstack([np.ones((6, 2)), np.full((2, 2), 1e6)]).astype(np.float32)
    kept = np.array([True, True, False, True, True, True, True, True])
    assert one_of("fading-mean", 2, seen, kept, 0).tolist() == [1, 1]
    few = np.array([True, False, False, False, False, True, True, True])
    assert one_of("fading-mean", 2, seen + 1, few, 0).tolist() == [2, 2]


def test_a_backdoors_success_is_measured():
    outcome = in_the_open(PROBLEM, replace(SETTING, rule="mean", watch=False), "backdoor")
    assert outcome.success is not None
    clean = in_the_open(PROBLEM, replace(SETTING, rule="mean", watch=False, liars=0, honest=12), "none")
    assert clean.success is None


def test_weights_of_the_published_graph_are_of_metropolis_and_hastings():
    swarm = byzantine_published.Swarm.drawn(10, 2)
    W = swarm.weights()
    np.testing.assert_allclose(W.sum(axis=1), 1)
    np.testing.assert_allclose(W, W.T)
    assert (W >= 0).all()
    assert len(swarm.honest) == 10
    assert not set(swarm.honest) & set(swarm.liars)


@pytest.mark.parametrize("rule", ["ios", "self-centred-clipping-0.3", byzantine.DEFAULT])
def test_the_published_setting_learns(rule):
    score = byzantine_published.learn(PROBLEM, byzantine_published.Swarm.drawn(8, 1), rule, "gaussian", 50)
    assert 0 <= score.least <= score.mean <= 100
    assert score.apart < 1


def test_the_start_is_as_long_as_published_and_says_little():
    models = byzantine_published.start(4, PROBLEM, 1500, np.random.default_rng(0))
    assert (models == models[0]).all()
    assert models.std() == pytest.approx(6 / 2, rel=0.4)  # of 13 numbers that differ
    seen = models.reshape(4, -1, 4)
    assert (seen - seen.mean(axis=2, keepdims=True)).std() < 0.5


@pytest.mark.parametrize("mode", ["open mean", f"open {byzantine.DEFAULT}", "private bound", "private screen"])
def test_a_cell_of_the_matrix_is_a_task(mode, monkeypatch):
    monkeypatch.setattr(byzantine_tasks, "_problem", lambda name: {"small": PROBLEM}[name])
    result = carry_out(*grid("small", 2, [mode], ["backdoor"], ["iid"]))
    assert 0 < result["worst"] <= result["mean"] <= 100
    assert result["success"] is not None
    assert result["evicted"] == 0
