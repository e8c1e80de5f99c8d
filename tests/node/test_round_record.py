"""What the journal says of one node's rounds, whatever peers do."""

from types import SimpleNamespace

from consensus.effects import Outcome
from node import journal
from node.learning.learner import Assessment
from node.learning.trainer import Trained
from node.round_record import TOLD_A_MINUTE, TOLD_A_ROUND, RoundRecord, Timing


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


def test_one_that_comes_and_goes_for_days_does_not_fill_the_disk():
    book, written = record()
    for _ in range(100):
        book.connected("A", 1, now=5.0)
        book.disconnected("A", "gone", 0, now=5.0)
    assert len(written) == TOLD_A_MINUTE
    book.connected("A", 1, now=70.0)
    assert len(written) == TOLD_A_MINUTE + 1
