"""What a node says of its parts, event by event."""

import pytest

from node import journal
from node.health import VOID_ROUNDS, Health, State, first_states, health_of, least_up
from overlay.topology import parse_topology

FILE = """
name = "x"
[task]
dataset = "digits"
[rounds]
quorum = 0.6
[graph]
family = "{family}"
[consensus]
committee = "{committee}"
{consensus}
[privacy]
{privacy}
[detect]
{detect}
"""


def topology(family="complete", committee="cliques", privacy="", detect="", nodes=8, consensus=""):
    text = FILE.format(family=family, committee=committee, privacy=privacy, detect=detect, consensus=consensus)
    return parse_topology(text + "".join(f'[[node]]\nname = "n{n}"\n' for n in range(nodes)), "x.toml")


def started(**fields):
    base = {"at": 1.0, "name": "n0", "peer_id": "p", "address": "a", "neighbours": {}, "parameters": 5}
    return journal.Started(**base, round=0, rounds=9, resumed=False, champion_version=0, **fields)


def closed(number, void=None, outcome="averaged", present=("n1",)):
    return journal.RoundClosed(
        at=1.0, round=number, outcome=outcome, void=void, present=present, absent=(), train_s=1, exchange_s=1,
        round_s=1, loss=1.0, holdout_loss=1.0, holdout_accuracy=0.5, consensus_distance=None, bytes_sent=0,
        bytes_received=0, champion_version=0,
    )  # fmt: skip


class Told:
    def __init__(self, made, watching=dict):
        self.events = []
        self.watching = watching
        self.health = health_of(
            made, "n0", parameters=5, address="a", record=self.record, wall_clock=lambda: 1.0,
            watching=lambda: self.watching(),
        )  # fmt: skip

    def record(self, event):
        self.events.append(event)
        self.health.see(event, 0)  # as a feed does: it hears itself

    def see(self, *events):
        """What is told because of them: (part, status, reason)."""
        before = len(self.events)
        for event in events:
            self.health.see(event, 0)
        return [(e.module, e.status, e.reason) for e in self.events[before:]]


def test_at_the_start_each_part_says_how_it_is_and_what_is_in_force():
    told = Told(topology(privacy='sharing = "shamir"\ntolerated = 2\npacking = 2\nclip = 1.0'))
    said = {part: status for part, status, _ in told.see(started())}
    assert said == {
        "learning": "running", "privacy": "off", "sharing": "running", "detection": "running", "transport": "degraded"
    }  # fmt: skip
    settings = {event.module: event.settings for event in told.events}
    assert settings["sharing"]["tolerated"] == 2
    assert (settings["transport"]["peers"], settings["transport"]["least_up"]) == (7, 4)
    assert settings["learning"]["dataset"] == "digits"


@pytest.mark.parametrize(
    ("options", "part", "status", "reason"),
    [
        ({"detect": "enabled = false"}, "detection", "off", "asks for none"),
        ({"family": "ring", "committee": "neighbourhood"}, "detection", "degraded", "3 vectors a round"),
        ({"privacy": 'sharing = "masks"\nclip = 1.0'}, "detection", "degraded", "nobody can be left out"),
        ({}, "detection", "running", ""),
        ({}, "sharing", "off", "neighbours see models"),
        ({"privacy": 'dp = "update"\nepsilon = 4.0\ndelta = 1e-5\nclip = 1.0'}, "privacy", "running", ""),
    ],
)
def test_what_the_file_asks_for_is_said_as_it_is(options, part, status, reason):
    state = first_states(topology(**options), "n0", parameters=5, address="a")[part]
    assert state.status == status
    assert reason in state.reason
    assert bool(reason) == bool(state.reason)


@pytest.mark.parametrize(
    ("options", "peers"),
    [
        ({}, 4),
        ({"family": "ring", "committee": "neighbourhood"}, 1),
        ({"nodes": 9, "committee": "grid", "consensus": "size = 3"}, 1),
    ],
)
def test_a_quorum_is_counted_as_rounds_count_it(options, peers):
    assert least_up(topology(**options), "n0") == peers


def test_transport_is_degraded_while_too_few_are_up_and_says_so_once():
    told = Told(topology())
    told.see(started())
    ups = [journal.Connected(at=1.0, peer=f"n{n}", up=n) for n in range(1, 8)]
    assert told.see(*ups) == [("transport", "running", "")]
    downs = [journal.Disconnected(at=1.0, peer=f"n{n}", reason="gone", up=7 - n) for n in range(1, 8)]
    (change,) = told.see(*downs)
    assert change[:2] == ("transport", "degraded")
    assert change[2].startswith("3 peers up")


def test_sharing_is_degraded_after_some_void_rounds_and_comes_back_with_the_first_sum():
    told = Told(topology(privacy='sharing = "shamir"\ntolerated = 2\npacking = 2\nclip = 1.0'))
    told.see(started())
    void = [closed(number, "too few", "void", ()) for number in range(VOID_ROUNDS + 3)]
    assert told.see(*void[: VOID_ROUNDS - 1]) == []
    (change,) = told.see(*void[VOID_ROUNDS - 1 :])
    assert change[:2] == ("sharing", "degraded")
    assert "too few" in change[2]
    assert told.see(closed(9)) == [("sharing", "running", "")]


def test_learning_says_that_it_is_paused_rolled_back_or_out_of_budget():
    told = Told(topology(privacy='dp = "update"\nepsilon = 4.0\ndelta = 1e-5\nclip = 1.0'))
    told.see(started())
    assert told.see(journal.Paused(at=1.0, round=3, cause="operator", reason="by ops")) == [
        ("learning", "degraded", "paused, operator: by ops")
    ]
    assert told.see(journal.Unpaused(at=1.0, round=3, reason="")) == [("learning", "running", "")]
    back = journal.RolledBack(at=1.0, round=5, to_version=2, reason="much worse")
    assert [change[:2] for change in told.see(back, closed(5))] == [("learning", "degraded")]
    assert told.see(closed(6)) == [("learning", "running", "")]
    spent = journal.PrivacySpent(at=1.0, round=7, epsilon=4.0, reason="4.0 of 4.0")
    assert [change[:2] for change in told.see(spent)] == [("privacy", "degraded"), ("learning", "degraded")]
    assert told.see(closed(7), closed(8)) == []
    assert [change[0] for change in told.see(started())] == ["learning", "privacy", "sharing", "detection", "transport"]


def test_detection_tells_what_changes_while_it_watches():
    told = Told(topology(), watching=lambda: {"forest": "not trained yet: approve", "left_out": 0})
    told.see(started())
    assert told.see(closed(0), closed(1)) == []
    told.watching = lambda: {"forest": "trained", "left_out": 0}
    assert told.see(closed(2), closed(3)) == [("detection", "running", "")]
    assert told.events[-1].settings["forest"] == "trained"
    assert told.events[-1].settings["z_limit"] == 3.0


def test_what_is_off_is_off_whatever_happens():
    events = []
    states = {name: State("off", "so") for name in ("learning", "privacy", "sharing", "detection", "transport")}
    health = Health(states, events.append, lambda: 1.0, least_up=3, watching=lambda: {"a": 1})
    health.see(started(), 0)
    told = len(events)
    for event in (
        journal.Connected(at=1.0, peer="n1", up=1),
        journal.PrivacySpent(at=1.0, round=1, epsilon=None, reason=""),
        journal.Paused(at=1.0, round=1, cause="quorum", reason=""),
        *(closed(number, "x", "void", ()) for number in range(9)),
    ):
        health.see(event, 0)
    assert len(events) == told
