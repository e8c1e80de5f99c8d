"""A phase by itself: who is shunned is heard and not averaged, and a rule that has too few vectors is not asked."""

import numpy as np
import pytest

from consensus.effects import Heard
from consensus.errors import RemoteFault
from consensus.messages import Contribution
from consensus.phase import Phase
from consensus.round import Round
from consensus.rules import lookup, mean
from consensus.standpoint_rules import Standpoint

PEERS = ["a", "b", "c", "d", "e"]
WEIGHTS = dict.fromkeys(PEERS, 0.2)


def vector(value):
    return np.full(3, value, np.float32)


def phase(shunned=(), quorum=0.6, heard=None):
    made = Phase("phase", "a", WEIGHTS, 3, quorum, shunned)
    for peer, value in ({"b": 1, "c": 2, "d": 3, "e": 100} if heard is None else heard).items():
        made.hear(peer, vector(value))
    return made


def test_the_weight_of_whoever_is_shunned_goes_to_ones_own():
    mixed = phase(shunned=["e"]).mix(vector(0), mean)
    np.testing.assert_allclose(mixed.vector, (0 * 0.4 + 1 * 0.2 + 2 * 0.2 + 3 * 0.2))


def test_what_was_heard_already_is_not_read_again():
    class Counted(np.ndarray):
        reads = 0

        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            Counted.reads += 1
            return getattr(ufunc, method)(*(np.asarray(one) for one in inputs), **options)

    made, said = phase(heard={}), vector(1).view(Counted)
    assert made.hear("b", said)
    once = Counted.reads
    assert once > 0
    assert not made.hear("b", said)
    assert Counted.reads == once


def test_whoever_is_shunned_is_heard_all_the_same():
    made = phase(shunned=["e"])
    assert set(made.heard) == {"b", "c", "d", "e"}
    assert set(made.averaged) == {"b", "c", "d"}
    assert made.vectors["e"][0] == 100
    with pytest.raises(RemoteFault):
        made.hear("e", vector(np.nan))


def test_who_shuns_the_same_comes_to_the_same_bits():
    """Not the weights: those of a shunned member go to each one's own. The rule does not look at weights."""
    rule = lookup("nnm+geometric-median", 1)
    sight = {"a": 0, "b": 1, "c": 2, "d": 3, "e": 100}
    results = []
    for me in ("a", "b"):
        made = Phase("phase", me, WEIGHTS, 3, 0.6, ["e"])
        for peer, value in sight.items():
            if peer != me:
                made.hear(peer, vector(value))
        results.append(made.mix(vector(sight[me]), rule).vector.tobytes())
    assert results[0] == results[1]


def test_fewer_vectors_than_the_rule_needs_make_a_phase_void_and_not_unsafe():
    rule = lookup("median", 2)
    assert phase().mix(vector(0), rule) is not None
    assert phase(shunned=["e"]).mix(vector(0), rule) is None
    assert phase(heard={"b": 1, "c": 2}).mix(vector(0), rule) is None


def test_a_rule_is_told_where_it_stands():
    told = []

    def asking(vectors, weights, standpoint):
        told.append((standpoint, vectors[standpoint.own][0]))
        return vectors[0].copy()

    phase().mix(vector(7), asking, Standpoint(progress=0.25))
    assert told[0][0].progress == 0.25
    assert told[0][1] == 7


def test_nobody_shuns_itself():
    assert set(phase(shunned=["a"]).averaged) == {"b", "c", "d", "e"}


def test_what_was_heard_is_kept_for_review_with_how_late_it_was():
    round_ = Round("a", 4, [WEIGHTS], vector(0), rule=mean, quorum=0.6, deadline_s=10.0, shunned=["e"], keep=True)
    round_.receive(Heard("b", Contribution(4, 0, vector(1))), 0.0)
    round_.start(100.0)
    for delay, peer in enumerate(("c", "d", "e"), start=1):
        round_.receive(Heard(peer, Contribution(4, 0, vector(2))), 100.0 + delay)
    (kept,) = round_.outcome.kept
    assert kept.lateness == {"b": 0.0, "c": 0.1, "d": 0.2, "e": pytest.approx(0.3)}
    assert set(kept.heard) == {"b", "c", "d", "e"}
    assert round_.outcome.present == ("b", "c", "d")
    assert round_.outcome.absent == ("e",)
