import pytest
from sqlalchemy import delete, event, func, select, update

from crypto.accountant import Release, epsilon
from node.errors import StateError
from node.ledger import _GENESIS, Budget, BudgetSpent, Entry, Head, Ledger, LedgerFailed, _chained
from node.store.store import open_store
from node.store.tables import LEDGER
from tests.node.store.kills import killed
from tests.node.store.postgres import open_server

BUDGET = Budget(epsilon=4.0, delta=1e-5)
RELEASE = Release(20.0, 0.3, 1, 1e-12)


def charge(ledger, round=0, release=RELEASE):
    return ledger.charge(round, release, level="record", noise="distributed", mechanism="discrete gaussian")


def filled(database, entries=5):
    ledger = Ledger.open(database, BUDGET)
    for number in range(entries):
        charge(ledger, number)
    return ledger.head


def count(database):
    with database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(LEDGER))


def test_what_was_charged_is_there_after_a_restart(url, tmp_path):
    with open_store(url, tmp_path) as store:
        ledger = Ledger.open(store.database, BUDGET)
        assert ledger.spent() == 0
        charge(ledger, 3, Release(5.0, 1.0, 2))
        charge(ledger, 4)
        spent, head = ledger.spent(), ledger.head
    with open_store(url, tmp_path) as store:
        again = Ledger.open(store.database, BUDGET)
        assert again.spent() == spent == pytest.approx(epsilon([Release(5.0, 1.0, 2), RELEASE], 1e-5))
        assert again.head == head
        assert charge(again, 5).sequence == 2


def test_an_entry_says_what_was_let_out(store):
    made = charge(Ledger.open(store.database, BUDGET), 7)
    with store.database.reading() as connection:
        assert Entry.model_validate_json(connection.scalar(select(LEDGER.c.body))) == made
    assert (made.round, made.level, made.noise, made.sequence) == (7, "record", "distributed", 0)
    assert made.release() == RELEASE


def test_past_the_budget_nothing_is_charged_and_nothing_written(store):
    ledger = Ledger.open(store.database, Budget(1.0, 1e-5))
    big = Release(5.0)
    charge(ledger, 0, big)
    spent = ledger.spent()
    with pytest.raises(BudgetSpent, match=r"round 1 would bring ε to .*budget is 1") as caught:
        charge(ledger, 1, big)
    assert "averages and serves" in caught.value.remedy
    assert (count(store.database), ledger.spent()) == (1, spent)
    charge(ledger, 1, Release(50.0))  # what still fits, fits


def test_a_lowered_budget_is_spent_at_once(store):
    filled(store.database)
    ledger = Ledger.open(store.database, Budget(1e-3, 1e-5))
    assert ledger.spent() > ledger.budget.epsilon
    with pytest.raises(BudgetSpent):
        charge(ledger, 9)


def test_the_disk_has_the_entry_before_charge_returns_whatever_was_set(store):
    """By what the database is told; that it does so is its own promise."""
    ledger, sqlite, told = Ledger.open(store.database, BUDGET), store.database.is_file, []

    def ask(connection, *_):
        (value,) = connection.exec_driver_sql("PRAGMA synchronous" if sqlite else "SHOW synchronous_commit").one()
        told.append(value)

    with store.database.folding():
        pass  # which does not wait for the disk, and must leave no trace in the connection
    event.listen(store.database.engine, "commit", ask)
    charge(ledger)
    assert told == [2 if sqlite else "on"]  # 2: FULL


@pytest.mark.processes
def test_a_server_that_does_not_wait_for_its_disk_holds_no_ledger(postgres, tmp_path):
    with (
        open_server("fsync=off", "shared_buffers=1MB") as careless,
        open_store(careless.new_url(), tmp_path) as store,
        pytest.raises(StateError, match="fsync = off"),
    ):
        Ledger.open(store.database, BUDGET)


@pytest.mark.parametrize("when", ["before_cursor_execute", "commit"])
def test_after_a_failure_of_the_store_nothing_more_may_leave(store, when):
    def fail(connection, *rest):
        if when == "commit" or "INSERT" in rest[1]:
            connection.exec_driver_sql("SELECT broken")

    filled(store.database, 2)
    ledger = Ledger.open(store.database, BUDGET)
    event.listen(store.database.engine, when, fail)
    with pytest.raises(LedgerFailed, match="took no entry"):
        charge(ledger)
    event.remove(store.database.engine, when, fail)
    with pytest.raises(LedgerFailed, match="failed before"):
        charge(ledger)
    again = Ledger.open(store.database, BUDGET)
    assert again.head.entries == 2
    charge(again)


def test_of_two_writers_the_second_is_refused(store):
    one, other = (Ledger.open(store.database, BUDGET) for _ in range(2))
    charge(one)
    with pytest.raises(LedgerFailed):
        charge(other)
    assert count(store.database) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (update(LEDGER).where(LEDGER.c.sequence == 1).values(body=LEDGER.c.body + " "), "entry 2 does not follow"),
        (update(LEDGER).where(LEDGER.c.sequence == 2).values(digest=bytes(32)), "entry 3 does not follow"),
        (update(LEDGER).where(LEDGER.c.sequence == 0).values(body="x" * 10_000_000), "entry 1 does not follow"),
        (delete(LEDGER).where(LEDGER.c.sequence == 0), "entry 1 does not follow"),
        (delete(LEDGER).where(LEDGER.c.sequence == 1), "entry 2 does not follow"),
        (update(LEDGER).where(LEDGER.c.sequence == 2).values(sequence=7), "entry 3 has sequence"),
    ],
)
def test_an_edit_breaks_the_chain_and_is_never_a_refund(store, change, message):
    filled(store.database, 3)
    with store.database.lasting() as connection:
        connection.execute(change)
    with pytest.raises(StateError, match=message):
        Ledger.open(store.database, BUDGET)


def test_an_entry_that_follows_and_is_none_is_damage(store):
    filled(store.database, 0)
    body = '{"sequence": 0}'
    with store.database.lasting() as connection:
        connection.execute(LEDGER.insert().values(sequence=0, body=body, digest=_chained(_GENESIS, body)))
    with pytest.raises(StateError, match="entry 1 is none"):
        Ledger.open(store.database, BUDGET)


def test_an_older_ledger_put_in_its_place_is_noticed(store):
    head = filled(store.database, 3)
    charge(Ledger.open(store.database, BUDGET, at_least=head))
    Ledger.open(store.database, BUDGET, at_least=head)  # longer is fine
    for kept in (2, 0):
        with store.database.lasting() as connection:
            connection.execute(delete(LEDGER).where(LEDGER.c.sequence >= kept))
        with pytest.raises(StateError, match="entry 3 is missing"):
            Ledger.open(store.database, BUDGET, at_least=head)
    Ledger.open(store.database, BUDGET, at_least=Head(0, _GENESIS))


def test_releases_of_the_other_level_are_not_added_up(store):
    filled(store.database, 2)
    with pytest.raises(StateError, match="dp = 'record', and this run has dp = 'update'"):
        Ledger.open(store.database, BUDGET, level="update")
    assert Ledger.open(store.database, BUDGET, level="record").head.entries == 2


@pytest.mark.parametrize("budget", [(0.0, 1e-5), (float("inf"), 1e-5), (1.0, 0.0), (1.0, 1.0), (float("nan"), 0.1)])
def test_a_budget_that_bounds_nothing_is_refused(budget):
    with pytest.raises(ValueError, match="budget"):
        Budget(*budget)


@pytest.mark.processes
def test_kill_9_leaves_no_less_on_the_disk_than_what_left(url, tmp_path):
    def work(report):
        with open_store(url, tmp_path) as store:
            ledger = Ledger.open(store.database, Budget(1e9, 1e-5))
            charge = ledger.charging(level="record", noise="local")
            for number in range(ledger.head.entries, 10_000):
                charge(number, Release(20.0, 0.3))
                report()  # the release leaves the node

    left = 0
    for kill in range(8):
        left += killed(work, reports=kill, more_s=0.0007 * kill)
        with open_store(url, tmp_path) as store:
            ledger = Ledger.open(store.database, BUDGET)
            assert left <= ledger.head.entries <= left + kill + 1  # at most one a crash that did not leave
            assert left == 0 or ledger.spent() >= epsilon([Release(20.0, 0.3, left)], 1e-5)
    assert left >= 28
