"""Back behind a liar's word: which champion, when, and what a restart and damage leave."""

import msgpack
import numpy as np
import pytest

from consensus.effects import Outcome
from crypto.identity import PeerId
from detect.peers.evidence import Evidence, Severity
from detect.peers.quarantine import Verdict
from detect.peers.reputation import Change
from detect.peers.watch import Findings
from node import journal
from node.errors import StateError
from node.learning.learner import Restored
from node.recovery import Recovery
from node.watch import Review
from tests.node.swarm import complete, open_swarm
from tests.node.test_watch import clock, learners, verdicts, watching  # noqa: F401 - a fixture

A, B = PeerId("a"), PeerId("b")
PHASES = [{PeerId("me"): 0.5, A: 0.3, B: 0.2}]


class Room:
    """Champions by version, as the node's store keeps them."""

    def __init__(self, lost=()):
        self.lost, self.asked, self.version = lost, [], 0
        self.told = []
        self.recovery = Recovery(self.put_back, {A: "press-1", B: "press-2"}, self.told.append, lambda: 7.0)

    def put_back(self, version):
        if version in self.lost:
            raise StateError(f"champion {version} is gone", "")
        self.asked.append(version)
        self.version += 1
        return Restored(self.version, 0.5, 0.25)

    def round(self, number, *, promoted=False, evidence=(), changes=(), present=(A, B)):
        self.version += promoted
        facts = tuple(Evidence(peer, number, "norm", severity, "x") for peer, severity in evidence)
        moved = tuple(Change(peer, Verdict.SUSPECT, after, 0.0, "x") for peer, after in changes)
        outcome = Outcome(np.zeros(2, np.float32), bool(present), tuple(present), (), (), None)
        review = Review(number, Findings(facts, moved), {}, frozenset())
        return self.recovery.settle(number, outcome, self.version, review, PHASES)


HIGH, MEDIUM, PROVED = Severity.HIGH, Severity.MEDIUM, Severity.PROVED
QUARANTINED, EVICTED = Verdict.QUARANTINED, Verdict.EVICTED


def caught(room, severity=HIGH, after=QUARANTINED):
    """Champions of rounds 1, 3, 5 and 6; facts about rounds 4 to 6."""
    results = [room.round(number, promoted=number in (1, 3)) for number in range(4)]
    results.append(room.round(4, evidence=[(A, severity)]))
    results.append(room.round(5, promoted=True, evidence=[(A, severity)]))
    results.append(room.round(6, promoted=True, evidence=[(A, severity)], changes=[(A, after)]))
    return results


@pytest.mark.parametrize(("severity", "after"), [(HIGH, QUARANTINED), (PROVED, EVICTED)])
def test_the_champion_from_before_the_first_grave_fact_is_in_use_again_and_it_is_written_down(severity, after):
    room = Room()
    *others, last = caught(room, severity, after)
    assert others == [None] * 6
    assert (last.version, room.asked) == (5, [2])
    back, promoted = room.told
    assert isinstance(back, journal.RolledBack)
    assert (back.round, back.to_version) == (6, 2)
    assert back.reason.startswith("what press-1 sent since round 4 is left behind")
    assert (promoted.version, promoted.holdout_loss) == (5, 0.5)
    assert [made.version for made in room.recovery.champions] == [0, 1, 2, 5]


def test_champions_are_remembered_with_who_weighed_what_in_them():
    room = Room()
    room.round(0, promoted=True)
    room.round(1, promoted=True, present=(B,))
    assert [(made.round, made.weights) for made in room.recovery.champions] == [
        (-1, {}),
        (0, {A: 0.3, B: 0.2}),
        (1, {B: 0.2}),
    ]


def test_on_less_than_grave_facts_nothing_is_undone():
    room = Room()
    assert caught(room, MEDIUM) == [None] * 7
    assert not room.told


def test_who_was_never_averaged_left_nothing_behind():
    room = Room()
    room.round(0, promoted=True)
    assert room.round(1, present=(B,), evidence=[(A, PROVED)], changes=[(A, EVICTED)]) is None
    assert not room.told


def test_a_second_quarantine_goes_back_behind_its_own_facts_alone():
    room = Room()
    caught(room)
    room.round(20, promoted=True)
    room.round(21, evidence=[(A, HIGH)])
    room.round(22, evidence=[(A, HIGH)], changes=[(A, QUARANTINED)])
    assert room.asked == [2, 6]


def test_facts_of_long_ago_did_not_bring_a_verdict_about():
    room = Room()
    room.round(0, evidence=[(A, HIGH)])
    for number in range(1, 60):
        room.round(number, promoted=number == 50)
    room.round(60, evidence=[(A, HIGH)], changes=[(A, QUARANTINED)])
    assert room.asked == [1]


def test_a_champion_that_is_not_kept_any_more_is_passed_over_for_an_older_one():
    room = Room(lost=(2, 1))
    caught(room)
    assert room.asked == [0]
    gone = Room(lost=(2, 1, 0))
    assert caught(gone)[-1] is None
    assert not gone.told


def test_two_liars_at_once_are_undone_together():
    room = Room()
    room.round(0, promoted=True)
    room.round(1, promoted=True, evidence=[(B, HIGH)])
    room.round(2, evidence=[(A, HIGH), (B, HIGH)], changes=[(A, QUARANTINED), (B, QUARANTINED)])
    assert room.asked == [1]
    assert "press-1 sent since round 2 and press-2 sent since round 1" in room.told[0].reason


def test_a_run_of_any_length_takes_bounded_room():
    room = Room()
    for number in range(500):
        room.round(number, promoted=True, evidence=[(A, HIGH)])
    assert len(room.recovery.champions) < 100
    assert len(room.recovery.pack()["recovery"]) < 20_000


def test_a_restarted_node_goes_back_as_it_would_have():
    room, other = Room(), Room()
    for number in range(5):
        room.round(number, promoted=number in (1, 3), evidence=[(A, HIGH)] if number == 4 else ())
    other.recovery.unpack(room.recovery.pack())
    other.version = room.version
    assert other.recovery.champions == room.recovery.champions
    for one in (room, other):
        one.round(5, evidence=[(A, HIGH)], changes=[(A, QUARANTINED)])
    assert room.asked == other.asked == [2]
    other.recovery.unpack({})
    assert other.recovery.champions


@pytest.mark.parametrize(
    "stored",
    [b"", b"\xc1", "text", *(msgpack.packb(one) for one in (3, [[], {}, {}], [[[1, 0, {}], [0, 1, {}]], {}, {}]))],
)
def test_what_is_damaged_is_said_to_be(stored):
    with pytest.raises(StateError, match="who made them is damaged"):
        Room().recovery.unpack({"recovery": stored})


async def test_running_nodes_go_back_when_a_liar_is_quarantined(autojump_clock):
    """Their learners promote nothing, so it is to the model that they began with."""
    asked = {}

    def recovering(swarm, index):
        def put_back(version):
            asked.setdefault(index, []).append(version)
            return Restored(9, 0.5, 0.25)

        return Recovery(put_back, swarm.roster(index).names, swarm.members[index].events.append, lambda: 0.0)

    options = {"learners": learners(8), "watching": watching({7: "scaling"}), "recovering": recovering}
    async with open_swarm(8, complete(8), "cliques", rounds=8, **options) as swarm:
        await swarm.until_all_finished()
        for member in swarm.members[:7]:
            ((since, peer),) = verdicts(member)
            (back,) = [event for event in member.events if isinstance(event, journal.RolledBack)]
            assert (back.round, peer) == (since, "n7")
            assert "n7 sent since round" in back.reason
            assert member.rounds[since].champion_version == 9
        assert asked == {index: [0] for index in range(7)}
