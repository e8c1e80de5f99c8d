import pytest
from rich.console import Console

from node import journal, journal_file
from node.errors import StateError
from node.state import StateFolder
from node.status import draw_status, read_status


def started(**changes):
    fields = {
        "at": 1.0,
        "name": "press-1",
        "peer_id": "12D3KooWme",
        "address": "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWme",
        "neighbours": {"press-2": "a", "press-3": "b"},
        "parameters": 10,
        "round": 0,
        "rounds": 30,
        "resumed": False,
        "champion_version": 0,
    }
    return journal.Started(**{**fields, **changes})


def closed(round_, **changes):
    fields = {
        "at": 2.0 + round_,
        "round": round_,
        "outcome": "averaged",
        "present": ("press-2",),
        "absent": (),
        "train_s": 0.1,
        "exchange_s": 0.1,
        "round_s": 0.2,
        "loss": 0.5,
        "holdout_loss": 0.4,
        "holdout_accuracy": 0.9,
        "consensus_distance": 0.25,
        "bytes_sent": 1000,
        "bytes_received": 900,
        "champion_version": round_ + 1,
    }
    return journal.RoundClosed(**{**fields, **changes})


@pytest.fixture
def node_folder(tmp_path):
    with journal_file.Journal.open(tmp_path / "journal.jsonl") as book:
        for event in (
            started(),
            journal.Connected(at=1.1, peer="press-2", up=1),
            journal.Connected(at=1.2, peer="press-3", up=2),
            closed(0),
            closed(1, deadline_missed=("press-3",), absent=("press-3",)),
            journal.Disconnected(at=4.0, peer="press-3", reason="gone", up=1),
            journal.Refused(at=4.1, peer=None, address="10.0.0.9", reason="no handshake", count=12),
            journal.Faulted(at=4.2, round=1, peer="press-2", reason="NaN"),
        ):
            book.write(event)
    return tmp_path


def test_the_status_is_the_fold_of_the_journal(node_folder):
    with StateFolder(node_folder).locked():
        status = read_status(node_folder)
    assert status.running
    assert (status.round, status.rounds, status.champion_version) == (2, 30, 2)
    assert status.up == ("press-2",)
    assert status.deadlines_missed == {"press-3": 1}
    assert (status.refused, status.faults) == (12, 1)
    assert status.last_refusal == "10.0.0.9: no handshake"
    assert (status.bytes_sent, status.bytes_received) == (2000, 1800)


def test_a_node_that_is_not_running_has_no_peers_up(node_folder):
    status = read_status(node_folder)
    assert not status.running
    assert status.up == ()


def test_a_pause_is_told_with_its_cause_while_the_process_runs(node_folder):
    with journal_file.Journal.open(node_folder / "journal.jsonl") as book:
        book.write(journal.Paused(at=5.0, round=2, cause="quorum", reason="1 of 3 up"))
    with StateFolder(node_folder).locked():
        status = read_status(node_folder)
    assert status.paused == "below its quorum: 1 of 3 up"
    console = Console(width=80, record=True)
    console.print(draw_status(status))
    assert "paused below its quorum: 1 of 3 up" in console.export_text()
    assert read_status(node_folder).paused is None


def test_the_screen_names_what_an_operator_needs(node_folder):
    console = Console(width=80, record=True)
    console.print(draw_status(read_status(node_folder)))
    text = console.export_text()
    for word in ("press-1", "not running", "2 of 30", "version 2", "0.900", "10.0.0.9: no handshake", "press-3"):
        assert word in text


def test_the_mode_is_told_with_why_rounds_were_void_and_what_was_proved(node_folder):
    with journal_file.Journal.open(node_folder / "journal.jsonl") as book:
        for event in (
            started(sharing="masks", dp="record"),
            closed(2, outcome="void", void="a part of the sum did not come", consensus_distance=None),
            closed(3),
            journal.Faulted(at=4.2, round=1, peer="press-2", reason="two items", proved=True),
        ):
            book.write(event)
    status = read_status(node_folder)
    assert (status.void_rounds, status.last_void) == (1, "a part of the sum did not come")
    assert (status.faults, status.proved_faults) == (2, 1)
    console = Console(width=200, record=True)
    console.print(draw_status(status))
    text = console.export_text()
    for words in (
        "secret as long as members follow",
        "noise hides each row",
        "1, last: a part of",
        "2, 1 of them proved",
    ):
        assert words in text


def test_epsilon_so_far_and_a_spent_budget_are_told(node_folder):
    with journal_file.Journal.open(node_folder / "journal.jsonl") as book:
        for event in (
            closed(2, epsilon=1.25),
            journal.Charged(at=7.0, round=3, epsilon=1.5),
            journal.PrivacySpent(at=8.0, round=4, epsilon=1.5, reason="round 4 would bring ε to 1.7"),
        ):
            book.write(event)
    status = read_status(node_folder)
    assert (status.epsilon, status.privacy_spent) == (1.5, True)
    console = Console(width=80, record=True)
    console.print(draw_status(status))
    assert "ε 1.5 so far, the budget is spent" in console.export_text()


def test_what_a_stranger_may_have_named_cannot_drive_the_terminal(node_folder):
    with journal_file.Journal.open(node_folder / "journal.jsonl") as book:
        book.write(journal.Refused(at=5.0, peer=None, address="\x1b[2J", reason="\x1b]0;owned\x07", count=1))
    console = Console(width=80, record=True)
    console.print(draw_status(read_status(node_folder)))
    assert "\x1b" not in console.export_text()


def test_a_folder_without_a_journal_says_what_to_give(tmp_path):
    with pytest.raises(StateError) as caught:
        read_status(tmp_path)
    assert "--state" in caught.value.remedy
