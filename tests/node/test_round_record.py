"""What the journal says of one node's rounds, whatever peers do."""

import math
from types import SimpleNamespace

import pytest

from consensus.effects import Outcome
from detect.peers.evidence import Severity
from node import journal
from node.learning.learner import Assessment
from node.learning.trainer import Trained
from node.round_record import TOLD_A_MINUTE, TOLD_A_ROUND, RoundRecord, Timing
from overlay.transport import Traffic


def record():
    written = []
    transport = SimpleNamespace(traffic=dict)
    return RoundRecord({"A": "a", "B": "b"}, written.append, lambda: 1.0, transport), written


def close(book, number):
    outcome = Outcome(vector=None, averaged=True, present=(), absent=(), deadline_missed=(), consensus_distance=None)
    assessment = Assessment(0.5, 0.5, None, None, None, 0)
    book.round(number, 0, outcome, Trained(1.0, 1), assessment, Timing(1.0, 1.0, 2.0))


def faults(written, peer):
    return [event for event in written if isinstance(event, journal.Faulted) and event.peer == peer]


def test_one_that_does_nothing_but_wrong_does_not_fill_the_disk():
    book, written = record()
    for _ in range(1000):
        book.fault(3, "A", "sends a channel key that is none")
    book.fault(3, "B", "another")
    assert len(faults(written, "a")) == TOLD_A_ROUND
    assert len(faults(written, "b")) == 1
    close(book, 3)
    book.fault(4, "A", "once more")
    assert faults(written, "a")[-1].round == 4


@pytest.mark.parametrize("severity", [Severity.WITNESSED, Severity.PROVED])
def test_much_that_is_wrong_does_not_hide_what_evicts(severity):
    heard = []
    transport = SimpleNamespace(traffic=dict)
    book = RoundRecord({"A": "a"}, [].append, lambda: 1.0, transport, lambda *fault: heard.append(fault))
    for _ in range(1000):
        book.fault(3, "A", "sends a vote that it did not sign")
    book.fault(3, "A", "signed two votes", severity)
    assert len(heard) == TOLD_A_ROUND + 1
    assert heard[-1] == (3, "A", "signed two votes", severity)


def test_bytes_and_pings_are_those_since_the_round_before_by_peer():
    counters = {"A": Traffic(100, 50, 0, 0.02), "B": Traffic()}
    written = []
    book = RoundRecord(
        {"A": "a", "B": "b"}, written.append, lambda: 1.0, SimpleNamespace(traffic=lambda: dict(counters))
    )
    close(book, 0)
    counters["A"] = Traffic(130, 50, 0, 0.02)
    counters["B"] = Traffic(7, 0, 0, 0.5)
    close(book, 1)
    close(book, 2)
    first, second, third = written
    assert (first.peer_bytes, first.latency_ms, first.bytes_sent) == ({"a": (100, 50)}, {"a": 20.0}, 100)
    assert (second.peer_bytes, second.latency_ms) == ({"a": (30, 0), "b": (7, 0)}, {"b": 500.0})
    assert (second.bytes_sent, second.bytes_received) == (37, 0)
    assert (third.peer_bytes, third.latency_ms, third.bytes_sent) == ({}, {}, 0)


@pytest.mark.parametrize(("far", "told"), [(6.7e38, 1e30), (math.inf, 1e30), (math.nan, None), (2.0, 2.0)])
def test_figures_that_a_peer_made_huge_are_told_as_the_largest_there_are(far, told):
    """A vector of 3e38 is finite, and a distance to it is more than the journal takes: it must not end the node."""
    book, written = record()
    outcome = Outcome(vector=None, averaged=True, present=(), absent=(), deadline_missed=(), consensus_distance=far)
    assessment = Assessment(far, 0.5, None, None, None, 0, layer_change={"0.weight": 6.7e38})
    book.round(0, 0, outcome, Trained(far, 1), assessment, Timing(1.0, 1.0, 2.0))
    (closed,) = written
    assert (closed.consensus_distance, closed.holdout_loss, closed.loss) == (told, told, told)
    assert closed.layer_change == {"0.weight": 1e30}


def test_one_that_comes_and_goes_for_days_does_not_fill_the_disk():
    book, written = record()
    for _ in range(100):
        book.connected("A", 1, now=5.0)
        book.disconnected("A", "gone", 0, now=5.0)
    assert len(written) == TOLD_A_MINUTE
    book.connected("A", 1, now=70.0)
    assert len(written) == TOLD_A_MINUTE + 1
