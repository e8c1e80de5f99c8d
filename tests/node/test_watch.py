"""Swarms with liars in virtual time: who is quarantined, by whom, since when; what a restart and damage leave."""

import msgpack
import numpy as np
import pytest

from consensus.rules import lookup
from consensus.shamir_sharing import ShamirSharing
from crypto.identity import PeerId
from detect.peers.evidence import Evidence, Severity
from detect.peers.features import Seen
from detect.peers.forest import ForestWatch
from detect.peers.quarantine import Response
from detect.peers.watch import FEATURES, PeerWatch, WatchTerms
from node import journal
from node.errors import StateError
from node.lab.attacks_on_data import attack
from node.lab.liar import Liar
from node.watch import Lookout, restore
from tests.node.swarm import Drift, complete, open_swarm

SIZE = 24


class Walk(Drift):
    """Learns: all go the same way, less and less, and each a little its own."""

    def train(self, round, pulse):
        common = 0.5 * 0.95**round * np.ones(SIZE, np.float32) / np.sqrt(SIZE)
        self.vector_ = (self.vector_ + common).astype(np.float32)
        self.step = 0.3 / np.sqrt(SIZE) * 0.95**round
        return super().train(round, pulse)


def learners(n):
    return [Walk(np.zeros(SIZE, np.float32), np.random.default_rng([7, place])) for place in range(n)]


def watching(liars, *, group_test=False, quarantine_s=120.0, kept=None):
    """Honest members watch; each of `liars` (index → attack) lies. `kept` holds what survives a kill."""

    def made(swarm, index):
        member, roster = swarm.members[index], swarm.roster(index)
        if index in liars:
            accomplices = frozenset(swarm.id(other) for other in liars)
            return Liar(member.learner, attack(liars[index]), me=roster.me, accomplices=accomplices, members=8, seed=1)
        terms = WatchTerms(Response(quarantine_s=quarantine_s))
        watch = PeerWatch(roster.peers, terms, group_test=group_test, me=roster.me)
        if kept is not None:
            restore(watch, kept.get(index, {}))
        lookout = Lookout(watch, swarm.clock)
        if kept is not None:
            swarm.packs[index] = lookout
        return lookout

    return made


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    import trio

    from tests.node.swarm import Swarm

    monkeypatch.setattr(Swarm, "clock", staticmethod(trio.current_time), raising=False)
    monkeypatch.setattr(Swarm, "packs", {}, raising=False)


def verdicts(member, after="quarantined"):
    return [(e.round, e.peer) for e in member.events if isinstance(e, journal.VerdictChanged) and e.after == after]


@pytest.mark.parametrize(("name", "rounds"), [("sign-flip", 10), ("scaling", 10), ("gaussian", 10), ("ipm", 10)])
async def test_a_liar_in_the_open_is_quarantined_by_all_within_a_few_rounds(autojump_clock, name, rounds):
    options = {"learners": learners(8), "rule": lookup("nnm+geometric-median", 1), "watching": watching({7: name})}
    async with open_swarm(8, complete(8), "cliques", rounds=rounds, **options) as swarm:
        await swarm.until_all_finished()
        for member in swarm.members[:7]:
            ((since, peer),) = verdicts(member)
            assert peer == "n7"
            assert since <= 6
            assert "n7" not in member.rounds[rounds - 1].present
            assert member.rounds[rounds - 1].reputation["n7"] < 50
            assert {e.peer for e in member.events if isinstance(e, journal.Evidence)} == {"n7"}
        digests = {member.learner.adopted[rounds - 1].tobytes() for member in swarm.members[:7]}
        assert len(digests) == 1  # they heard the same and shun the same


async def test_nobody_among_the_honest_is_quarantined(autojump_clock):
    async with open_swarm(8, complete(8), "cliques", rounds=30, learners=learners(8), watching=watching({})) as swarm:
        await swarm.until_all_finished()
        assert [verdicts(member) for member in swarm.members] == [[]] * 8


async def test_a_quarantine_ends_by_the_clock_and_a_liar_that_goes_on_is_back_in_it(autojump_clock):
    options = {"learners": learners(8), "watching": watching({7: "scaling"}, quarantine_s=1.0)}
    async with open_swarm(8, complete(8), "cliques", rounds=40, **options) as swarm:
        await swarm.until_all_finished()
        for member in swarm.members[:7]:
            assert {peer for _, peer in verdicts(member)} == {"n7"}
            times = [e.until - e.at for e in member.events if getattr(e, "after", "") == "quarantined"]
            assert len(times) >= 2
            assert times[:2] == pytest.approx([1.0, 2.0])
            assert verdicts(member, "probation")


FOUR = ShamirSharing(members=4, tolerated=1, packed=1, liars=0, absentees=1, clip=2.0, least_honest=1, deadline_s=5.0)


async def test_sums_tell_of_a_sign_flipper_and_all_leave_it_out(autojump_clock):
    options = {
        "learners": learners(4),
        "watching": watching({3: "sign-flip"}, group_test=True),
        "bench": 1,
        "guard": FOUR,
        "deadline_s": 5.0,
    }
    async with open_swarm(4, complete(4), "cliques", rounds=28, **options) as swarm:
        await swarm.until_all_finished()
        for member in swarm.members[:3]:
            ((since, peer),) = verdicts(member)
            assert peer == "n3"
            assert since < 25
            later = [row for row in member.rounds.values() if row.round > since + 1]
            assert not any("n3" in row.present for row in later)
            assert all(row.outcome == "averaged" for row in member.rounds.values())
        assert len({member.learner.adopted[27].tobytes() for member in swarm.members[:3]}) == 1


async def test_each_member_sits_out_once_in_as_many_rounds_as_there_are(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=4, guard=FOUR, bench=1, deadline_s=5.0) as swarm:
        await swarm.until_all_finished()
        seen_by_first = [swarm.members[0].rounds[round_].absent for round_ in range(4)]
        seen_by_second = [swarm.members[1].rounds[round_].absent for round_ in range(4)]
        assert sorted(seen_by_first) == [(), ("n1",), ("n2",), ("n3",)]
        assert sorted(seen_by_second) == [(), ("n0",), ("n2",), ("n3",)]


async def test_a_restarted_node_shuns_whom_it_shunned(autojump_clock):
    kept = {}
    options = {"learners": learners(8), "watching": watching({7: "sign-flip"}, kept=kept)}
    async with open_swarm(8, complete(8), "cliques", rounds=30, **options) as swarm:
        await swarm.until(lambda: bool(verdicts(swarm.members[0])))
        swarm.kill(0)
        kept[0] = swarm.packs[0].pack()
        before = swarm.packs[0]
        swarm.start(0)
        await swarm.until(lambda: swarm.packs[0] is not before)
        assert swarm.packs[0].shunned == {swarm.id(7)}
        await swarm.until_all_finished()
        assert len(verdicts(swarm.members[0])) == 1


def lookout():
    return Lookout(PeerWatch([PeerId("a"), PeerId("b")], WatchTerms()), lambda: 5.0)


def test_what_the_checkpoint_holds_is_read_back():
    eyes = lookout()
    eyes._watch.accuse(Evidence(PeerId("a"), 3, "fault", Severity.PROVED, "x"), 1.0)
    other = PeerWatch([PeerId("a"), PeerId("b")], WatchTerms())
    restore(other, eyes.pack())
    assert other.evicted() == {"a"}
    restore(other, {})
    assert other.evicted() == {"a"}


def test_clocks_the_forest_and_the_group_test_are_as_they_were_after_a_kill():
    peers = [PeerId(name) for name in "abcdefg"]

    def made():
        return PeerWatch(peers, WatchTerms(), forest=ForestWatch(FEATURES, 1), group_test=True)

    rng, watch = np.random.default_rng(1), made()
    for round_ in range(12):
        seen = {peer: Seen(rng.normal(size=SIZE).astype(np.float32), 0.1) for peer in peers}
        watch.look(round_, seen, np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32), float(round_))
        watch.open_sum(round_, peers[round_ % 3 :], np.ones(SIZE, np.float32), float(round_))
        for _ in range(3 * (round_ == 11)):
            watch.accuse(Evidence(peers[2], round_, "fault", Severity.HIGH, "x"), 100.0)
        watch.settle(float(round_))
    stored = Lookout(watch, lambda: 5.0).pack()
    other = made()
    restore(other, {key: bytes(value) for key, value in stored.items()})
    for part in ("reputations", "longest", "group_test"):
        assert other.snapshot()[part] == watch.snapshot()[part]
    whole = [
        {name: value for name, value in one.snapshot()["forest"].items() if name != "champion"}
        for one in (watch, other)
    ]
    assert repr(whole[0]) == repr(whole[1])  # NaN is not itself
    asked = [dict.fromkeys(FEATURES, float(value)) for value in range(-3, 9)]
    assert other._forest.odd(asked) == watch._forest.odd(asked)
    assert any(watch._forest.odd(asked))
    assert other.reputations.standing(peers[2]).until == 220.0
    assert Lookout(other, lambda: 5.0).shunned == {peers[2]}  # from the first round after the restart
    assert other.settle(219.0).changes == ()
    assert [change.peer for change in other.settle(220.0).changes] == [peers[2]]


@pytest.mark.parametrize("stored", [b"", b"\xc1", msgpack.packb(3), msgpack.packb({"reputations": {"a": 1}}), "text"])
def test_a_damaged_one_is_a_clear_error(stored):
    with pytest.raises(StateError, match="reputations is damaged"):
        restore(PeerWatch([PeerId("a")], WatchTerms()), {"watch": stored})


def test_a_flood_of_faults_takes_no_room():
    eyes = lookout()
    for number in range(10_000):
        eyes.fault(number, PeerId("a"), "x")
    assert len(eyes.take_faults()) < 1000
    assert eyes.take_faults() == []
