from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.learning.promotion import PATIENCE, Challenger, Promotion, Standing

RULE = Promotion(classes=10, promote_margin=0.1, rollback_margin=0.5)
CHAMPION = Standing(version=3, loss=0.5, norm=8.0)
MUCH_WORSE = 0.5 + 0.51 * math.log(10)

anything = st.floats(allow_nan=True, allow_infinity=True)


def judge(loss: float, norm: float = 8.0, standing: Standing = CHAMPION, **options):
    return RULE.judge(standing, Challenger(loss, norm), **options)


@pytest.mark.parametrize(
    ("loss", "outcome"), [(0.44, "promoted"), (0.46, "kept"), (0.5, "kept"), (0.5 + 0.49 * math.log(10), "kept")]
)
def test_better_by_the_share_is_promoted_and_a_little_worse_is_kept(loss, outcome):
    assert judge(loss).outcome == outcome


def test_promotion_makes_the_challenger_the_standing():
    assert judge(0.3, 9.0).standing == Standing(version=4, loss=0.3, norm=9.0)
    assert judge(0.6).standing == CHAMPION


def test_what_no_peer_averaged_is_never_promoted():
    assert judge(0.01, averaged=False).outcome == "kept"


def test_much_worse_is_borne_until_patience_ends():
    standing = CHAMPION
    for round_ in range(1, PATIENCE):
        verdict = judge(MUCH_WORSE, standing=standing)
        assert (verdict.outcome, verdict.standing.worse) == ("kept", round_)
        standing = verdict.standing
    verdict = judge(MUCH_WORSE, standing=standing)
    assert (verdict.outcome, verdict.standing) == ("rolled back", CHAMPION)
    assert f"for {PATIENCE} rounds" in str(verdict.reason)


def test_one_better_round_restores_patience():
    standing = judge(MUCH_WORSE).standing
    standing = judge(MUCH_WORSE, standing=standing).standing
    standing = judge(0.6, standing=standing).standing
    assert judge(MUCH_WORSE, standing=standing).outcome == "kept"


@pytest.mark.parametrize(
    ("loss", "norm"),
    [(math.nan, 8.0), (math.inf, 8.0), (0.4, math.inf), (0.4, math.nan), (0.0, 8000.0), (30.0, 8.0)],
)
def test_blown_up_is_rolled_back_at_once(loss, norm):
    verdict = judge(loss, norm)
    assert (verdict.outcome, verdict.standing) == ("rolled back", CHAMPION)
    assert verdict.reason


def test_the_initial_model_is_gone_back_to_only_from_wreckage():
    initial = Standing(version=0, loss=2.3, norm=5.0)
    standing = initial
    for _ in range(10):
        verdict = judge(5.0, standing=standing)
        assert verdict.outcome == "kept"
        standing = verdict.standing
    assert judge(math.nan, standing=standing).outcome == "rolled back"
    assert judge(2.0, standing=standing).outcome == "promoted"


def test_a_model_that_begins_near_zero_may_grow():
    assert judge(0.4, 50.0, standing=Standing(version=0, loss=2.3, norm=0.0)).outcome == "promoted"


@given(loss=anything, norm=anything, version=st.integers(0, 5), worse=st.integers(0, PATIENCE - 1))
def test_the_champion_never_gets_worse_or_infinite(loss, norm, version, worse):
    standing = Standing(version=version, loss=0.5, norm=8.0, worse=worse)
    after = judge(loss, norm, standing=standing)
    assert after.standing.loss <= standing.loss
    assert math.isfinite(after.standing.norm)
    assert (after.standing.version == version + 1) == (after.outcome == "promoted")
    assert (after.reason is None) == (after.outcome != "rolled back")
    assert after.standing.worse >= 0
    if after.outcome == "kept":
        assert math.isfinite(loss)
