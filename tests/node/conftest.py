"""Databases of both kinds for whatever keeps something in a store."""

import pytest

from node.store.store import open_store
from tests.node.store.postgres import binaries, open_server


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests of a process."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server is installed: `python3 tests/tools/prerequisites.py --tests` does it")
    with open_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """Where an empty store is: None for a file in the folder that the test gives."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").new_url()


@pytest.fixture
def store(url, tmp_path):
    """An empty store in either kind of database."""
    with open_store(url, tmp_path) as opened:
        yield opened
