import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.accountant import Release, epsilon
from node import ledger as module
from node.errors import StateError
from node.ledger import Budget, BudgetSpent, Entry, Head, Ledger, LedgerFailed

BUDGET = Budget(epsilon=4.0, delta=1e-5)
RELEASE = Release(20.0, 0.3, 1, 1e-12)
REPOSITORY = Path(__file__).parent.parent.parent


def charge(ledger, round=0, release=RELEASE):
    return ledger.charge(round, release, level="record", noise="distributed", mechanism="discrete gaussian")


def filled(path, entries=5):
    with Ledger.open(path, BUDGET) as ledger:
        for number in range(entries):
            charge(ledger, number)
        return ledger.head


def test_what_was_charged_is_there_after_a_restart(tmp_path):
    path = tmp_path / "ledger"
    with Ledger.open(path, BUDGET) as ledger:
        assert ledger.spent() == 0
        charge(ledger, 3, Release(5.0, 1.0, 2))
        charge(ledger, 4)
        spent, head = ledger.spent(), ledger.head
    with Ledger.open(path, BUDGET) as again:
        assert again.spent() == spent == pytest.approx(epsilon([Release(5.0, 1.0, 2), RELEASE], 1e-5))
        assert again.head == head
        assert charge(again, 5).sequence == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_entry_says_what_was_let_out(tmp_path):
    with Ledger.open(tmp_path / "ledger", BUDGET) as ledger:
        made = charge(ledger, 7)
    line = (tmp_path / "ledger").read_bytes().split(b"\t")[0]
    assert Entry.model_validate_json(line) == made
    assert (made.round, made.level, made.noise, made.sequence) == (7, "record", "distributed", 0)
    assert made.release() == RELEASE


def test_past_the_budget_nothing_is_charged_and_nothing_written(tmp_path):
    path = tmp_path / "ledger"
    with Ledger.open(path, Budget(1.0, 1e-5)) as ledger:
        big = Release(5.0)
        assert ledger.affords(big)
        charge(ledger, 0, big)
        size, spent = path.stat().st_size, ledger.spent()
        assert not ledger.affords(big)
        with pytest.raises(BudgetSpent, match=r"round 1 would bring ε to .*budget is 1") as caught:
            charge(ledger, 1, big)
        assert "averages and serves" in caught.value.remedy
        assert (path.stat().st_size, ledger.spent()) == (size, spent)
        charge(ledger, 1, Release(50.0))  # what still fits, fits


def test_a_lowered_budget_is_spent_at_once(tmp_path):
    filled(tmp_path / "ledger")
    with Ledger.open(tmp_path / "ledger", Budget(1e-3, 1e-5)) as ledger:
        assert ledger.spent() > ledger.budget.epsilon
        with pytest.raises(BudgetSpent):
            charge(ledger, 9)


def test_the_entry_is_on_the_disk_before_charge_returns(tmp_path, monkeypatch):
    calls = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(module.os, "write", lambda fd, data: (calls.append("write"), write(fd, data))[1])
    monkeypatch.setattr(module.os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])
    with Ledger.open(tmp_path / "ledger", BUDGET) as ledger:
        assert calls == ["fsync"]  # the folder's, so that the file itself is not lost
        calls.clear()
        charge(ledger)
        assert calls == ["write", "fsync"]


def test_a_disk_that_writes_in_pieces_loses_nothing(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd, data[:7]))
    head = filled(tmp_path / "ledger")
    monkeypatch.undo()
    with Ledger.open(tmp_path / "ledger", BUDGET) as ledger:
        assert ledger.head == head


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_after_a_failure_of_the_disk_nothing_more_may_leave(tmp_path, monkeypatch, failing):
    def fail(*_):
        raise OSError(errno.EIO, "broken")

    filled(tmp_path / "ledger", 2)
    with Ledger.open(tmp_path / "ledger", BUDGET) as ledger:
        monkeypatch.setattr(module.os, failing, fail)
        with pytest.raises(LedgerFailed):
            charge(ledger)
        monkeypatch.undo()
        with pytest.raises(LedgerFailed, match="failed before"):
            charge(ledger)
    with Ledger.open(tmp_path / "ledger", BUDGET) as ledger:
        assert ledger.head.entries == (3 if failing == "fsync" else 2)  # what may be there, counts
        charge(ledger)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "ledger"
    filled(path, 3)
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 1000))
def test_a_torn_tail_costs_no_whole_entry_and_the_ledger_goes_on(tmp_path_factory, whole, cut):
    path = tmp_path_factory.mktemp("torn") / "ledger"
    kept = whole[: min(cut, len(whole))]
    path.write_bytes(kept)
    with Ledger.open(path, BUDGET) as ledger:
        assert ledger.head.entries == kept.count(b"\n")
        charge(ledger, 9)
        after = ledger.head
    with Ledger.open(path, BUDGET) as ledger:
        assert ledger.head == after


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_never_a_refund(tmp_path_factory, whole, data):
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / "ledger"
    path.write_bytes(damaged)
    if at == len(whole) - 1:  # the last newline: as torn as a line can be
        with Ledger.open(path, BUDGET) as ledger:
            assert ledger.head.entries == 2
        return
    with pytest.raises(StateError, match="damaged"):
        Ledger.open(path, BUDGET)
    assert path.read_bytes() == bytes(damaged)  # evidence is left as it is


@pytest.mark.parametrize("lines", [[0, 2], [1, 0, 2], [0, 0, 1, 2], [1, 2]])
def test_lines_left_out_swapped_or_repeated_break_the_chain(tmp_path, whole, lines):
    split = whole.splitlines(keepends=True)
    (tmp_path / "ledger").write_bytes(b"".join(split[i] for i in lines))
    with pytest.raises(StateError, match="does not follow"):
        Ledger.open(tmp_path / "ledger", BUDGET)


def test_an_older_ledger_put_in_its_place_is_noticed(tmp_path, whole):
    path = tmp_path / "ledger"
    head = filled(path, 3)
    older = b"".join(path.read_bytes().splitlines(keepends=True)[:2])
    with Ledger.open(path, BUDGET, at_least=head) as ledger:
        charge(ledger)
    with Ledger.open(path, BUDGET, at_least=head):
        pass  # longer is fine
    path.write_bytes(older)
    with pytest.raises(StateError, match="entry 3 is missing"):
        Ledger.open(path, BUDGET, at_least=head)
    path.unlink()
    with pytest.raises(StateError, match="missing"):
        Ledger.open(path, BUDGET, at_least=head)
    fresh = Head(0, filled(tmp_path / "empty", 0).digest)
    with Ledger.open(tmp_path / "new", BUDGET, at_least=fresh):
        pass


def test_two_nodes_do_not_share_a_ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger", BUDGET), pytest.raises(StateError, match="in use"):
        Ledger.open(tmp_path / "ledger", BUDGET)
    Ledger.open(tmp_path / "ledger", BUDGET).close()


def test_releases_of_the_other_level_are_not_added_up(tmp_path):
    filled(tmp_path / "ledger", 2)
    with pytest.raises(StateError, match="dp = 'record', and this run has dp = 'update'"):
        Ledger.open(tmp_path / "ledger", BUDGET, level="update")
    with Ledger.open(tmp_path / "ledger", BUDGET, level="record") as ledger:
        assert ledger.head.entries == 2


@pytest.mark.parametrize("budget", [(0.0, 1e-5), (float("inf"), 1e-5), (1.0, 0.0), (1.0, 1.0), (float("nan"), 0.1)])
def test_a_budget_that_bounds_nothing_is_refused(budget):
    with pytest.raises(ValueError, match="budget"):
        Budget(*budget)


CHILD = """
import os, sys
from pathlib import Path
from crypto.accountant import Release
from node.ledger import Budget, Ledger
with Ledger.open(Path(sys.argv[1]), Budget(1e9, 1e-5)) as ledger:
    charge = ledger.charging(level="record", noise="local")
    round = ledger.head.entries
    while True:
        charge(round, Release(20.0, 0.3))
        os.write(1, b"x")  # the release leaves the node
        round += 1
"""


@pytest.mark.processes
def test_kill_9_leaves_no_less_on_the_disk_than_what_left(tmp_path):
    path, left = tmp_path / "ledger", 0
    for kill in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, cwd=REPOSITORY)
        try:
            left += len(os.read(child.stdout.fileno(), 1))  # it is at work
            time.sleep(0.003 * kill**2)  # anywhere in a charge: the later the read, the more may have left
        finally:
            child.send_signal(signal.SIGKILL)
            left += len(child.stdout.read())
            child.wait()
        with Ledger.open(path, BUDGET) as ledger:
            assert left <= ledger.head.entries <= left + kill + 1  # at most one a crash that did not leave
            assert ledger.spent() >= epsilon([Release(20.0, 0.3, left)], 1e-5)
    assert left >= 4
