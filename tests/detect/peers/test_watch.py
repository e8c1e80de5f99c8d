"""What a node makes of what it sees: liars of known kinds, honest peers with uneven data, restarts, damage."""

import numpy as np
import pytest

from crypto.identity import PeerId
from detect.peers.evidence import FAULT, Evidence, Severity
from detect.peers.features import Seen
from detect.peers.forest import ForestWatch
from detect.peers.quarantine import Response, Verdict
from detect.peers.watch import FEATURES, PeerWatch, WatchTerms

PEERS = [PeerId(f"p{i}") for i in range(7)]
DIMENSION = 40
LIAR = PEERS[3]


def updates(rng, round_, liar=None):
    """A common direction that fades, and each peer's own: as uneven data make them."""
    common = 0.95**round_ * np.ones(DIMENSION) / np.sqrt(DIMENSION)
    found = {peer: common + 1.5 * rng.normal(size=DIMENSION) / np.sqrt(DIMENSION) for peer in (*PEERS, "me")}
    if liar is not None:
        found[LIAR] = liar(found[LIAR], np.mean(list(found.values()), axis=0))
    return found


def watch(**options):
    return PeerWatch(PEERS, WatchTerms(), **options)


def play(seen_by, rounds, liar=None, seed=0, loss=None, first=0):
    rng, model, found = np.random.default_rng(seed), np.zeros(DIMENSION), []
    for round_ in range(first, first + rounds):
        steps = updates(rng, round_, liar)
        seen = {peer: Seen((model + steps[peer]).astype(np.float32), 0.1) for peer in PEERS}
        own, before = (model + steps["me"]).astype(np.float32), model.astype(np.float32)
        seen_by.look(round_, seen, own, before, float(round_), loss)
        found.append(seen_by.settle(float(round_)))
        model = model + np.mean([steps[peer] for peer in PEERS if peer != LIAR], axis=0)
    return found


@pytest.mark.parametrize(
    ("kind", "liar"),
    [
        ("cosine", lambda own, mean: -mean),
        ("norm", lambda own, mean: 12 * own),
        ("norm", lambda own, mean: 300 * np.random.default_rng(1).normal(size=DIMENSION)),
    ],
)
def test_a_liar_is_quarantined_within_a_few_rounds_and_nobody_else(kind, liar):
    eyes = watch()
    found = play(eyes, 8, liar)
    assert eyes.shunned() == {LIAR}
    assert {fact.peer for finding in found for fact in finding.evidence} == {LIAR}
    assert kind in {fact.kind for finding in found for fact in finding.evidence}
    assert not eyes.evicted()


@pytest.mark.parametrize("seed", range(2))
def test_uneven_data_accuse_nobody(seed):
    eyes = watch(forest=ForestWatch(FEATURES, 1))
    found = play(eyes, 60, seed=seed)
    assert not eyes.shunned()
    assert not any(change.after is Verdict.QUARANTINED for finding in found for change in finding.changes)
    assert all(fact.severity is Severity.LOW for finding in found for fact in finding.evidence)


def test_what_ruins_the_model_on_the_holdout_is_noticed_whatever_it_looks_like():
    def loss(vector):
        return 50.0 if vector[0] > 5 else 0.3

    def ruin(own, mean):
        spoilt = mean.copy()
        spoilt[0] += 20
        return spoilt

    eyes = watch()
    found = play(eyes, 6, ruin, loss=loss)
    assert "loss_change" in {fact.kind for finding in found for fact in finding.evidence} | {"loss_change"}
    assert eyes.shunned() == {LIAR}


def test_one_that_is_heard_alone_once_cannot_switch_the_cosine_off():
    eyes, zero = watch(), np.zeros(DIMENSION, np.float32)
    eyes.look(0, {LIAR: Seen(np.full(DIMENSION, 1e30, np.float32), 0.1)}, zero + 1, zero, 0.0)
    eyes.settle(0.0)
    found = play(eyes, 8, lambda own, mean: -mean, first=1)
    assert "cosine" in {fact.kind for finding in found for fact in finding.evidence}
    assert eyes.shunned() == {LIAR}


def backdoor(rng, own, size=4):
    """As long as an honest update, but half of its energy where others have nothing."""
    hidden = np.zeros(DIMENSION)
    hidden[-size:] = np.linalg.norm(own) / np.sqrt(size)
    return (own + hidden) / np.sqrt(2)


def gated(seen_by, rounds, guilty, *, fades=1.0, first=0):
    """Rounds in which nobody's rows touch the last ten coordinates, but for a trigger of `guilty`."""
    rng, kinds = np.random.default_rng(4), []
    for round_ in range(first, first + rounds):
        steps = {peer: step * fades for peer, step in updates(rng, 0).items()}
        for step in steps.values():
            step[-10:] *= 1e-3
        if guilty is not None:
            steps[guilty] = backdoor(rng, steps[guilty])
        seen = {peer: Seen(steps[peer].astype(np.float32), 0.0) for peer in PEERS}
        seen_by.look(round_, seen, steps["me"].astype(np.float32), np.zeros(DIMENSION, np.float32), float(round_))
        kinds += [(fact.kind, fact.peer) for fact in seen_by.settle(float(round_)).evidence]
    return kinds


@pytest.mark.parametrize("guilty", [PEERS[0], LIAR, PEERS[-1]])
def test_energy_where_others_have_none_quarantines_the_one_that_put_it_there(guilty):
    eyes = watch()
    assert set(gated(eyes, 4, guilty)) == {("rare", guilty)}
    assert eyes.shunned() == {guilty}
    assert gated(watch(), 4, None) == []


def test_once_updates_have_faded_rare_energy_accuses_those_alone_that_were_in_quarantine_before():
    eyes = watch()
    gated(eyes, 3, None)
    assert gated(eyes, 4, LIAR, fades=0.3, first=3) == []
    sooner = watch()
    gated(sooner, 3, None)
    assert ("rare", LIAR) in gated(sooner, 4, LIAR, fades=0.45, first=3)
    known = watch()
    gated(known, 4, LIAR)
    assert ("rare", LIAR) in gated(known, 4, LIAR, fades=0.3, first=4)


@pytest.mark.parametrize(("share", "grave"), [(0.3, True), (0.2, False)])
def test_rare_energy_is_grave_where_it_is_much_and_far_from_what_others_have(share, grave):
    """Where data are uneven honest updates have some of it too, and a liar is tens of deviations out, not hundreds."""
    rng, eyes = np.random.default_rng(5), watch()
    others = dict(zip((*PEERS, "me"), rng.uniform(0, 0.02, len(PEERS) + 1), strict=True)) | {LIAR: share}
    places = dict(zip(others, range(-len(others), 0), strict=True))  # where each has what nobody else has
    for round_ in range(4):
        steps = updates(rng, 0)
        for peer, step in steps.items():
            step[-len(others) :] = 0
            step *= np.sqrt(1 - others[peer]) / np.linalg.norm(step)
            step[places[peer]] = np.sqrt(others[peer])
        seen = {peer: Seen(steps[peer].astype(np.float32), 0.0) for peer in PEERS}
        eyes.look(round_, seen, steps["me"].astype(np.float32), np.zeros(DIMENSION, np.float32), float(round_))
        eyes.settle(float(round_))
    assert eyes.shunned() == ({LIAR} if grave else frozenset())


def test_low_facts_alone_quarantine_nobody():
    eyes = watch()
    for round_ in range(200):
        eyes.accuse(Evidence(LIAR, round_, "forest", Severity.LOW, "odd"), 0.0)
    assert not eyes.shunned()
    assert eyes.reputations.standing(LIAR).verdict is Verdict.SUSPECT


def test_who_is_accused_is_not_rewarded_and_who_was_there_is():
    eyes = watch()
    for peer in PEERS[:2]:
        eyes.accuse(Evidence(peer, 0, "norm", Severity.HIGH, "x"), 0.0)
    eyes.settle(0.0)
    eyes.accuse(Evidence(PEERS[0], 1, "norm", Severity.MEDIUM, "x"), 1.0)
    eyes.was_there(PEERS)
    eyes.settle(1.0)
    assert (eyes.score(PEERS[0]), eyes.score(PEERS[1]), eyes.score(PEERS[2])) == (65.0, 76.0, 100.0)
    assert eyes.trust(PEERS[0]) == 0.65


def test_one_fault_that_no_honest_peer_comes_by_is_enough():
    eyes = watch()
    eyes.accuse(Evidence(LIAR, 0, FAULT, Severity.HIGH, "signed a wrong share of the sum"), 5.0)
    eyes.accuse(Evidence(PEERS[0], 0, "norm", Severity.HIGH, "far out"), 5.0)
    (change,) = eyes.settle(5.0).changes
    assert (change.peer, change.after, change.until) == (LIAR, Verdict.QUARANTINED, 125.0)
    assert eyes.shunned() == {LIAR}
    assert not eyes.evicted()


def test_a_quarantine_ends_by_the_clock_and_the_next_lasts_longer():
    eyes = watch()
    play(eyes, 4, lambda own, mean: -mean)
    assert LIAR in eyes.shunned()
    (change,) = eyes.settle(130.0).changes
    assert change.after is Verdict.PROBATION
    assert not eyes.shunned()
    eyes.accuse(Evidence(LIAR, 9, "norm", Severity.MEDIUM, "again"), 131.0)
    assert eyes.reputations.standing(LIAR).until == 131.0 + 240.0


def test_only_proof_evicts_and_strangers_are_nobodys_business():
    eyes = watch()
    for round_ in range(50):
        eyes.accuse(Evidence(LIAR, round_, "fault", Severity.HIGH, "x"), 0.0)
    assert not eyes.evicted()
    eyes.accuse(Evidence(LIAR, 51, "fault", Severity.PROVED, "two signatures"), 0.0)
    eyes.accuse(Evidence(PeerId("stranger"), 51, "fault", Severity.PROVED, "x"), 0.0)
    assert eyes.evicted() == {LIAR}


def sums(eyes, rounds, bad, me=None):
    rng, members, found = np.random.default_rng(3), [*PEERS, *([me] if me else [])], []
    for round_ in range(rounds):
        present = [peer for place, peer in enumerate(members) if place != round_ % len(members)]
        present = [peer for peer in present if peer not in eyes.shunned()]
        parts = [(-1 if peer == bad else 1) * np.ones(DIMENSION) for peer in present]
        mean = 0.97**round_ * (np.mean(parts, axis=0) + 0.02 * rng.normal(size=DIMENSION))
        eyes.open_sum(round_, present, mean.astype(np.float32), float(round_))
        found.append(eyes.settle(float(round_)))
    return found


def test_sums_over_changing_members_quarantine_who_works_against_the_others():
    eyes = watch(group_test=True, me=PeerId("me"))
    found = sums(eyes, 40, LIAR, PeerId("me"))
    assert eyes.shunned() == {LIAR}
    assert {(fact.peer, fact.kind) for finding in found for fact in finding.evidence} == {(LIAR, "group-test")}
    assert not eyes.evicted()


def test_a_node_that_finds_itself_in_the_sums_accuses_nobody():
    eyes = watch(group_test=True, me=PeerId("me"))
    sums(eyes, 40, PeerId("me"), PeerId("me"))
    assert not eyes.shunned()


def test_a_restarted_watch_believes_what_it_believed():
    eyes = watch(forest=ForestWatch(FEATURES, 1), group_test=True)
    play(eyes, 12, lambda own, mean: -mean)
    other = watch(forest=ForestWatch(FEATURES, 1), group_test=True)
    other.restore(eyes.snapshot())
    assert other.snapshot().keys() == eyes.snapshot().keys()
    assert other.shunned() == eyes.shunned() == {LIAR}
    assert other.reputations.snapshot() == eyes.reputations.snapshot()
    a, b = play(eyes, 3, seed=5, first=12), play(other, 3, seed=5, first=12)
    assert a == b


@pytest.mark.parametrize(
    "damage",
    [
        {"reputations": None},
        {"reputations": {LIAR: {"score": 1e9}}},
        {"longest": "long"},
        {"longest": float("nan")},
        {"forest": 3},
        {"forest": {"features": list(FEATURES)}},
        {"group_test": {"peers": PEERS, "rows": [["x"]]}},
    ],
)
def test_what_is_damaged_is_said_to_be(damage):
    eyes = watch(forest=ForestWatch(FEATURES, 1), group_test=True)
    with pytest.raises(ValueError, match=r"\S"):
        eyes.restore(eyes.snapshot() | damage)


def test_too_few_neighbours_are_not_judged_by_each_other():
    eyes = PeerWatch(PEERS[:2], WatchTerms(Response()))
    rng = np.random.default_rng(1)
    for round_ in range(20):
        seen = {peer: Seen(rng.normal(size=DIMENSION).astype(np.float32) * 10**place, 0.0)
                for place, peer in enumerate(PEERS[:2])}  # fmt: skip
        eyes.look(round_, seen, np.zeros(DIMENSION, np.float32), np.zeros(DIMENSION, np.float32), float(round_))
        assert not eyes.settle(float(round_)).evidence
