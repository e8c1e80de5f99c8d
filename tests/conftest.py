"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Where the public data sets lie (folders adult, mnist, …): $GRAPEVINE_DATA, else ../shared/data; skips without."""
    folder = Path(os.environ.get("GRAPEVINE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}; set GRAPEVINE_DATA to their folder")
    return folder
