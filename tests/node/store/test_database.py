import time

import pytest
from sqlalchemy import insert

from node.errors import StateError
from node.store.database import BUSY_S, StoreFailed, open_database
from node.store.store import open_store
from node.store.tables import META


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:hunter2@h/d", "sqlite:///x", "postgresql://u:hunter2@h:port/d"])
def test_what_is_no_url_of_a_store_is_refused_without_repeating_it(url, tmp_path):
    with pytest.raises(StateError, match="--store") as caught:
        open_database(url, tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "GRAPEVINE_STORE" in caught.value.remedy


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://127.0.0.1:1/d?password=hunter2"])
def test_a_server_that_cannot_be_reached_is_named_without_its_password(url, tmp_path):
    unreachable = pytest.raises(StoreFailed, match=r"postgresql://127.0.0.1:1/d failed: .*refused")
    with unreachable as caught, open_store(url, tmp_path):
        pass
    text = f"{caught.value!r} {caught.value} {caught.value.__cause__} {open_database(url, tmp_path)!r}"
    assert "hunter2" not in text
    assert len(str(caught.value).splitlines()) == 2


def test_errors_do_not_repeat_what_was_to_be_written(store):
    row = {"key": "secret-key", "value": "secret-value"}
    with pytest.raises(StoreFailed) as caught, store.database.lasting() as connection:
        connection.execute(insert(META), [row, row])
    assert "secret-value" not in f"{caught.value} {caught.value.__cause__}"


def test_a_transaction_that_raises_leaves_nothing(store):
    def write():
        with store.database.lasting() as connection:
            connection.execute(insert(META).values(key="a", value="b"))
            raise ZeroDivisionError

    pytest.raises(ZeroDivisionError, write)
    with store.database.reading() as connection:
        assert connection.execute(META.select()).all() == []


def test_who_reads_sees_one_state_and_holds_up_nobody(store):
    with store.database.reading() as reader:
        before = reader.execute(META.select()).all()
        with store.database.lasting() as writer:
            writer.execute(insert(META).values(key="a", value="b"))
        assert reader.execute(META.select()).all() == before == []
    with store.database.reading() as reader:
        assert len(reader.execute(META.select()).all()) == 1


def test_who_connects_while_another_writes_does_not_wait(tmp_path):
    with open_store(None, tmp_path) as store, store.database.lasting() as writer:
        writer.execute(insert(META).values(key="a", value="b"))
        began = time.monotonic()
        with open_store(None, tmp_path) as other:
            assert other.rounds() == []
        assert time.monotonic() - began < BUSY_S / 2


def test_who_reads_does_not_write(url, tmp_path):
    """On PostgreSQL the server sees to it; on SQLite the transaction is only begun as one that reads."""
    if url is None:
        pytest.skip("SQLite takes a transaction for what it does")
    write, refused = insert(META).values(key="a", value="b"), pytest.raises(StoreFailed, match="read-only")
    with open_store(url, tmp_path) as store, refused, store.database.reading() as connection:
        connection.execute(write)


def test_a_server_whose_machine_is_gone_is_not_waited_for_by_the_hour(url, tmp_path):
    if url is None:
        pytest.skip("a file has no server")
    with open_store(url, tmp_path) as store, store.database.reading() as connection:
        told = connection.connection.dbapi_connection.info.get_parameters()
    assert int(told["keepalives_idle"]) + int(told["keepalives_interval"]) * int(told["keepalives_count"]) <= 30
    assert int(told["tcp_user_timeout"]) <= 30_000


def test_a_connection_that_the_server_dropped_is_made_anew(url, tmp_path, postgres):
    if url is None:
        pytest.skip("a file has no server")
    import psycopg

    with open_store(url, tmp_path) as store:
        with psycopg.connect(postgres.conninfo, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        assert store.rounds() == []
