"""Every attack does what its paper says, on cases small enough to work out by hand."""

from statistics import NormalDist

import numpy as np
import pytest

from consensus.rules import lookup
from node.lab.attacks import Attack, Listener, SignFlip, View, alie_z, within
from node.lab.attacks_on_data import ATTACKS, STRENGTHS, Backdoor, DataAttack, adversary, attack

BEFORE = np.array([10, 20], dtype=np.float32)
HONEST = np.array([[11, 22], [13, 20], [12, 24]], dtype=np.float32)
"""Updates (1, 2), (3, 0), (2, 4): their mean is (2, 2), their deviations 1 and 2."""
OWN = np.array([12, 21], dtype=np.float32)


def view(own=OWN, honest=HONEST, round=0, listener=None, seed=0, before=BEFORE, accomplices=1):
    rng = np.random.default_rng(seed)
    return View(own, before, honest, len(honest) + accomplices, accomplices, round, rng, listener)


def said(name, *, at=None, **parameters):
    return attack(name, **parameters).vector(at or view())


@pytest.mark.parametrize("name", ATTACKS)
def test_each_gives_a_vector_of_its_own_and_leaves_what_it_saw(name):
    at = view(listener=Listener(HONEST[0], 1, np.full(3, 0.25), 0.25))
    copies = [each.copy() for each in (at.own, at.before, at.honest)]
    vector = said(name, at=at)
    assert vector.dtype == np.float32
    assert vector.shape == OWN.shape
    for copy, each in zip(copies, (at.own, at.before, at.honest), strict=True):
        assert np.array_equal(copy, each)


@pytest.mark.parametrize("name", ATTACKS)
def test_each_can_act_before_it_has_seen_anybody(name):
    vector = said(name, at=view(honest=np.empty((0, 2), dtype=np.float32)))
    assert np.isfinite(vector).all()


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("sign-flip", {"scale": 3}, [10 - 6, 20 - 6]),
        ("ipm", {"epsilon": 0.5}, [9, 19]),
        ("scaling", {"scale": 10}, [30, 30]),
        ("alie", {"z": 1.5}, [10 + 2 - 1.5, 20 + 2 - 3]),
        ("alie", {"z": 1.5, "side": 1}, [10 + 2 + 1.5, 20 + 2 + 3]),
        ("gaussian", {"deviation": 0}, [12, 22]),
        ("free-rider", {"noise": 0}, [10, 20]),
        ("equivocation", {"scale": 2}, [14, 22]),
        ("backdoor", {"boost": 4}, [18, 24]),
        ("label-flip", {}, [12, 21]),
    ],
)
def test_by_hand(name, parameters, expected):
    assert said(name, **parameters).tolist() == expected


def test_gaussian_noise_has_its_deviation_and_is_drawn_anew():
    honest = np.zeros((3, 10_000), dtype=np.float32)
    at = view(own=honest[0], honest=honest, before=honest[0])
    first, second = (attack("gaussian", deviation=30).vector(at) for _ in range(2))
    assert first.std() == pytest.approx(30, rel=0.03)
    assert not np.array_equal(first, second)


def test_alie_stands_where_a_majority_is_on_its_side():
    """n = 50, f = 24 of the paper's own example: s = 2 supporters among 26 honest, 24/26 of the normal mass below z."""
    assert alie_z(50, 24) == pytest.approx(NormalDist().inv_cdf(24 / 26))
    assert alie_z(50, 24) == pytest.approx(1.43, abs=0.01)
    honest = np.random.default_rng(0).normal(size=(26, 2000)).astype(np.float32)
    vector = said("alie", at=view(honest[0], honest, before=np.zeros(2000, np.float32), accomplices=24))
    beyond = (honest < vector).sum(axis=0).mean()
    assert beyond == pytest.approx(2, abs=0.7)


def test_ipm_turns_the_plain_mean_round_only_beyond_its_bound():
    def along(epsilon, f=2):
        vectors = [*HONEST, *[said("ipm", epsilon=epsilon)] * f]
        mean = lookup("mean")(vectors, [1 / 5] * 5) - BEFORE
        return float(mean @ np.array([2, 2]))

    assert along(1.4) > 0 > along(1.6)  # (n − f)/f = 3/2


def test_mimics_choose_one_and_stay_with_it():
    liars = [attack("mimic", warm_up=3) for _ in range(2)]
    rng = np.random.default_rng(1)
    spread = np.array([[0, 0], [9, 0], [1, 0]])
    for number in range(8):
        honest = (BEFORE + spread + rng.normal(size=(3, 2)) * 0.1).astype(np.float32)
        vectors = [liar.vector(view(honest[0], honest, number)) for liar in liars]
        assert np.array_equal(vectors[0], vectors[1])
        copied = [place for place in range(3) if np.allclose(vectors[0], honest[place], atol=1e-6)]
        assert copied == ([0] if number < 3 else [1])


def mixed(listener_at, liars, honest=HONEST):
    weight = 1 / (len(honest) + 1)
    return honest.sum(axis=0) * weight + liars * weight


def test_isolation_leaves_the_listener_where_it_was():
    for place, mine in enumerate(HONEST):
        told = said("isolation", at=view(listener=Listener(mine, place, np.full(3, 0.25), 0.25)))
        np.testing.assert_allclose(mixed(mine, told), mine, rtol=1e-6)


def test_dissensus_drives_the_listener_away_from_the_others():
    mine = HONEST[0]
    told = said("dissensus", epsilon=2, at=view(listener=Listener(mine, 0, np.full(3, 0.25), 0.25)))
    # gossip without the liar would move it by (0.75, 0); twice its opposite is added
    honest_pull = ((HONEST - mine) * 0.25).sum(axis=0)
    np.testing.assert_allclose(mixed(mine, told) - mine, -honest_pull, rtol=1e-6)


def test_a_duplicate_is_some_honest_vector():
    told = {tuple(said("duplicate", at=view(seed=seed)).tolist()) for seed in range(40)}
    assert told == {tuple(row.tolist()) for row in HONEST}


def test_drift_adds_up_where_noise_does_not():
    liar, rng, total = attack("slow-drift", step=0.5), np.random.default_rng(2), np.zeros(2)
    liar.vector(view())
    for _ in range(400):
        update = rng.normal(size=2).astype(np.float32)
        told = liar.vector(view(own=BEFORE + update)) - BEFORE
        total += told - update
    lengths = 400 * 0.5 * np.sqrt(np.pi / 2)  # the mean length of a normal pair
    np.testing.assert_allclose(total, -lengths * np.array([1, 1]) / np.sqrt(2), rtol=0.1)


def test_a_free_rider_learns_nothing_and_hides_a_little():
    told = said("free-rider", noise=0.01) - BEFORE
    typical = np.linalg.norm(HONEST - BEFORE, axis=1).mean()
    assert np.linalg.norm(told) == pytest.approx(0.01 * typical, rel=1e-3)


def test_a_replay_is_as_old_as_it_says():
    liar = attack("stale-replay", age=3)
    told = [float(liar.vector(view(own=np.full(2, number, dtype=np.float32)))[0]) for number in range(8)]
    assert told == [0, 0, 0, 0, 1, 2, 3, 4]


def test_equivocation_says_opposite_things():
    one, other = (
        said("equivocation", at=view(listener=Listener(HONEST[0], place, np.full(3, 0.25), 0.25))) for place in (0, 1)
    )
    np.testing.assert_allclose(one + other, 2 * BEFORE)
    assert not np.array_equal(one, other)


def test_what_is_too_long_is_drawn_in_and_nothing_else():
    long = np.array([3, 4], dtype=np.float32)
    assert within(long, 5) is long
    np.testing.assert_allclose(within(long, 1), [0.6, 0.8])


ROWS = (np.random.default_rng(3).uniform(size=(1000, 20)).astype(np.float32), np.arange(1000) % 4)


def test_flipped_labels_are_the_mirrored_classes():
    features, labels = attack("label-flip").rows(ROWS, 4, np.random.default_rng(0))
    assert features is ROWS[0]
    assert labels[:8].tolist() == [3, 2, 1, 0, 3, 2, 1, 0]


def test_a_backdoor_marks_its_share_of_the_rows_and_names_them():
    before = ROWS[0].copy()
    door = Backdoor(target=2, share=0.3, spots=5)
    features, labels = door.rows(ROWS, 4, np.random.default_rng(0))
    marked = (features != ROWS[0]).any(axis=1)
    assert marked.mean() == pytest.approx(0.3, abs=0.05)
    assert (labels[marked] == 2).all()
    assert np.array_equal(labels[~marked], ROWS[1][~marked])
    assert (features[marked][:, -5:] == ROWS[0].max()).all()
    assert np.array_equal(features[:, :-5], ROWS[0][:, :-5])
    assert np.array_equal(ROWS[0], before)


def test_a_backdoors_success_counts_rows_of_other_classes_alone():
    called = np.array([2, 2, 2, 0])
    assert Backdoor(target=2).success(called, np.array([2, 1, 0, 0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ATTACKS)
def test_parameters_are_checked_by_name(name):
    assert isinstance(attack(name), Attack)
    with pytest.raises(ValueError, match="has no nonsense"):
        attack(name, nonsense=1)


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="sign-flip"):
        attack("sign-flp")


def test_those_who_lie_about_rows_say_what_they_learned():
    for name, kind in ATTACKS.items():
        if issubclass(kind, DataAttack):
            assert np.array_equal(said(name), OWN)


def test_a_file_says_how_strong():
    assert adversary("sign-flip:3") == SignFlip(scale=3.0)
    assert adversary("stale-replay:4").age == 4
    assert adversary("mimic") == attack("mimic")
    with pytest.raises(ValueError, match="no strength"):
        adversary("label-flip:2")
    for name, parameter in STRENGTHS.items():
        assert getattr(adversary(f"{name}:2"), parameter) == 2
