"""Databases of both kinds for whatever keeps something in a store, and a disk that is full."""

import resource
from contextlib import contextmanager

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


@pytest.fixture
def full_after():
    """A context in which no file of this process grows beyond so many bytes, as on a disk that is nearly full."""

    @contextmanager
    def full(size_bytes):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full
