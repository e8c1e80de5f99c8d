"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# No example is timed: how long one takes says more about what else the machine does than about the code.
# In continuous integration the examples are the same each time: what fails there fails here.
settings.register_profile("grapevine", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("grapevine")


def pytest_collection_finish() -> None:
    """What thousands of tests and their libraries are made of stays to the end: no search for garbage goes through it.

    With all tests collected each such search takes half a second, and a run has hundreds of them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Where the public data sets lie (folders adult, mnist, …): $GRAPEVINE_DATA, else ../shared/data; skips without."""
    folder = Path(os.environ.get("GRAPEVINE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set GRAPEVINE_DATA to their folder")
    return folder
