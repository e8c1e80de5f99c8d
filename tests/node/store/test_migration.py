import shutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, inspect, text

from node.errors import StateError
from node.store.database import open_database
from node.store.migration import STEPS, migrate
from node.store.store import open_store
from node.store.tables import HEAD, METADATA
from tests.node.store.kills import killed

NEXT = f'''
from alembic import op
import sqlalchemy as sa
revision = "next"
down_revision = "{HEAD}"


def upgrade():
    op.add_column("peers", sa.Column("colour", sa.String()))
    op.execute("UPDATE meta SET value = value || '!'")
    op.create_table("more", sa.Column("n", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO more VALUES (1)")
    op.create_index("ix_more_n", "more", ["n"])
'''
STATEMENTS = 6
"""Of that step, with Alembic's own that says where it is."""


@pytest.fixture
def steps(tmp_path):
    """The steps of a release after this one."""
    folder = tmp_path / "steps"
    shutil.copytree(STEPS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v_next.py").write_text(NEXT)
    return folder


def filled(url, tmp_path):
    with open_store(url, tmp_path) as store, store.database.lasting() as connection:
        connection.execute(METADATA.tables["meta"].insert().values(key="a", value="b"))


def state(database):
    with database.reading() as connection:
        tables = set(inspect(connection).get_table_names())
        version = connection.scalar(text("SELECT version_num FROM alembic_version")) if tables else None
        value = connection.scalar(text("SELECT value FROM meta")) if tables else None
    return version, value, "more" in tables


def test_the_steps_lead_to_what_the_tables_say(url, tmp_path):
    """A fresh store gets the tables at once, an older one the steps: both end at the same schema."""
    database = open_database(url, tmp_path)
    with database.lasting() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(STEPS))
    with database.lasting() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    with database.reading() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
        options = {"compare_type": True, "compare_server_default": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    assert found == []
    database.close()


def test_a_fresh_store_is_at_this_releases_schema_without_alembic(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from node.store.store import open_store\n"
        "with open_store(None, Path(sys.argv[1])) as store: store.rounds()\n"
        "sys.exit('alembic' in sys.modules or 'psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 0
    database = open_database(None, tmp_path)
    assert state(database)[0] == HEAD
    database.close()


def test_a_step_is_taken_once_and_keeps_what_there_is(url, tmp_path, steps):
    filled(url, tmp_path)
    database = open_database(url, tmp_path)
    for _ in range(2):
        migrate(database, steps=steps, head="next")
        assert state(database) == ("next", "b!", True)
    database.close()


def test_the_schema_of_a_newer_release_is_refused_and_left_alone(url, tmp_path, steps):
    filled(url, tmp_path)
    database = open_database(url, tmp_path)
    migrate(database, steps=steps, head="next")
    unknown = pytest.raises(StateError, match="schema 'next', which this release does not know")
    with unknown as caught, open_store(url, tmp_path):
        pass
    assert "newer one" in caught.value.problem
    assert state(database) == ("next", "b!", True)
    database.close()


def test_the_tables_of_something_else_are_refused(url, tmp_path):
    database = open_database(url, tmp_path)
    with database.lasting() as connection:
        connection.execute(text("CREATE TABLE rounds (n INTEGER)"))
    with pytest.raises(StateError, match="tables of something else: rounds"), open_store(url, tmp_path):
        pass
    database.close()


@pytest.mark.processes
@pytest.mark.parametrize("at", range(STATEMENTS + 2))
def test_kill_9_in_the_middle_of_a_step_leaves_the_schema_before_it(url, tmp_path, steps, at):
    filled(url, tmp_path)

    def work(report):
        database, seen = open_database(url, tmp_path), 0

        def count(_connection, _cursor, statement, *_):
            nonlocal seen
            if statement.lstrip().startswith(("ALTER", "UPDATE", "CREATE", "INSERT")):
                seen += 1
                if seen == at:
                    stay()

        def stay(*_):
            report()
            while True:
                pass

        event.listen(database.engine, "after_cursor_execute", count)
        if at == 0:
            event.listen(database.engine, "begin", stay)
        if at == STATEMENTS + 1:
            event.listen(database.engine, "commit", stay)  # all is written, and nothing committed
            migrate(database, steps=steps, head="next")
        migrate(database, steps=steps, head="next")

    assert killed(work, reports=1) == 1
    database = open_database(url, tmp_path)
    assert state(database) == (HEAD, "b", False)
    migrate(database, steps=steps, head="next")
    assert state(database) == ("next", "b!", True)
    database.close()


@pytest.mark.processes
@pytest.mark.parametrize("at", [1, 9, 19])
def test_kill_9_in_the_middle_of_the_first_opening_leaves_an_empty_place(url, tmp_path, at):
    def work(report):
        database, seen = open_database(url, tmp_path), 0

        def count(_connection, _cursor, statement, *_):
            nonlocal seen
            seen += "CREATE" in statement
            if seen == at:
                report()
                while True:
                    pass

        event.listen(database.engine, "after_cursor_execute", count)
        migrate(database)

    assert killed(work, reports=1) == 1
    database = open_database(url, tmp_path)
    assert state(database) == (None, None, False)
    migrate(database)
    assert state(database)[0] == HEAD
    database.close()
