"""Scores, verdicts and clocks, against a table of what leads where and a model that counts along."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crypto.identity import PeerId
from detect.peers.evidence import EVICTS, Evidence, Severity
from detect.peers.quarantine import MAX_FACTOR, Response, Standing, Verdict
from detect.peers.reputation import FULL, KEPT, Reputations

A, B = PeerId("peer a"), PeerId("peer b")
RESPONSE = Response(quarantine_s=120.0, probation_rounds=3)


def fact(severity, peer=A, round_=0):
    return Evidence(peer, round_, "norm", severity, "z = 12")


def fresh():
    return Reputations([A, B], RESPONSE)


def test_everybody_begins_trusted_with_all_of_it():
    watch = fresh()
    assert (watch.score(A), watch.standing(A).verdict, watch.shunned()) == (100.0, Verdict.TRUSTED, frozenset())


@pytest.mark.parametrize(
    ("severity", "left"),
    [
        (Severity.LOW, 97.0),
        (Severity.MEDIUM, 90.0),
        (Severity.HIGH, 75.0),
        (Severity.WITNESSED, 0.0),
        (Severity.PROVED, 0.0),
    ],
)
def test_a_fact_costs_by_its_severity_and_nobody_else(severity, left):
    watch = fresh()
    watch.accuse(fact(severity), 0.0)
    assert (watch.score(A), watch.score(B)) == (left, 100.0)


def test_from_suspect_to_quarantine_to_probation_to_trust():
    watch = fresh()
    assert watch.accuse(fact(Severity.HIGH), 0.0) is None
    suspect = watch.accuse(fact(Severity.HIGH), 1.0)
    assert (suspect.after, watch.shunned()) == (Verdict.SUSPECT, frozenset())
    quarantined = watch.accuse(fact(Severity.LOW), 2.0)
    assert (quarantined.before, quarantined.after, quarantined.until) == (Verdict.SUSPECT, Verdict.QUARANTINED, 122.0)
    assert "norm" in quarantined.reason
    assert watch.shunned() == {A}
    assert watch.release(121.9) == []
    (released,) = watch.release(122.0)
    assert (released.after, watch.shunned(), watch.score(A)) == (Verdict.PROBATION, frozenset(), 50.0)
    assert [watch.reward(A) for _ in range(2)] == [None, None]
    assert watch.reward(A).after is Verdict.TRUSTED


def test_who_offends_in_probation_is_away_for_twice_as_long_each_time():
    watch, now, lasted = fresh(), 0.0, []
    for _ in range(9):
        while watch.standing(A).verdict is not Verdict.QUARANTINED:
            watch.accuse(fact(Severity.HIGH), now)
        lasted.append(watch.standing(A).until - now)
        now = watch.standing(A).until
        watch.release(now)
    assert lasted == [120.0 * min(2**k, MAX_FACTOR) for k in range(9)]


def test_a_low_fact_in_probation_only_begins_the_count_anew():
    watch = fresh()
    for _ in range(3):
        watch.accuse(fact(Severity.HIGH), 0.0)
    watch.release(120.0)
    watch.reward(A)
    watch.reward(A)
    assert watch.accuse(fact(Severity.LOW), 121.0) is None
    assert [watch.reward(A) for _ in range(2)] == [None, None]
    assert watch.reward(A).after is Verdict.TRUSTED


@pytest.mark.parametrize("severity", [Severity.LOW, Severity.MEDIUM, Severity.HIGH])
def test_without_proof_nobody_is_evicted_however_often(severity):
    watch, now = fresh(), 0.0
    for _ in range(300):
        watch.accuse(fact(severity), now)
        now += 50.0
        watch.release(now)
    assert watch.evicted() == frozenset()


def test_proof_evicts_at_once_and_for_good():
    watch = fresh()
    assert watch.accuse(fact(Severity.PROVED), 0.0).after is Verdict.EVICTED
    watch.release(1e12)
    watch.reward(A)
    for verdict in Verdict:
        assert watch.order(word(A), verdict, 0.0, 60.0) is None
    assert (watch.evicted(), watch.shunned(), watch.trust(A)) == ({A}, {A}, 0.0)


def test_facts_in_quarantine_do_not_lengthen_it_but_count():
    watch = fresh()
    for _ in range(3):
        watch.accuse(fact(Severity.HIGH), 0.0)
    until = watch.standing(A).until
    watch.accuse(fact(Severity.HIGH), 60.0)
    assert (watch.standing(A).until, watch.score(A)) == (until, 0.0)


def word(peer: PeerId) -> Evidence:
    return Evidence(peer, 3, "operator", Severity.LOW, "ordered by ops: noise on the line")


def test_an_operators_word_is_done_and_remembered_and_costs_nothing():
    watch = fresh()
    change = watch.order(word(A), Verdict.QUARANTINED, 5.0, 30.0)
    assert (change.after, change.until) == (Verdict.QUARANTINED, 35.0)
    assert change.reason == "ordered by ops: noise on the line"
    assert watch.shunned() == {A}
    assert watch.order(word(A), Verdict.QUARANTINED, 6.0, 100.0).until == 106.0  # the last word counts
    assert watch.release(50.0) == []
    assert watch.order(word(A), Verdict.PROBATION, 51.0).after is Verdict.PROBATION
    assert watch.order(word(B), Verdict.PROBATION, 51.0) is None  # it is in none
    assert watch.score(A) == FULL
    assert [(fact.kind, cost) for fact, cost in watch.facts(A)] == [("operator", 0.0)] * 3
    assert watch.standing(A).offences == 0


def test_a_revocation_is_for_good_and_outlives_a_restart():
    watch, later = fresh(), fresh()
    assert watch.order(word(A), Verdict.EVICTED, 5.0).after is Verdict.EVICTED
    later.restore(watch.snapshot())
    assert later.release(1e12) == []
    assert later.order(word(A), Verdict.PROBATION, 6.0) is None
    assert later.evicted() == {A}


def test_good_rounds_heal_slowly_and_never_beyond_full():
    watch = fresh()
    watch.accuse(fact(Severity.HIGH), 0.0)
    watch.accuse(fact(Severity.LOW), 0.0)
    assert watch.standing(A).verdict is Verdict.SUSPECT
    changes = [watch.reward(A) for _ in range(40)]
    assert [change.after for change in changes if change] == [Verdict.TRUSTED]
    assert changes[2].after is Verdict.TRUSTED  # 72 → 75
    assert watch.score(A) == FULL
    assert watch.trust(A) == 1.0


def test_a_stranger_has_no_reputation():
    with pytest.raises(KeyError):
        fresh().accuse(fact(Severity.LOW, PeerId("nobody")), 0.0)


def test_a_restart_changes_nothing():
    watch = fresh()
    for at, severity in enumerate([Severity.HIGH, Severity.MEDIUM, Severity.HIGH]):
        watch.accuse(fact(severity, round_=at), float(at))
    watch.accuse(fact(Severity.PROVED, B), 4.0)
    again = fresh()
    again.restore(watch.snapshot())
    assert again.snapshot() == watch.snapshot()
    assert (again.standing(A), again.facts(A), again.evicted()) == (watch.standing(A), watch.facts(A), {B})
    assert again.release(again.standing(A).until)[0].peer == A


def test_peers_that_left_the_list_are_forgotten():
    watch = fresh()
    watch.accuse(fact(Severity.HIGH), 0.0)
    only_b = Reputations([B], RESPONSE)
    only_b.restore(watch.snapshot())
    assert list(only_b.snapshot()) == [B]


@pytest.mark.parametrize(
    "damage",
    [
        {"score": "many"}, {"score": 101.0}, {"score": float("nan")}, {"verdict": "friend"}, {"until": -1.0},
        {"facts": [[1, 2]]}, {"facts": None}, {"offences": -1}, {"facts": [[0, "norm", "terrible", "", 0.0]]},
    ],
)  # fmt: skip
def test_a_damaged_snapshot_is_refused_whole(damage):
    watch = fresh()
    good = watch.snapshot()
    with pytest.raises(ValueError, match="the reputation of peer b cannot be read"):
        watch.restore({A: good[A] | {"score": 1.0}, B: good[B] | damage})
    assert watch.snapshot() == good
    with pytest.raises(ValueError, match="cannot be read"):
        watch.restore({A: 7})


def test_only_the_last_facts_are_kept_and_reasons_are_short():
    watch = fresh()
    for at in range(3 * KEPT):
        watch.accuse(Evidence(A, at, "norm", Severity.LOW, "x" * 10_000), 0.0)
    assert len(watch.facts(A)) == KEPT
    assert watch.facts(A)[-1][0].round == 3 * KEPT - 1
    assert len(watch.facts(A)[0][0].reason) <= 200


@pytest.mark.parametrize(
    "wrong", [{"limit": 80.0}, {"penalty": 0.0}, {"quarantine_s": float("inf")}, {"probation_rounds": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="needed"):
        Response(**wrong)


@given(st.lists(st.sampled_from([Severity.LOW, Severity.MEDIUM, Severity.HIGH, None]), max_size=80))
def test_a_score_stays_between_none_and_all(story):
    watch = fresh()
    for at, severity in enumerate(story):
        if severity is None:
            watch.reward(A)
        else:
            watch.accuse(fact(severity), float(at))
        assert 0.0 <= watch.score(A) <= FULL


class Life(RuleBasedStateMachine):
    """One peer through any life: the verdict is always one that the table allows."""

    @initialize()
    def begin(self):
        self.watch, self.now, self.proved = fresh(), 0.0, False

    @rule(severity=st.sampled_from(list(Severity)))
    def offend(self, severity):
        before = self.watch.standing(A)
        self.watch.accuse(fact(severity), self.now)
        after = self.watch.standing(A)
        self.proved |= severity in EVICTS
        if before.verdict is Verdict.QUARANTINED and not self.proved:
            assert after == before
        if before.verdict is not Verdict.QUARANTINED and after.verdict is Verdict.QUARANTINED:
            assert after.until > self.now
            assert after.offences == before.offences + 1

    @rule()
    def behave(self):
        before = self.watch.standing(A)
        self.watch.reward(A)
        assert before.verdict.averaged or self.watch.standing(A) == before

    @rule(seconds=st.floats(0.1, 10_000))
    def wait(self, seconds):
        self.now += seconds
        self.watch.release(self.now)
        standing = self.watch.standing(A)
        assert standing.verdict is not Verdict.QUARANTINED or standing.until > self.now

    @invariant()
    def evicted_only_on_proof(self):
        if hasattr(self, "watch"):
            assert (self.watch.standing(A).verdict is Verdict.EVICTED) == self.proved
            assert isinstance(self.watch.standing(A), Standing)
            assert self.watch.score(B) == FULL


TestLife = Life.TestCase
