"""What privacy costs: accuracies under distributed noise over a whole run, at the budget that is accounted for."""

import pytest

from crypto.accountant import epsilon
from node.learning.data import deal, load_dataset
from node.learning.partition import partition
from tests.node.learning.cell import plan_for, run, train_rows

DELTA = 1e-5


@pytest.fixture(scope="module")
def digits():
    split = load_dataset("digits")
    return split, deal(split.train, partition(split.train.labels, "dirichlet", 8, 7, alpha=0.5), 0.15, 7)


@pytest.mark.parametrize(
    ("budget", "least", "settings"),
    [
        (4.0, 0.93, dict(sampling=1.0, steps=30, model="linear", learning_rate=1.0)),
        (4.0, 0.92, dict(sampling=0.5, steps=60, model="linear", learning_rate=0.5)),
        (4.0, 0.92, dict(sampling=1.0, steps=40, model="mlp", hidden=(64,), learning_rate=0.5)),
        (2.0, 0.90, dict(sampling=1.0, steps=30, model="linear", learning_rate=0.5)),
    ],
    ids=["4-linear", "4-linear-sampled", "4-mlp", "2-linear"],
)
def test_digits_on_eight_nodes_of_skewed_labels(digits, budget, least, settings):
    split, shards = digits
    settings = dict(settings)
    plan = plan_for(
        train_rows(shards), budget, clip=0.5, sampling=settings.pop("sampling"), steps=settings.pop("steps")
    )
    ledgers = [[] for _ in shards]
    accuracy = run(train_rows(shards), split.test, plan, momentum=0.9, seed=3, ledgers=ledgers, **settings)
    for spent in ledgers:
        assert len(spent) == plan.steps
        assert 0.99 * budget < epsilon(spent, DELTA) <= budget
    assert accuracy >= least


@pytest.mark.parametrize(
    ("budget", "least", "settings"),
    [
        (1.0, 0.835, dict(clip=1.0, steps=30, learning_rate=2.0, momentum=0.9)),
        (0.1, 0.80, dict(clip=0.5, steps=20, learning_rate=4.0, momentum=0.8)),
    ],
    ids=["1", "0.1"],
)
def test_adult_on_eight_nodes(data_dir, budget, least, settings):
    split = load_dataset(f"adult:{data_dir / 'adult'}")
    shards = deal(split.train, partition(split.train.labels, "iid", 8, 7), 0.15, 7)
    settings = dict(settings)
    plan = plan_for(train_rows(shards), budget, clip=settings.pop("clip"), sampling=1.0, steps=settings.pop("steps"))
    ledgers = [[] for _ in shards]
    accuracy = run(train_rows(shards), split.test, plan, model="linear", seed=3, ledgers=ledgers, **settings)
    assert max(epsilon(spent, DELTA) for spent in ledgers) <= budget
    assert accuracy >= least
