import io
import pickle
import zipfile

import numpy as np
import pytest

from detect.peers.forest import ForestError, ForestWatch

FEATURES = ("norm", "cosine")


def honest(rng):
    return {"norm": float(rng.normal(1.0, 0.1)), "cosine": float(rng.normal(0.9, 0.02))}


def flipper(rng):
    return {"norm": float(rng.normal(1.0, 0.1)), "cosine": float(rng.normal(-0.9, 0.02))}


@pytest.fixture(scope="module")
def story():
    """A forest that has seen 400 updates of the honest, with a liar among them later on."""
    rng = np.random.default_rng(1)
    watch = ForestWatch(FEATURES, seed=3)
    lines = []
    for at in range(400):
        bad = at > 200 and at % 10 == 0
        watch.see(flipper(rng) if bad else honest(rng), accused=bad)
        lines += [line for line in [watch.learn()] if line]
    return watch, lines


def test_before_it_is_trained_everybody_is_approved():
    watch = ForestWatch(FEATURES, seed=1)
    assert not watch.trained
    assert watch.odd([{"norm": 1e6, "cosine": -1.0}]) == [False]
    for _ in range(19):
        watch.see(honest(np.random.default_rng(2)), accused=False)
    assert watch.learn() is None


def test_twenty_samples_make_the_first_champion():
    rng = np.random.default_rng(2)
    watch = ForestWatch(FEATURES, seed=1)
    for _ in range(20):
        watch.see(honest(rng), accused=False)
    first = watch.learn()
    assert (first.promoted, first.version, first.samples) == (True, 1, 20)
    assert np.isnan(first.champion_score)
    assert watch.learn() is None  # nothing new


def test_it_finds_liars_and_lets_the_honest_be(story):
    watch, _ = story
    rng = np.random.default_rng(9)
    assert np.mean(watch.odd([flipper(rng) for _ in range(50)])) > 0.9
    assert np.mean(watch.odd([honest(rng) for _ in range(50)])) < 0.5


def test_a_challenger_takes_over_by_a_margin_or_in_time_only(story):
    _, lines = story
    assert len(lines) >= 15
    assert any(line.promoted for line in lines[1:])
    assert any(not line.promoted for line in lines)
    versions = [line.version for line in lines]
    assert versions == sorted(versions)
    for line in lines[1:]:
        if line.challenger_score > line.champion_score + 0.05:
            assert line.promoted


def test_the_accused_are_not_learned_from():
    rng = np.random.default_rng(4)
    watch = ForestWatch(FEATURES, seed=1)
    for at in range(300):
        bad = at % 2 == 1  # half of all that is seen
        watch.see(flipper(rng) if bad else honest(rng), accused=bad)
        watch.learn()
    assert np.mean(watch.odd([flipper(rng) for _ in range(50)])) > 0.9


def test_what_is_not_finite_is_odd_and_not_learned():
    watch = ForestWatch(FEATURES, seed=1)
    for value in (float("nan"), float("inf"), 1e300):
        assert watch.odd([{"norm": value, "cosine": 0.0}]) == [True]
        for _ in range(30):
            watch.see({"norm": value, "cosine": 0.0}, accused=False)
    assert watch.learn() is None


def test_a_restart_changes_no_answer(story):
    watch, _ = story
    again = ForestWatch(FEATURES, seed=3)
    again.restore(watch.snapshot())
    rng = np.random.default_rng(10)
    samples = [honest(rng) for _ in range(100)] + [flipper(rng) for _ in range(20)]
    assert again.odd(samples) == watch.odd(samples)
    assert (again.version, list(again.history)[1:]) == (watch.version, list(watch.history)[1:])
    assert again.snapshot().keys() == watch.snapshot().keys()


class Bomb:
    def __reduce__(self):
        return (print, ("exploded",))


def renamed(data):
    """The stored forest with another class in it."""
    source, out = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(
                name,
                source.read(name)
                .replace(b"IsolationForest", b"Popen")
                .replace(b"sklearn.ensemble._iforest", b"subprocess"),
            )
    return out.getvalue()


def test_bytes_that_are_no_forest_are_refused_and_change_nothing(story, capsys):
    watch, _ = story
    good = watch.snapshot()
    again = ForestWatch(FEATURES, seed=3)
    wrong = [
        b"",
        b"PK",
        good["champion"][:-100],
        pickle.dumps(Bomb()),
        b"x" * (17 << 20),
        "text",
        renamed(good["champion"]),
    ]
    for champion in wrong:
        with pytest.raises(ForestError):
            again.restore(good | {"champion": champion})
    for damage in ({"good": [[1.0]]}, {"recent": [[]]}, {"history": [[1]]}, {"version": None}, {"features": ["norm"]}):
        with pytest.raises(ForestError):
            again.restore(good | damage)
    with pytest.raises(ForestError):
        again.restore({})
    assert not again.trained
    assert "exploded" not in capsys.readouterr().out


def test_a_forest_of_other_features_is_refused(story):
    watch, _ = story
    with pytest.raises(ForestError, match="features"):
        ForestWatch(("norm", "cosine", "lateness"), seed=3).restore(watch.snapshot())
