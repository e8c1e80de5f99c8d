"""What `[privacy]` says of noise must hold together with the rest of the file."""

import pytest

from crypto.accountant import Release, epsilon
from node.learning.data import load_dataset
from node.privacy import plan_of
from node.rows import even_part, public_rows
from overlay.topology import TopologyError
from overlay.topology_errors import Problem
from overlay.topology_noise import check_noise, releases
from overlay.topology_privacy import Privacy
from overlay.topology_schema import Rounds, Task
from tests.node.test_privacy import topology


@pytest.mark.parametrize(
    ("dp", "noise", "epochs", "sampling", "expected"),
    [
        ("record", "distributed", 1, 0.25, 30),
        ("record", "local", 1, 0.25, 120),
        ("record", "local", 3, 1.0, 90),
        ("record", "local", 1, 0.3, 90),
        ("update", "local", 5, 0.25, 30),
        ("update", "distributed", 5, 1.0, 30),
    ],
)
def test_how_many_noised_results_a_run_lets_out(dp, noise, epochs, sampling, expected):
    shared = {"sharing": "shamir"} if noise == "distributed" else {}
    privacy = Privacy(dp=dp, noise=noise, sampling=sampling, epsilon=4.0, delta=1e-5, **shared)
    assert releases(privacy, Task(local_epochs=epochs), Rounds(count=30)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(more="rows = 40\n[targets]\nepsilon = 0"), r"targets\.epsilon"),
        (dict(epsilon=5000.0), "privacy.epsilon"),
        (dict(noise="local", sharing="none", epsilon=9000.0), "no privacy"),
    ],
)
def test_the_key_that_is_wrong_is_named(changes, message):
    with pytest.raises(TopologyError, match=message):
        topology(**changes)


def test_keys_of_training_that_distributed_noise_does_not_read_are_refused():
    raw = topology().model_dump(by_alias=True)
    for key, value in (("local_epochs", 2), ("weight_decay", 0.1)):
        changed = raw | {"task": raw["task"] | {key: value}}
        with pytest.raises(TopologyError, match=f"{key} = {value} has no effect where noise on rows is distributed"):
            type(topology()).of(changed, "cell.toml")


def test_cells_in_which_too_few_would_be_left_to_add_noise_are_refused():
    raw = topology(sharing="masks").model_dump(by_alias=True)
    changed = raw | {"privacy": raw["privacy"] | {"tolerated": 3, "absentees": 1}}
    with pytest.raises(TopologyError, match="does not fit cells of 4"):
        type(topology()).of(changed, "cell.toml")
    with pytest.raises(Problem, match="m - t - f - e >= 1 members who keep it secret: m=4, t=2, f=1, e=1"):
        check_noise(topology().privacy.model_copy(update={"tolerated": 2, "liars": 1}), Task(), Rounds(), 4)


def test_the_public_number_of_rows_is_the_files_or_an_even_part():
    assert public_rows(topology(more="rows = 77")) == 77
    file = topology(more="")
    train = len(load_dataset("digits").train)
    assert public_rows(file) == even_part(file, train) == round(train * 0.85 / 4)
    assert public_rows(topology(dp="update", more="")) == 1, "nobody asks"


def test_the_noise_of_the_file_keeps_its_epsilon_and_hardly_more_than_that():
    for rounds in (1, 10, 100):
        plan = plan_of(topology(rounds=rounds, epsilon=1.5), 40)
        spent = epsilon([Release(plan.multiplier, 1.0, rounds, plan.failure * rounds)], 1e-5)
        assert 1.49 < spent <= 1.5
